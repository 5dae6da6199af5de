// How it was made: trainings, time, settings, and what differed.

function trainingSection() {
  return section("training", "Training", ["loss", "rewards/margins", "rewards/accuracies"].flatMap((metric) => ["train", "sft"].map((stage) => curves(metric, stage))));
}

/** A metric over the steps of every training, small multiples. */
function curves(metric, stage) {
  const told = experiments.flatMap((one, at) => one.curves.filter((curve) => curve.metric === metric && curve.node.startsWith(`${stage}.`)).map((curve) => ({ ...curve, at, experiment: one.name, line: `${one.name} ${curve.seed ?? ""}`, made: trainingOf(curve.node) })));
  if (told.length === 0) return null;
  const points = told.flatMap((curve) => curve.steps.map((step, at) => ({ ...curve, step, value: curve.values[at] }))).filter((point) => isNumber(point.value));
  const words = METRICS[metric];
  const title = stage === "sft" ? `${words.title}, fine-tuning of M0` : words.title;
  const models = [...new Set(told.map((curve) => curve.made))].sort((one, other) => parseInt(one.slice(1)) - parseInt(other.slice(1)));
  const series = experiments.map((one, at) => ({ name: one.name, colour: colour(at) }));
  const ends = (curve) => { const values = curve.values.filter(isNumber); return [values[0], values.at(-1)]; };
  const bySeed = told.some((curve) => curve.seed !== undefined);
  const said = `${title}. ${grouped(told, (curve) => `${curve.experiment} ${curve.made}`).map((curves) => `${several ? `${curves[0].experiment}, ` : ""}${curves[0].made}: from ${span(curves.map((curve) => ends(curve)[0]), words.share)} to ${span(curves.map((curve) => ends(curve)[1]), words.share)}`).join(". ")}.`;
  const steps = Math.max(...told.map((curve) => curve.steps_a_point));
  const drawing = drawn(said, (width) => Plot.plot(options(width, 180, {
    marginTop: 30,
    x: { label: null, tickSize: 0, ticks: Math.max(2, Math.floor(width / models.length / 70)), tickFormat: (value) => thousands(value) },
    y: { label: null, ticks: 4, tickSize: 0, grid: true, nice: true, tickFormat: ticked(words.share, [0, 1]) },
    ...(models.length > 1 ? { fx: { domain: models, label: null, padding: 0.1 } } : {}),
    marks: [
      metric === "rewards/margins" ? Plot.ruleY([0], { stroke: "var(--rule-strong)" }) : null,
      Plot.line(points, { fx: models.length > 1 ? "made" : undefined, x: "step", y: "value", z: "line", stroke: (point) => colour(point.at), strokeWidth: bySeed ? 1 : 1.6, strokeOpacity: bySeed ? 0.6 : 1 }),
    ],
  })));
  const note = `${words.note} By optimizer step${steps > 1 ? `; points are means of up to ${steps} steps` : ""}${bySeed ? "; a line for each seed" : ""}.`;
  const numbers = table(title, ["Training", ...(bySeed ? ["Seed"] : []), "Steps", "First point", "Last point"], told.map((curve) => [`${several ? `${curve.experiment}, ` : ""}${curve.made}`, ...(bySeed ? [`${curve.seed ?? ""}`] : []), thousands(curve.steps.at(-1)), ...ends(curve).map((value) => shown(value, words.share))]));
  return chart({ title, note, series: several ? series : [], wide: true, drawing, numbers });
}

/** The values of several curves: one, or from the least to the greatest. */
function span(values, share) {
  const there = values.filter(isNumber);
  if (there.length === 0) return "";
  const [least, most] = [Math.min(...there), Math.max(...there)].map((value) => shown(value, share));
  return least === most ? least : `${least} \u2013 ${most}`;
}

function costSection() {
  return section("cost", "Time", el("div", { class: "grid pair" }, ofEach((one) => [times(one)])), gathered("Every node", experiments.map((one) => folded(several ? `Every node of ${one.name}` : "Every node", nodesTable(one)))), gathered("What a prompt takes", experiments.map(takes)));
}

function times(experiment) {
  const made = experiment.nodes.filter((node) => node.finished);
  const stages = [...new Set(made.map((node) => node.stage))];
  const rows = stages.map((stage) => {
    const nodes = made.filter((node) => node.stage === stage);
    const sum = (field) => nodes.reduce((total, node) => total + node[field], 0);
    return { stage, seconds: sum("seconds"), rows: sum("rows"), nodes: nodes.length };
  });
  const title = several ? `Time by stage, ${experiment.name}` : "Time by stage";
  const all = rows.reduce((sum, row) => sum + row.seconds, 0);
  const drawing = drawn(`${title}. ${rows.map((row) => `${row.stage} ${duration(row.seconds)}`).join(", ")}.`, (width) => Plot.plot(options(width, 12 + 22 * rows.length, {
    marginLeft: 84, marginTop: 2, marginBottom: 4, marginRight: 76,
    y: { type: "band", domain: stages, label: null, padding: 0.3, tickSize: 0 },
    x: { axis: null, domain: [0, Math.max(...rows.map((row) => row.seconds), 1e-9)] },
    marks: [
      Plot.barX(rows, { y: "stage", x: "seconds", fill: "var(--series-0)", fillOpacity: 0.75 }),
      Plot.text(rows, { y: "stage", x: "seconds", text: (row) => duration(row.seconds), textAnchor: "start", dx: 6, fill: "var(--ink)" }),
    ],
  })));
  const numbers = table(title, ["Stage", "Nodes", "Rows", "Time"], rows.map((row) => [row.stage, thousands(row.nodes), thousands(row.rows), duration(row.seconds)]));
  return chart({ title, note: `${duration(all)} in all${inSeeds(experiment)}. What was made for an earlier experiment counts as long as it took then.`, drawing, numbers });
}

function nodesTable(experiment) {
  return table(`Nodes of ${experiment.name}`, ["Node", "Rows", "Time", "Made"], experiment.nodes.map((node) => [node.node, node.finished ? thousands(node.rows) : "", node.finished ? duration(node.seconds) : "", madeOn(experiment, node)]));
}

/** When a node was made; of several seeds, of how many where some lack it. */
function madeOn(experiment, node) {
  if (!node.finished) return "not made";
  const [made, of] = [node.seeds ?? 0, seedsOf(experiment)];
  return [node.day, made < of && `${made} of ${of} seeds`].filter(Boolean).join(", ");
}

/** Texts and tokens that a prompt takes. */
function takes(experiment) {
  const names = { calls: "Texts", prompt_tokens: "Tokens read", completion_tokens: "Tokens drawn" };
  const rows = experiment.numbers.filter((number) => number.name === "calls" && isNumber(number.value)).map(({ model, group }) => [
    model, group.replaceAll("_", "-"), ...Object.keys(names).map((name) => figure(experiment.numbers.find((number) => number.name === name && number.model === model && number.group === group)?.value))]);
  return rows.length > 0 && folded(several ? `What a prompt takes in ${experiment.name}` : "What a prompt takes", table("What a prompt takes", ["Model", "For", ...Object.values(names)], rows));
}

function settingsSection() {
  return section("settings", "Settings", gathered("Every setting", experiments.map((one) => [settingsOf(one), seedsTable(one)])));
}

/** What differed between the first experiment and another; the same change of several nodes is told once. */
function differing({ name, settings }) {
  const changes = new Map();
  for (const { node, change } of settings) changes.set(change, [...(changes.get(change) ?? []), node]);
  const title = `${name} against ${experiments[0].name}`;
  return el("div", { class: "differences" }, el("h3", {}, title), changes.size === 0
    ? el("p", {}, "No setting and no file differs.")
    : listedIn(changes.size, table(title, ["What differs", "Of"], [...changes].map(([change, nodes]) => [el("span", { class: "written" }, marked(change)), nodes.join(", ")]))));
}

/** A long list opens when one asks for it. */
function listedIn(length, list) {
  const MOST = 8;
  return length > MOST ? folded(counted(length, "difference"), list) : list;
}

/** Short values in a table, texts of several lines below it. */
function settingsOf(experiment) {
  const lines = experiment.settings.flatMap(({ stage, field, values }) => values.map(({ models, value, seeds }) => ({ stage, field, value, of: [values.length > 1 || models.length < 2 ? models.join(", ") : "every model", seeds && `seed ${listOfSeeds(seeds)}`].filter(Boolean).join("; ") })));
  const isLong = ({ value }) => plain(value).includes("\n") || plain(value).length > 60;
  const title = `Settings of ${experiment.name}`;
  const short = table(title, ["Stage", "Setting", "Value", "Of"], lines.filter((line) => !isLong(line)).map((line) => [line.stage, line.field, written(line.value, "span"), line.of]));
  const long = lines.filter(isLong).map((line) => folded(`${line.stage}: ${line.field} (${line.of})`, el("pre", {}, written(line.value))));
  return folded(several ? title : "Every setting", short, long);
}
