// The page's elements, its texts and its figures. Texts go in as text nodes alone.

const data = JSON.parse(document.getElementById("data").textContent);
const experiments = data.experiments;
const several = experiments.length > 1;

/** Makes an element: `on…` are listeners, `data` and ARIA attributes as they are, children are nodes or texts. */
function el(name, properties, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "colour") made.style.setProperty("--colour", value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return made;
}

/** Characters that cannot be seen, or that turn a line around: each is shown by its number. */
const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

function numbered(character) {
  return "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
}

/** The nodes of a text that somebody else wrote. */
function marked(text) {
  const nodes = [];
  let from = 0;
  for (const found of text.matchAll(HIDDEN)) {
    nodes.push(text.slice(from, found.index));
    nodes.push(el("span", { class: "hidden-character" }, numbered(found[0])));
    from = found.index + found[0].length;
  }
  nodes.push(text.slice(from));
  return nodes.filter((node) => node !== "");
}

/** Where a page says `empty`, there is a text without a character. */
const NOTHING = "(empty)";

/** An excerpt is a text, or its beginning, how many characters are left out, and its end. */
function written(excerpt, name = "div") {
  const [head, leftOut, tail] = Array.isArray(excerpt) ? excerpt : [excerpt, 0, ""];
  const made = el(name, { class: "written", dir: "auto" });
  if (head === "" && tail === "") {
    made.append(el("span", { class: "quiet" }, NOTHING));
    return made;
  }
  made.append(...marked(head));
  if (leftOut > 0) {
    made.append(el("span", { class: "left-out" }, ` … ${counted(leftOut, "character")} left out … `));
    made.append(...marked(tail));
  }
  return made;
}

/** All of an excerpt that is here, to search in and to list. */
function plain(excerpt) {
  return Array.isArray(excerpt) ? `${excerpt[0]} … ${excerpt[2]}` : excerpt ?? "";
}

function thousands(value) {
  return Math.round(value).toLocaleString("en");
}

function counted(number, word) {
  return `${thousands(number)} ${word}${number === 1 ? "" : "s"}`;
}

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** A number of so many decimals, with a true minus. */
function fixed(value, digits) {
  return value.toFixed(digits).replace("-", "\u2212");
}

function percent(share) {
  return isNumber(share) ? `${fixed(100 * share, 1)} %` : "";
}

/** A number with as many digits as one can read. */
function figure(value) {
  if (!isNumber(value)) return "";
  const size = Math.abs(value);
  if (size >= 1000) return thousands(value);
  return fixed(value, size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

function shown(value, isShare) {
  return isShare ? percent(value) : figure(value);
}

function interval(low, high, isShare) {
  if (!isNumber(low) || !isNumber(high)) return "";
  return isShare
    ? `[${fixed(100 * low, 1)}, ${fixed(100 * high, 1)}]`
    : `[${figure(low)}, ${figure(high)}]`;
}

function duration(seconds) {
  if (!isNumber(seconds)) return "";
  if (seconds < 1) return `${Math.round(1000 * seconds)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  return `${Math.floor(seconds / 3600)} h ${String(Math.floor((seconds % 3600) / 60)).padStart(2, "0")} min`;
}

/** A table; numbers stand right. */
function table(caption, heads, rows) {
  const numeric = heads.map((_, at) => rows.length > 0 && rows.every((row) => /^[-+−]?[\d[(]|^$/.test(cellText(row[at]))));
  const cell = (name, content, at, scope) => el(name, { class: numeric[at] ? "number" : null, scope }, content);
  return el(
    "div",
    { class: "scrolls", tabindex: "0", role: "region", "aria-label": caption },
    el(
      "table",
      {},
      el("caption", { class: "unseen" }, caption),
      el("thead", {}, el("tr", {}, heads.map((head, at) => cell("th", head, at, "col")))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map((content, at) => at === 0 ? cell("th", content, at, "row") : cell("td", content, at))))),
    ),
  );
}

function cellText(content) {
  return content instanceof Node ? content.textContent : String(content ?? "");
}

/** From so many experiments on, what each has of its own opens when one asks for it. */
const MANY = 5;
const many = experiments.length >= MANY;

/** Parts that are shown, or of many experiments folded into one. */
function gathered(summary, parts) {
  const there = parts.flat(Infinity).filter(Boolean);
  return many && there.length > 0 ? folded(summary, there) : there;
}

/** A part that opens when one asks for it. */
function folded(summary, ...children) {
  return el("details", {}, el("summary", {}, summary), children);
}
