// Puts the page together.

const THEMES = ["auto", "light", "dark"];

/** As the system has it, light, or dark. It is not remembered: a page that is mailed keeps nothing. */
function themeSwitch() {
  const root = document.documentElement;
  const choose = (theme) => theme === "auto" ? root.removeAttribute("data-theme") : root.setAttribute("data-theme", theme);
  return el("label", { class: "theme", for: "theme" }, el("span", {}, "Theme"),
    el("select", { id: "theme", onchange: (event) => choose(event.target.value) }, THEMES.map((theme) => el("option", { value: theme }, theme))));
}

function start() {
  const parts = [summary(), seedsSection(), answersSection(), judgeSection(), pairsSection(), ownSection(), trainingSection(), costSection(), settingsSection(), rowsSection()].filter(Boolean);
  const nav = el("nav", { class: "contents", "aria-label": "Contents" },
    el("div", {}, parts.map((part) => el("a", { href: `#${part.id}` }, part.querySelector("h2").textContent))), themeSwitch());
  const names = el("ul", { class: "legend all", "aria-label": "Experiments" }, several && experiments.map((one, at) => el("li", {}, el("span", { class: `swatch ${symbol(at)}`, colour: colour(at), "aria-hidden": "true" }), one.name, seedsOf(one) > 0 && el("span", { class: "quiet" }, counted(seedsOf(one), "seed")))));
  const page = document.getElementById("page");
  page.replaceChildren(header(), ...(several ? [names] : []), ...parts, el("footer", {}, `Made by ${document.querySelector("meta[name=generator]").content} from rows and numbers of its store. Intervals are at 95 %.`));
  page.before(nav);
  watchWidths();
  follow(true);
  if (!location.hash.includes("=") && location.hash.length > 1) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  window.addEventListener("hashchange", () => follow(false));
  document.documentElement.setAttribute("data-ready", "");
}

start();
