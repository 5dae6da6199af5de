// What was estimated of answers, of judges and of pairs, iteration by iteration.

/** Every model of every experiment, M0 first. */
function allModels() {
  const names = new Set(experiments.flatMap((one) => one.models.map((model) => model.model)));
  return [...names].sort((one, other) => +one.slice(1) - +other.slice(1));
}

/** Those that have such a number: an axis with empty places says nothing. */
function modelsOf(series) {
  const there = new Set(series.flatMap((one) => one.rows.filter((row) => isNumber(row.value)).map((row) => row.model)));
  return allModels().filter((model) => there.has(model));
}

/** A measure by iteration, a series for each experiment. */
function measured(key, words) {
  const [name, group] = key.split(" ");
  const series = experiments.map((one) => ({ name: several ? one.name : undefined, rows: numbersNamed(one, name, group ?? "all") }));
  return byModel({ ...words, series, models: modelsOf(series) });
}

function measures(...keys) {
  return keys.filter((key) => !isCalm(key)).map((key) => measured(key, MEASURES[key])).filter(Boolean);
}

/** Whether a measure that warns of something never does: a sentence says so in place of a chart. */
function isCalm(key) {
  const { calm } = MEASURES[key];
  if (!calm) return false;
  const [name, group] = key.split(" ");
  const values = experiments.flatMap((one) => numbersNamed(one, name, group ?? "all")).map((number) => number.value).filter(isNumber);
  return values.length > 0 && values.every((value) => value === calm.value);
}

function calmly(...keys) {
  const said = keys.filter(isCalm).map((key) => MEASURES[key].calm.said);
  return said.length > 0 && el("p", { class: "note" }, said.join(" "));
}

function grid(...children) {
  const inside = children.flat(Infinity).filter(Boolean);
  return inside.length > 0 && el("div", { class: "grid" }, inside);
}

function answersSection() {
  return section("answers", "Answers",
    ofSeeds(),
    grid(measures("win_rate", "length_controlled_win_rate", "gain", "oracle_score", "response_chars", "responses_cut", "position_bias/first_wins", "position_bias/disagree")),
    calmly("responses_cut"));
}

function judgeSection() {
  return section("judge", "Judge",
    ofSeeds(),
    grid(measures("judge_agreement", "judge_agreement/kappa_quadratic", "judge_correlation/spearman")),
    histograms(),
    grid(measures("judge_score", "judge_saturation", "judge_score_spread", "judge_length_slope", "judge_status ok")),
    probes(),
    grid(measures("meta_judge_first_wins all", "meta_judge_higher_score_wins", "meta_judge_status ok")),
    calmly("judge_status ok", "meta_judge_status ok"));
}

/** What each experiment has of its own: of many it opens when one asks for it. */
function ofEach(charts) {
  const all = experiments.map((one) => [one.name, charts(one).filter(Boolean)]).filter(([, found]) => found.length > 0);
  return many ? all.map(([name, found]) => folded(name, found)) : all.flatMap(([, found]) => found);
}

/** Scores of each iteration, small multiples. */
function histograms() {
  const all = experiments.map((one) => ({ one, rows: one.numbers.filter((number) => number.name === "judge_score_histogram" && isNumber(number.value)).map((number) => ({ ...number, score: +number.group })) })).filter(({ rows }) => rows.length > 0);
  const scores = [...new Set(all.flatMap(({ rows }) => rows.map((row) => row.score)))].sort((one, other) => one - other);
  const top = Math.max(0, ...all.flatMap(({ rows }) => rows.map((row) => row.high ?? row.value)));
  const ofOne = ({ one, rows }) => {
    const title = several ? `Scores given by ${one.name}` : "Scores given";
    const models = [...new Set(rows.map((row) => row.model))];
    const said = `${title}. ${models.map((model) => `${model}: ${rows.filter((row) => row.model === model).map((row) => `${row.score} in ${percent(row.value)}`).join(", ")}`).join(". ")}.`;
    const drawing = drawn(said, (width) => Plot.plot(options(width, 190, {
      marginTop: 30,
      x: { type: "band", domain: scores, label: null, padding: 0.15, tickSize: 0, ticks: scores.length > 12 ? scores.filter((score) => Number.isInteger(score)) : scores },
      y: { domain: [0, top], label: null, ticks: 4, tickSize: 0, grid: true, tickFormat: ticked(true, [0, top]) },
      fx: { domain: models, label: null, padding: 0.12 },
      marks: [
        Plot.barY(rows, { fx: "model", x: "score", y: "value", fill: "var(--series-0)", fillOpacity: 0.75 }),
        Plot.ruleX(rows.filter((row) => isNumber(row.low)), { fx: "model", x: "score", y1: (row) => Math.max(0, row.low), y2: "high", stroke: "var(--ink)", strokeWidth: 1 }),
        Plot.ruleY([0], { stroke: "var(--rule-strong)" }),
      ],
    })));
    const numbers = table(title, ["Model", "Score", "Share", "95 % interval"], rows.map((row) => [row.model, row.group, percent(row.value), interval(row.low, row.high, true)]));
    return chart({ title, note: `Share of judgements by score, model by model, with 95 % intervals${seedsOf(one) > 0 ? `; means over ${seedsOf(one)} seeds` : ""}.`, wide: true, drawing, numbers });
  };
  return ofEach((experiment) => all.filter(({ one }) => one === experiment).map(ofOne));
}

/** Answers that deserve nothing: a judge that likes one can be gamed. */
function probes() {
  const names = [...new Set(experiments.flatMap((one) => one.numbers.filter((number) => number.name === "probe_gain").map((number) => number.group)))];
  const series = (group) => experiments.map((one) => ({ name: several ? one.name : undefined, rows: numbersNamed(one, "probe_gain", group) }));
  const values = names.flatMap((name) => series(name).flatMap((one) => one.rows.flatMap((row) => [row.value, row.low, row.high]))).filter(isNumber);
  const domain = values.length > 0 ? padded(Math.min(0, ...values), Math.max(0, ...values)) : undefined;
  return grid(names.map((name) => byModel({
    title: `Probe: ${name}`, line: 0, domain, models: modelsOf(series(name)), series: series(name),
    note: "Points that the judge gives it above the real answer: above 0, it can be gamed.",
  })));
}

function pairsSection() {
  return section("pairs", "Pairs", ofEach((one) => [became(one, "actor"), became(one, "judge"), grid(lengths(one))]));
}

/** What became of the candidates of one role. */
function became(experiment, role) {
  const rows = experiment.pairs.filter((pair) => pair.role === role);
  if (rows.length === 0) return null;
  const reasons = ["kept", ...Object.keys(REASONS).slice(1)].filter((word) => rows.some((row) => row.became === word));
  rows.forEach((row) => reasons.includes(row.became) || reasons.push(row.became));
  const series = reasons.map((word, at) => ({ name: reason(word), colour: colour(at), symbol: "bar" }));
  const models = [...new Set(rows.map((row) => row.model))];
  const title = several ? `${ROLES[role]}, ${experiment.name}` : ROLES[role];
  const said = `${title}. ${models.map((model) => `${model}: ${rows.filter((row) => row.model === model).map((row) => `${thousands(row.n)} ${reason(row.became)}`).join(", ")}`).join(". ")}.`;
  const drawing = drawn(said, (width) => Plot.plot(options(width, 30 + 28 * models.length, {
    marginLeft: 36, marginTop: 4, marginRight: 18,
    y: { type: "band", domain: models, label: null, padding: 0.25, tickSize: 0 },
    x: { label: null, ticks: Math.max(3, Math.floor(width / 120)), tickSize: 0, grid: true, tickFormat: (value) => thousands(value) },
    color: { domain: reasons, range: series.map((one) => one.colour) },
    marks: [Plot.barX(rows, { y: "model", x: "n", fill: "became", order: reasons, insetLeft: 0.5, insetRight: 0.5 }), Plot.ruleX([0], { stroke: "var(--rule-strong)" })],
  })));
  const numbers = table(title, ["Model", ...reasons.map(reason)], models.map((model) => [model, ...reasons.map((word) => thousands(rows.find((row) => row.model === model && row.became === word)?.n ?? 0))]));
  return chart({ title, note: `What became of each prompt's candidate${inSeeds(experiment)}: kept to learn from, or dropped for a reason.`, series, wide: true, drawing, numbers });
}

/** Lengths of chosen and rejected sides; a chart for each role. */
function lengths(one) {
  return ["actor", "judge"].map((role) => {
    const series = ["chosen", "rejected"].map((side) => ({ name: side, rows: numbersNamed(one, "pair_chars", `${role} ${side}`) }));
    const title = `Length, ${ROLES[role].toLowerCase()}${several ? `, ${one.name}` : ""}`;
    return byModel({ title, note: "Mean characters of the side that is preferred and of the other.", series, models: modelsOf(series), zero: true });
  });
}

/** Estimates that an experiment asks for itself. */
function ownSection() {
  const standard = ["answers", "judging", "panel", ""];
  const own = experiments.flatMap((one) => one.numbers.filter((number) => !standard.includes(number.part)));
  const titles = [...new Set(own.map((number) => JSON.stringify([number.part, number.name, number.group])))].map((text) => JSON.parse(text));
  const charts = titles.map(([part, name, group]) => {
    const of = (number) => number.part === part && number.name === name && number.group === group;
    const series = experiments.map((one) => ({ name: several ? one.name : undefined, rows: one.numbers.filter(of) }));
    const title = [name, group === "all" ? null : group].filter(Boolean).join(", ");
    return byModel({ title, note: part === name ? null : `Of the estimate ${part}.`, series, models: modelsOf(series) }) ?? alone(title, series);
  });
  return section("own", "Own estimates", grid(charts));
}

/** Numbers that belong to no iteration. */
function alone(title, series) {
  const rows = series.flatMap((one) => one.rows.map((row) => [one.name ?? row.model, figure(row.value), interval(row.low, row.high), row.method]));
  return rows.length > 0 && el("figure", { class: "chart" }, el("figcaption", {}, el("h3", {}, title)), table(title, ["Of", "Value", "95 % interval", "How"], rows));
}
