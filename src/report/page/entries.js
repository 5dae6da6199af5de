// The rows that can be looked at, as one list: held-out prompts, and prompts of the iterations.

const HELD_OUT = "held-out";

/** How a model did against the baseline on one prompt. */
function fate(preference) {
  if (!isNumber(preference)) return "undecided";
  return preference > 0.5001 ? "better" : preference < 0.4999 ? "worse" : "equal";
}

function entriesOf(experiment) {
  const latest = experiment.opponents?.latest;
  const heldOut = experiment.held_out.map((row) => {
    const answer = row.answers.find((one) => one.model === latest);
    const outcome = latest ? [`${latest} ${fate(answer?.preference)}`] : [];
    const games = row.answers.flatMap((one) => one.games ?? []);
    return entry(experiment, HELD_OUT, row, { outcome, reasons: [], statuses: unique(games.map((game) => game.status).filter((word) => word !== "ok")), texts: row.answers.map((one) => plain(one.text)) });
  });
  const shares = experiment.shares.flatMap(({ model, shown }) => shown.map((row) => {
    const roles = ["actor", "judge"].filter((role) => row[role]);
    return entry(experiment, model, row, {
      outcome: roles.map((role) => `${role === "actor" ? "answers" : "judgements"} ${row[role].became === "kept" ? "paired" : "not paired"}`),
      reasons: roles.map((role) => row[role].became).filter((word) => word !== "kept"),
      statuses: row.unread ?? [],
      texts: row.answers.flatMap((one) => [plain(one.text), ...one.judgements.map((judgement) => plain(judgement.text))]),
    });
  }));
  return [...heldOut, ...shares];
}

function entry(experiment, where, row, { outcome, reasons, statuses, texts }) {
  const searched = [row.id, plain(row.prompt), plain(row.reference), row.category ?? "", ...texts].join("\n").toLowerCase();
  return { experiment, where, row, outcome, reasons, statuses: statuses.length > 0 ? statuses : ["ok"], category: row.category ?? "", searched };
}

function unique(values) {
  return [...new Set(values)];
}

const entries = experiments.flatMap(entriesOf);

/** The first characters of an id are enough, here as for `mrx trace`. */
const ID_CHARACTERS = 14;

function addressOf({ experiment, where, row }) {
  return { prompt: row.id.slice(0, ID_CHARACTERS), of: `${experiment.name}/${where}` };
}

function entryAt(prompt, of) {
  const found = entries.filter((one) => one.row.id.startsWith(prompt));
  return found.find((one) => addressOf(one).of === of) ?? found[0];
}

/** What the list can be narrowed by: each has a name, a label, the values of an entry, and how a value is said. */
const FILTERS = [
  { name: "experiment", label: "Experiment", of: (one) => [one.experiment.name] },
  { name: "where", label: "Prompts", of: (one) => [one.where], said: (value) => value === HELD_OUT ? "held out" : `of ${value}` },
  { name: "category", label: "Category", of: (one) => [one.category], said: (value) => value === "" ? "(none)" : value },
  { name: "outcome", label: "Outcome", of: (one) => one.outcome },
  { name: "reason", label: "Reason for no pair", of: (one) => one.reasons, said: reason },
  { name: "status", label: "Verdicts", of: (one) => one.statuses, said: (value) => value === "ok" ? "all read" : status(value) },
];

/** The values that a filter can take; one that all entries share is none. */
function choicesOf(filter) {
  const counts = new Map();
  for (const one of entries) for (const value of new Set(filter.of(one))) counts.set(value, (counts.get(value) ?? 0) + 1);
  const values = [...counts].map(([value, count]) => ({ value, count, said: (filter.said ?? String)(value) }));
  const byWords = (one, other) => one.said.localeCompare(other.said, "en", { numeric: true });
  return values.length > 1 || (values[0]?.count ?? entries.length) < entries.length ? values.sort(byWords) : [];
}

function matching(state) {
  const words = (state.search ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = FILTERS.filter((filter) => state[filter.name] !== undefined);
  return entries.filter((one) => chosen.every((filter) => filter.of(one).includes(state[filter.name])) && words.every((word) => one.searched.includes(word)));
}
