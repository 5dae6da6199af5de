// Looking at rows: a list that can be narrowed and searched, one prompt beside it, and an address for either.

const PAGE_OF_LIST = 30;

/** What is looked at: filters by their names, `search`, and `prompt` with `of`. It is what the address says. */
let state = {};
let listed = [];
let shownRows = PAGE_OF_LIST;

const places = {};

function stateOfAddress() {
  const address = location.hash.slice(1);
  return address.includes("=") ? Object.fromEntries(new URLSearchParams(address)) : {};
}

function addressWith(changes) {
  const all = { ...state, ...changes };
  const known = ["prompt", "of", ...FILTERS.map((filter) => filter.name), "search"];
  const said = known.filter((name) => all[name] !== undefined && (all[name] !== "" || name === "category")).map((name) => [name, all[name]]);
  return `#${new URLSearchParams(said)}`;
}

function linkTo(one, ...children) {
  return el("a", { href: addressWith(addressOf(one)) }, children);
}

function rowsSection() {
  if (entries.length === 0) return null;
  const filters = FILTERS.map((filter) => ({ filter, choices: choicesOf(filter) })).filter(({ choices }) => choices.length > 0);
  places.count = el("p", { class: "note", role: "status" });
  places.list = el("ol", { class: "list", "aria-label": "Prompts" });
  places.more = el("button", { type: "button", class: "more", onclick: () => { shownRows += PAGE_OF_LIST; drawList(); } }, "Show more");
  places.detail = el("article", { class: "detail", "aria-label": "The prompt that is looked at" });
  places.search = el("input", { type: "search", id: "search", placeholder: "in prompts, answers and judgements", oninput: (event) => narrow({ search: event.target.value }) });
  places.selects = new Map(filters.map(({ filter, choices }) => [filter.name, el("select", { id: `filter-${filter.name}`, onchange: (event) => narrow({ [filter.name]: event.target.value === ALL ? undefined : event.target.value }) },
    el("option", { value: ALL }, "all"), choices.map(({ value, said, count }) => el("option", { value }, `${said} (${thousands(count)})`)))]));
  return section("rows", "Rows",
    rowsOfSeeds(),
    gathered("How many are shown", [el("p", { class: "note" }, sampled())]),
    folded("How they were chosen", el("p", { class: "note" }, RULE)),
    el("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
      el("label", { for: "search", class: "wide-label" }, el("span", {}, "Search"), places.search),
      filters.map(({ filter }) => el("label", { for: `filter-${filter.name}` }, el("span", {}, filter.label), places.selects.get(filter.name)))),
    places.count,
    places.columns = el("div", { class: "columns" }, el("div", { class: "list-column" }, places.list, places.more), places.detail));
}

const ALL = "\u0001all";

const RULE = "Of one experiment at most 400 held-out prompts and 100 of an iteration are shown, of several fewer of each. Held-out prompts: those first on which the latest model is worse or better than the baseline, in turn. Prompts of an iteration: each way in which pairs were made or dropped, and each way in which verdicts could not be read, in turn. Within these the order is that of the MD5 of the prompt's id, and what does not fit into the page is left out. Long texts are cut in the middle. The store has all of them: mrx sql, mrx trace.";

/** What is shown of how many. */
function sampled() {
  const parts = experiments.map((one) => {
    const said = [];
    if (one.held_out_of > 0) said.push(`${thousands(one.held_out.length)} of ${counted(one.held_out_of, "held-out prompt")}`);
    for (const share of one.shares) said.push(`${thousands(share.shown.length)} of ${thousands(share.of)} of ${share.model}`);
    return `${several ? `${one.name}: ` : "Shown are "}${said.join(", ")}`;
  });
  return `${parts.join(". ")}.`;
}

/** Narrows the list; the address follows without a step back for every letter. */
function narrow(changes) {
  state = { ...state, ...changes };
  shownRows = PAGE_OF_LIST;
  history.replaceState(null, "", addressWith({}));
  drawList();
  drawDetail();
}

function drawList() {
  listed = matching(state);
  places.count.textContent = `${counted(listed.length, "prompt")}${listed.length < entries.length ? ` of the ${thousands(entries.length)} shown here` : ""}`;
  const current = currentEntry();
  places.list.replaceChildren(...listed.slice(0, shownRows).map((one) => el("li", {}, itemOf(one, one === current))));
  places.more.hidden = listed.length <= shownRows;
}

function itemOf(one, isCurrent) {
  const tags = [several ? one.experiment.name : null, one.where === HELD_OUT ? "held out" : one.where, ...one.outcome];
  const link = linkTo(one, el("span", { class: "excerpt", dir: "auto" }, marked(plain(one.row.prompt).slice(0, 160))), el("span", { class: "tags" }, tags.filter(Boolean).join(" · ")));
  if (isCurrent) link.setAttribute("aria-current", "true");
  return link;
}

function currentEntry() {
  return state.prompt === undefined ? undefined : entryAt(state.prompt, state.of);
}

function drawDetail() {
  // Where there is room beside the list, its first prompt is there until another is chosen.
  const current = state.prompt === undefined ? listed[0] : currentEntry();
  places.columns.classList.toggle("reading", state.prompt !== undefined);
  if (state.prompt !== undefined && current === undefined) {
    places.detail.replaceChildren(el("p", {}, `The prompt ${state.prompt} is not among the rows of this page.`));
  } else if (current === undefined) {
    places.detail.replaceChildren(el("p", { class: "quiet" }, "No prompt of this page is so."));
  } else {
    places.detail.replaceChildren(steps(current), ...detail(current).flat(Infinity).filter(Boolean));
  }
}

/** Ways to the list, and to the prompts before and after in it. */
function steps(current) {
  const at = listed.indexOf(current);
  const [before, after] = at < 0 ? [] : [listed[at - 1], listed[at + 1]];
  return el("nav", { class: "steps", "aria-label": "Prompts of the list" },
    el("a", { class: "back", href: addressWith({ prompt: undefined, of: undefined }).replace(/^#$/, "#rows") }, "All prompts"),
    before && linkTo(before, "← Before"), after && linkTo(after, "Next →"));
}

/** Shows what the address says. */
function follow(isFirst) {
  // The address of another part of the page says nothing of the rows.
  const isOfRows = location.hash.includes("=") || ["", "#rows"].includes(location.hash);
  if (!places.list || (!isFirst && !isOfRows)) return;
  state = stateOfAddress();
  places.search.value = state.search ?? "";
  for (const [name, select] of places.selects) {
    select.value = state[name] ?? ALL;
    if (select.selectedIndex < 0) { delete state[name]; select.value = ALL; }
  }
  drawList();
  drawDetail();
  if (state.prompt !== undefined) {
    const title = places.detail.querySelector("h3") ?? places.detail;
    places.columns.scrollIntoView();
    if (!isFirst) title.focus({ preventScroll: true });
  } else if (Object.keys(state).length > 0 && isFirst) {
    document.getElementById("rows").scrollIntoView();
  }
}
