// What several seeds show together: claims, and differences at equal seeds.

/** How many seeds an experiment is told of; 0 where it is one experiment. */
function seedsOf(experiment) {
  return experiment.seeds?.length ?? 0;
}

const seeded = experiments.filter((one) => seedsOf(one) > 0);

/** Said once where means are shown. */
function ofSeeds() {
  return seeded.length > 0 && el("p", { class: "note" }, `${means()}; small dots are single seeds.`);
}

function means() {
  const all = seeded.length === experiments.length;
  return `Of several seeds${all ? "" : ", where there are some,"} the mean is shown, with Student’s t over seeds`;
}

/** `, in 8 seeds together`, after what is summed. */
function inSeeds(experiment) {
  return seedsOf(experiment) > 0 ? `, in ${seedsOf(experiment)} seeds together` : "";
}

/** `0 to 7`, or `0, 2 and 5`. */
function listOfSeeds(seeds) {
  const isRun = seeds.length > 2 && seeds.every((seed, at) => at === 0 || seed === seeds[at - 1] + 1);
  if (isRun) return `${seeds[0]} to ${seeds.at(-1)}`;
  return seeds.length < 2 ? seeds.join("") : `${seeds.slice(0, -1).join(", ")} and ${seeds.at(-1)}`;
}

function wordsOf(name) {
  return MEASURES[name] ?? MEASURES[`${name} all`] ?? { title: name.replaceAll("_", " ") };
}

const VERDICTS = { yes: "yes", no: "no, the opposite", "not shown": "not shown" };

/** A difference with its sign; shares differ by points of a hundred. */
function signed(value, share) {
  if (!isNumber(value)) return "";
  const text = share ? `${fixed(100 * value, 1)} points` : figure(value);
  return value > 0 ? `+${text}` : text;
}

/** A probability; below a thousandth it is as good as that. */
function probability(p) {
  if (!isNumber(p)) return "";
  return p < 0.001 ? "< 0.001" : p.toFixed(3);
}

function seedsSection() {
  const { together } = data;
  if (!together) return null;
  const within = grouped(together.within, (one) => `${one.model} ${one.against}`).map(inOrder);
  const between = grouped(together.between, (one) => one.name);
  return section("seeds", "Over seeds",
    el("p", { class: "note" }, `${means()}: each seed is one independent trial. Differences are taken at equal seeds; probabilities are corrected for how many are asked together (Holm).`),
    claimsTable(together.claims),
    between.length > 0 && [el("div", { class: "grid" }, between.map(betweenChart)), betweenTable(together.between)],
    gathered("From the first model to the latest", within.map((rows) => many || within.length > 2 ? folded(withinTitle(rows), withinPart(rows)) : withinPart(rows))));
}

/** Parts rows by what they have in common, in their order. */
function grouped(rows, key) {
  const found = new Map();
  for (const row of rows) found.set(key(row), [...(found.get(key(row)) ?? []), row]);
  return [...found.values()];
}

function claimsTable(claims) {
  if (claims.length === 0) return null;
  const families = unique(claims.map((claim) => claim.family));
  const heads = [...(families.length > 1 ? ["Experiment"] : []), "Claim", "Of", "Holds", "Difference", "95 % interval", "p", "Seeds"];
  const rows = claims.map((claim) => [
    ...(families.length > 1 ? [claim.family] : []), el("span", { class: "written" }, marked(claim.name)), wordsOf(claim.by).title, verdict(claim.holds),
    signed(claim.difference, wordsOf(claim.by).share), interval(claim.low, claim.high, wordsOf(claim.by).share) || (claim.seeds > 0 ? noInterval(claim) : ""), probability(claim.p_holm), `${claim.seeds}`]);
  return el("div", { class: "differences" }, el("h3", {}, "What is claimed"), table("What is claimed", heads, rows));
}

function verdict(holds) {
  return el("span", { class: `verdict ${{ yes: "better", no: "worse" }[holds] ?? ""}` }, VERDICTS[holds]);
}

/** Differences as points with their intervals; each is named beside it, or above it where there is little room. */
function forest({ title, note, rows, share, nameOf, numbers }) {
  const ends = rows.flatMap((row) => [row.difference, row.low, row.high]).filter(isNumber);
  const span = padded(Math.min(0, ...ends), Math.max(0, ...ends));
  const label = (row) => `${nameOf(row)}: ${VERDICTS[row.more]}`;
  const said = `${title}. ${rows.map((row) => `${nameOf(row)} ${[signed(row.difference, share), interval(row.low, row.high, share)].filter(Boolean).join(" ")}, ${VERDICTS[row.more]}`).join(". ")}.`;
  const digits = span[1] - span[0] < 0.03 ? 1 : 0;
  const drawing = drawn(said, (width) => {
    const beside = width > 620;
    const dy = beside ? 0 : 8;
    const y = (row) => rows.indexOf(row);
    return Plot.plot(options(width, 26 + (beside ? 26 : 40) * rows.length, {
      marginLeft: beside ? 290 : 6, marginTop: 4,
      y: { type: "band", domain: rows.map((_, at) => at), axis: null },
      x: { domain: span, label: null, ticks: 5, tickSize: 0, grid: true, tickFormat: (value) => share ? fixed(100 * value, digits) : `${+value.toPrecision(4)}`.replace("-", "\u2212") },
      marks: [
        Plot.ruleX([0], { stroke: "var(--rule-strong)" }),
        Plot.ruleY(rows.filter((row) => isNumber(row.low)), { y, x1: "low", x2: "high", stroke: "var(--series-0)", strokeWidth: 2, dy }),
        Plot.dot(rows, { y, x: "difference", r: 4, fill: "var(--series-0)", dy }),
        Plot.text(rows, { y, frameAnchor: "left", text: label, dx: beside ? -284 : 0, dy: beside ? 0 : -8, fill: "var(--ink)", stroke: "var(--paper)", strokeWidth: 4 }),
      ],
    }));
  });
  return chart({ title, note, drawing, numbers });
}

/** What tells a model's experiment from that of another: what is swept, where both are of one file. */
function whose(model, against) {
  const [own, other] = [model, against].map((name) => name.slice(0, name.lastIndexOf("/")));
  const [family, swept] = own.split("@");
  return swept && other.split("@")[0] === family ? swept : own;
}

/** In the order in which the page tells of them, others behind. */
function inOrder(rows) {
  const known = Object.keys(MEASURES);
  const place = ({ name }) => { const at = known.indexOf(name in MEASURES ? name : `${name} all`); return at < 0 ? known.length : at; };
  return [...rows].sort((one, other) => place(one) - place(other));
}

function betweenChart(rows) {
  const { title, share } = wordsOf(rows[0].name);
  const models = unique(rows.map((row) => row.model.slice(row.model.lastIndexOf("/") + 1)));
  const nameOf = (row) => models.length > 1 ? row.model : whose(row.model, row.against);
  return forest({ title, note: `Difference from ${rows[0].against}${share ? " in points of a hundred" : ""}, at equal seeds. Is it more?`, rows, share, nameOf });
}

const BESIDE = ["Seeds", "Before", "After", "Difference", "95 % interval", "p", "More?"];

/** Why a difference has none. */
function noInterval({ seeds }) {
  return seeds > 1 ? "(the same at every seed)" : "(one seed)";
}

function besideCells(row) {
  const { share } = wordsOf(row.name);
  return [`${row.seeds}`, shown(row.before, share), shown(row.after, share), signed(row.difference, share), interval(row.low, row.high, share) || noInterval(row), probability(row.p_holm), verdict(row.more)];
}

function betweenTable(rows) {
  const title = `Against ${unique(rows.map((row) => row.against)).join(" and ")}, at equal seeds`;
  return el("div", { class: "differences" }, el("h3", {}, title), table(title, ["Of", "Model", ...BESIDE], rows.map((row) => [wordsOf(row.name).title, row.model, ...besideCells(row)])));
}

function withinTitle([first]) {
  return `${first.model} against ${first.against}`;
}

function withinPart(rows) {
  const title = withinTitle(rows);
  const charted = rows.filter((row) => wordsOf(row.name).share && row.seeds > 1);
  const numbers = table(title, ["Of", ...BESIDE], rows.map((row) => [wordsOf(row.name).title, ...besideCells(row)]));
  if (charted.length === 0) return el("div", { class: "differences" }, el("h3", {}, title), numbers);
  const note = "Differences in points of a hundred, at equal seeds. Is it more?";
  return el("div", { class: "differences" }, forest({ title, note, rows: charted, share: true, nameOf: (row) => wordsOf(row.name).title, numbers }));
}

/** Under which names the store has the seeds, and whose rows are shown. */
function seedsTable(experiment) {
  if (seedsOf(experiment) === 0) return null;
  const title = `Seeds of ${experiment.name}`;
  return folded(title, table(title, ["Seed", "In the store as", "Rows"], experiment.seeds.map(({ seed, experiment: name }) => [`${seed}`, el("code", {}, name), seed === experiment.shown_seed ? "shown here" : ""])));
}

/** Whose rows are shown, where an experiment has several seeds. */
function rowsOfSeeds() {
  const said = seeded.map((one) => `${several ? `of ${one.name} ` : ""}those of seed ${one.shown_seed} of ${listOfSeeds(one.seeds.map(({ seed }) => seed))}`);
  return said.length > 0 && el("p", { class: "note" }, `Rows are ${said.join("; ")}. A seed by itself: mrx report ${seeded[0].seeds.at(-1).experiment}`);
}
