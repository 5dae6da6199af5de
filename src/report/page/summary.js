// The top of the page: what it is about, the numbers that matter, and what to know before believing them.

function latestOf(experiment) {
  const won = experiment.models.filter((model) => isNumber(model.win_rate));
  return won.at(-1) ?? experiment.models.at(-1);
}

/** The numbers of a name, one a model; a group may be told, else it is that of all. */
function numbersNamed(experiment, name, group = "all") {
  return experiment.numbers.filter((number) => number.name === name && number.group === group);
}

function numberOf(experiment, model, name) {
  return numbersNamed(experiment, name).find((number) => number.model === model);
}

function keptPairs(experiment, role) {
  const all = experiment.pairs.filter((pair) => pair.role === role);
  const sum = (pairs) => pairs.reduce((total, pair) => total + pair.n, 0);
  return { kept: sum(all.filter((pair) => pair.became === "kept")), of: sum(all) };
}

/** The file that all of several experiments are of. */
const family = (() => {
  const files = unique(experiments.map((one) => one.name.split("@")[0]));
  return several && files.length === 1 && experiments.every((one) => one.name.includes("@")) ? files[0] : null;
})();

function header() {
  const facts = several ? [] : factsOf(experiments[0]);
  return el(
    "header",
    { class: "top" },
    el("h1", {}, family ?? (many ? `${experiments.length} experiments` : experiments.map((one, at) => [at > 0 ? el("span", { class: "quiet" }, at === experiments.length - 1 ? " and " : ", ") : null, one.name]))),
    el("p", { class: "lede" }, family ? `${experiments.length} experiments of one file, beside each other.` : many ? `${experiments[0].name} and others, beside each other.` : several ? `${experiments.length} experiments beside each other.` : ledeOf(experiments[0])),
    facts.length > 0 && el("p", { class: "facts" }, facts.join(" · ")),
  );
}

/** One sentence that says what came of it. */
function ledeOf(experiment) {
  const latest = latestOf(experiment);
  if (!latest) return "No model is made yet.";
  if (!experiment.opponents || !isNumber(latest.win_rate)) return "No games were played.";
  const { baseline } = experiment.opponents;
  const verdict = latest.low > 0.5 ? "is better than" : latest.high < 0.5 ? "is worse than" : "is not shown to be better or worse than";
  const seeds = seedsOf(experiment) > 0 ? ` on average over ${numberOf(experiment, latest.model, "win_rate")?.n ?? seedsOf(experiment)} seeds` : "";
  return `${latest.model} ${verdict} ${baseline}: it wins ${percent(latest.win_rate)} of its games${seeds}, ${decider(experiment.opponents)}.`;
}

function factsOf(experiment) {
  const rows = (stage) => experiment.nodes.filter((node) => node.stage === stage && node.node !== "prompts.eval" && node.node.split(".").length === 2).reduce((sum, node) => sum + node.rows, 0);
  const facts = [];
  const fact = (number, word) => number > 0 && facts.push(counted(number, word));
  fact(seedsOf(experiment), "seed");
  fact(experiment.models.length, "model");
  if (seedsOf(experiment) > 0) facts[1] += " of each";
  fact(rows("prompts"), "prompt");
  fact(rows("respond"), "answer");
  fact(rows("judge"), "judgement");
  fact(rows("meta_judge"), "meta-judgement");
  const days = experiment.nodes.map((node) => node.day).filter(Boolean).sort();
  facts.push(`${duration(experiment.nodes.reduce((sum, node) => sum + node.seconds, 0))} of work`);
  if (days.length > 0) facts.push(days.at(-1));
  return facts;
}

/** A number that matters, with what makes it one. */
function card(label, value, ...about) {
  return el("div", { class: "card" }, el("dt", {}, label), el("dd", {}, el("span", { class: "big" }, value), about.filter(Boolean).map((line) => el("span", { class: "about" }, line))));
}

function cards(experiment) {
  const [first, latest] = [experiment.models[0], latestOf(experiment)];
  const all = [];
  if (isNumber(latest?.win_rate)) {
    const n = numberOf(experiment, latest.model, "win_rate")?.n;
    all.push(card(`${latest.model} wins against ${experiment.opponents?.baseline}`, percent(latest.win_rate),
      `95 % interval ${interval(latest.low, latest.high, true)}`,
      [n && `over ${counted(n, seedsOf(experiment) > 0 ? "seed" : "prompt")}`, isNumber(latest.length_controlled) && `${percent(latest.length_controlled)} at equal length`].filter(Boolean).join("; ")));
  }
  const judged = experiment.models.filter((model) => isNumber(model.agreement)).at(-1);
  if (judged) all.push(changing(experiment, "Judge agrees with the oracle", "judge_agreement", "agreement", first, judged, true));
  const answered = experiment.models.filter((model) => isNumber(model.chars)).at(-1);
  if (answered) all.push(changing(experiment, "Characters of an answer", "response_chars", "chars", first, answered, false));
  const [actor, judge] = [keptPairs(experiment, "actor"), keptPairs(experiment, "judge")];
  if (actor.of + judge.of > 0) {
    all.push(card("Pairs to learn from", thousands(actor.kept + judge.kept), `${thousands(actor.kept)} of ${thousands(actor.of)} of answers`, judge.of > 0 && `${thousands(judge.kept)} of ${thousands(judge.of)} of judgements`, seedsOf(experiment) > 0 && `in ${seedsOf(experiment)} seeds together`));
  }
  return all.length > 0 && el("dl", { class: "cards" }, all);
}

function changing(experiment, label, name, field, first, last, share) {
  const number = numberOf(experiment, last.model, name);
  const before = isNumber(first?.[field]) && first !== last ? `${first.model} ${shown(first[field], share)}` : null;
  return card(label, shown(last[field], share), number && interval(number.low, number.high, share) && `95 % interval ${interval(number.low, number.high, share)}`, [`${last.model}`, before && `at the start, ${before}`].filter(Boolean).join("; "));
}

/** The table at the end of a run. */
function modelsTable(experiment) {
  const heads = ["Model", "Win rate", "95 % interval", "At equal length", "Judge agrees", "Characters", "Pairs of answers", "of judgements", "Time"];
  const rows = experiment.models.map((model) => [
    model.model, percent(model.win_rate), interval(model.low, model.high, true), percent(model.length_controlled), percent(model.agreement),
    figure(model.chars), isNumber(model.actor_pairs) ? thousands(model.actor_pairs) : "", isNumber(model.judge_pairs) ? thousands(model.judge_pairs) : "", duration(model.seconds)]);
  const told = heads.map((_, at) => at === 0 || rows.some((row) => row[at] !== ""));
  const only = (row) => row.filter((_, at) => told[at]);
  const made = table(`Models of ${experiment.name}`, only(heads), rows.map(only));
  return seedsOf(experiment) > 0 ? [made, el("p", { class: "note" }, `Estimates are means over ${seedsOf(experiment)} seeds, with Student’s t over seeds; pairs and time are sums.`)] : made;
}

/** The latest model of each experiment. */
function experimentsTable() {
  const heads = ["Experiment", ...(seeded.length > 0 ? ["Seeds"] : []), "Model", "Win rate", "95 % interval", "At equal length", "Judge agrees", "Characters", "Pairs", "Time"];
  const rows = experiments.map((experiment) => {
    const latest = latestOf(experiment) ?? {};
    const judged = experiment.models.filter((model) => isNumber(model.agreement)).at(-1);
    const kept = keptPairs(experiment, "actor").kept + keptPairs(experiment, "judge").kept;
    return [experiment.name, ...(seeded.length > 0 ? [`${seedsOf(experiment) || 1}`] : []), latest.model ?? "", percent(latest.win_rate), interval(latest.low, latest.high, true), percent(latest.length_controlled), percent(judged?.agreement), figure(latest.chars), thousands(kept), duration(experiment.nodes.reduce((sum, node) => sum + node.seconds, 0))];
  });
  return table("The latest model of each experiment", heads, rows);
}

function warningsOf(experiment) {
  if (experiment.warnings.length === 0) return null;
  const title = several ? `To know of ${experiment.name}` : "Before believing these numbers";
  return el("aside", { class: "warnings", "aria-label": title }, el("h3", {}, title), el("ul", {}, experiment.warnings.map((line) => el("li", {}, marked(line)))));
}

function summary() {
  return section("summary", "Summary",
    several ? experimentsTable() : cards(experiments[0]),
    several && seeded.length > 0 && el("p", { class: "note" }, `${means()}; pairs and time are sums over seeds.`),
    gathered("What differed", [data.differences.map(differing), data.differences.length > 0 && seeded.length > 0 && el("p", { class: "note" }, "Of several seeds, those of the first that both have are compared.")]),
    several ? gathered("Every model", experiments.map((one) => folded(`Every model of ${one.name}`, modelsTable(one)))) : modelsTable(experiments[0]),
    gathered("What to know before believing these numbers", experiments.map(warningsOf)));
}

/** A part of the page, which the line at its top leads to. */
function section(id, title, ...children) {
  const inside = children.flat(Infinity).filter(Boolean);
  if (inside.length === 0) return null;
  return el("section", { id, "aria-labelledby": `${id}-title`, tabindex: "-1" }, el("h2", { id: `${id}-title` }, title), inside);
}
