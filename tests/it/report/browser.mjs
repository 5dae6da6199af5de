// Opens reports in Chromium, at three widths, light and dark, and fails with a list of what is wrong: a line in the
// console, a request, a serious finding of axe-core, a text of a model that ran, a page that is wider than its
// window, filters, search or addresses that do not work, something that a keyboard cannot reach.
//
//     MRX_BROWSER=/path/of/chromium MRX_NODE_MODULES=/folder/with/node_modules node browser.mjs PAGE…
//
// The folder is one in which `npm install playwright-core axe-core` was run. With MRX_SCREENSHOTS=FOLDER it keeps
// what it saw, one picture for each page, width and theme.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";

const { MRX_BROWSER, MRX_NODE_MODULES, MRX_SCREENSHOTS } = process.env;
const require = createRequire(join(MRX_NODE_MODULES, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const WIDTHS = [390, 1280, 1920];
const SCHEMES = ["light", "dark"];
const wrong = [];

/** Opens a page, and listens to all that it says and asks for. */
async function open(browser, path, { width, scheme, hash = "" }) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme, bypassCSP: false });
  const page = await context.newPage();
  const name = `${basename(path)}${hash} at ${width}, ${scheme}`;
  const says = (what) => wrong.push(`${name}: ${what}`);
  page.on("console", (message) => says(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => says(`error: ${error.message}`));
  page.on("request", (request) => request.url().startsWith("file:") || says(`asks for ${request.url()}`));
  page.on("dialog", (dialog) => { says(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  await page.goto(`file://${encodeURI(path)}${hash}`);
  await page.waitForSelector("html[data-ready]", { timeout: 20_000 }).catch(() => says("never gets ready"));
  return { page, says, close: () => context.close() };
}

/** Opens every part that can be, one prompt after another, so that all texts of some rows are in the page. */
async function openAll(page) {
  await page.evaluate(() => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
}

/** Nothing that a text asked for may be there. */
async function checkInert(page, says) {
  const found = await page.evaluate(() => ({
    ran: window.ran,
    strange: [...document.querySelectorAll("img, iframe, object, embed, base, link, textarea, video, audio")].map((one) => one.outerHTML.slice(0, 80)),
    scripts: document.scripts.length,
    styles: document.querySelectorAll("style").length,
    handlers: [...document.querySelectorAll("*")].filter((one) => [...one.attributes].some((attribute) => /^on/i.test(attribute.name))).length,
    links: [...document.querySelectorAll("a")].map((one) => one.getAttribute("href")).filter((href) => !href.startsWith("#")),
  }));
  if (found.ran !== undefined) says(`a text ran: ${found.ran}`);
  if (found.scripts !== 4 || found.styles !== 1) says(`${found.scripts} scripts, ${found.styles} styles`);
  if (found.handlers > 0 || found.strange.length > 0 || found.links.length > 0) says(JSON.stringify(found));
}

/** What axe-core finds; its script comes in past the page's policy, as a debugger's does. */
async function checkUsable(page, says) {
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: axe });
  const { result } = await session.send("Runtime.evaluate", {
    expression: "axe.run(document, { resultTypes: ['violations'] }).then((found) => JSON.stringify(found.violations.map((one) => [one.impact, one.id, one.nodes.length, one.nodes[0].html.slice(0, 160), one.nodes[0].failureSummary])))",
    awaitPromise: true,
  });
  for (const [impact, id, count, html, why] of JSON.parse(result.value)) {
    if (["serious", "critical"].includes(impact)) says(`axe: ${impact} ${id}, ${count} times, first ${html}: ${why}`);
  }
}

async function checkLooks(page, says) {
  const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  if (wide > window) says(`is ${wide} wide`);
  const empty = await page.evaluate(() => [...document.querySelectorAll(".drawing")].filter((one) => one.checkVisibility()).filter((one) => one.querySelector("svg") === null || !(one.getAttribute("aria-label")?.length > 20)).length);
  if (empty > 0) says(`${empty} charts are not drawn, or do not say what they show`);
}

/** Filters narrow the list, search finds what is in answers, and an address leads back to what was seen. */
async function checkRows(browser, path) {
  const { page, says, close } = await open(browser, path, { width: 1280, scheme: "light" });
  const count = async () => Number((await page.textContent("#rows [role=status]")).replace(/,/g, "").match(/\d+/)[0]);
  const all = await count();
  for (const select of await page.$$(".filters select")) {
    const options = await select.$$eval("option", (found) => found.map((one) => [one.value, one.textContent]));
    for (const [value, text] of options.slice(1)) {
      await select.selectOption(value);
      const promised = Number(text.replace(/,/g, "").match(/\((\d+)\)$/)[1]);
      if (await count() !== promised) says(`the filter ${text} shows ${await count()}`);
    }
    await select.selectOption(options[0][0]);
    if (await count() !== all) says("a filter that is taken back leaves something out");
  }
  await page.fill("#search", "no such text as this anywhere");
  if (await count() !== 0) says("search finds what is not there");
  await page.fill("#search", "");
  await page.click(".list li:nth-child(2) a");
  await page.waitForSelector(".list li:nth-child(2) a[aria-current]");
  const seen = await page.textContent(".detail code");
  const hash = await page.evaluate(() => location.hash);
  if (!hash.startsWith("#prompt=p_")) says(`the address of a prompt is ${hash}`);
  const again = await open(browser, path, { width: 390, scheme: "light", hash });
  if (await again.page.textContent(".detail code") !== seen) says("an address leads to another prompt");
  await again.close();
  await page.goBack();
  if (await page.evaluate(() => location.hash) === hash) says("there is no way back from a prompt");
  await page.fill("#search", "no such text as this anywhere");
  await page.click("nav.contents a[href='#summary']");
  await page.waitForTimeout(50);
  if (await count() !== 0) says("going to another part of the page forgets what was searched for");
  await page.fill("#search", "");
  await checkKeyboard(page, says);
  await close();
}

/** Tab alone reaches a filter, a prompt and a part that opens; what has the focus is seen to have it. */
async function checkKeyboard(page, says) {
  await page.evaluate(() => { document.activeElement?.blur(); scrollTo(0, 0); });
  const reached = new Set();
  for (let step = 0; step < 400 && reached.size < 4; step += 1) {
    await page.keyboard.press("Tab");
    const [name, outline] = await page.evaluate(() => {
      const one = document.activeElement;
      const kind = one.closest(".list") ? "prompt" : one.matches("summary") ? "summary" : one.matches(".filters select") ? "filter" : one.matches("nav a") ? "contents" : "";
      return [kind, getComputedStyle(one).outlineStyle];
    });
    if (name && outline === "none") says(`focus is not seen on a ${name}`);
    if (name) reached.add(name);
  }
  if (reached.size < 4) says(`the keyboard reaches only ${[...reached].join(", ")}`);
}

/** Goes through some prompts, so that their texts are in the page. */
async function readRows(page, says) {
  const links = await page.$$eval(".list a", (found) => found.map((one) => one.getAttribute("href")));
  for (const href of links) {
    await page.evaluate((to) => { location.hash = to; }, href);
    await page.waitForTimeout(10);
    await openAll(page);
    await checkInert(page, says);
  }
}

const browser = await chromium.launch({ executablePath: MRX_BROWSER, args: ["--no-sandbox", "--disable-gpu"] });
for (const path of process.argv.slice(2)) {
  for (const width of WIDTHS) {
    for (const scheme of SCHEMES) {
      const { page, says, close } = await open(browser, path, { width, scheme });
      await checkLooks(page, says);
      if (MRX_SCREENSHOTS) await page.screenshot({ path: join(MRX_SCREENSHOTS, `${basename(path, ".html")}-${width}-${scheme}.png`), fullPage: true });
      await checkInert(page, says);
      await openAll(page);
      await checkUsable(page, says);
      if (width === 1280 && scheme === "light") await readRows(page, says);
      await close();
    }
  }
  if (readFileSync(path, "utf8").includes('"held_out":[{')) await checkRows(browser, path);
}
await browser.close();
if (wrong.length > 0) {
  console.log([...new Set(wrong)].join("\n"));
  process.exit(1);
}
console.log("nothing is wrong");
