// One prompt, and all that was made of it.

function detail(one) {
  const { experiment, where, row } = one;
  const body = where === HELD_OUT ? heldOutBody(one) : shareBody(one);
  return [
    el("h3", { tabindex: "-1" }, where === HELD_OUT ? "Held-out prompt" : `Prompt of ${where}`),
    el("p", { class: "note" }, [several ? experiment.name : null, isNumber(experiment.shown_seed) ? `seed ${experiment.shown_seed}` : null, row.category, el("code", {}, row.id)].filter(Boolean).flatMap((part, at) => at > 0 ? [" · ", part] : [part])),
    el("div", { class: "prompt" }, written(row.prompt)),
    row.reference === undefined ? null : el("div", { class: "reference" }, el("h4", {}, "Right answer"), written(row.reference)),
    body,
    elsewhere(one),
  ];
}

/** The same prompt in other experiments, where it is shown, too. */
function elsewhere(one) {
  const others = entries.filter((other) => other !== one && other.row.id === one.row.id);
  return others.length > 0 && el("p", { class: "note" }, "The same prompt elsewhere: ", others.flatMap((other, at) => [at > 0 ? ", " : "", linkTo(other, `${other.experiment.name}/${other.where}`)]));
}

function heldOutBody({ experiment, row }) {
  const baseline = experiment.opponents?.baseline;
  const latest = experiment.opponents?.latest;
  const both = row.answers.filter((one) => one.model === baseline || one.model === latest);
  const others = row.answers.filter((one) => !both.includes(one));
  return [
    el("div", { class: "beside" }, both.map((one) => heldOutAnswer(one, baseline))),
    others.length > 0 && (both.length > 0 ? folded(`Answers of ${others.map((one) => one.model).join(", ")}`, el("div", { class: "beside" }, others.map((one) => heldOutAnswer(one, baseline)))) : el("div", { class: "beside" }, others.map((one) => heldOutAnswer(one, baseline)))),
  ];
}

function heldOutAnswer(answer, baseline) {
  const became = fate(answer.preference);
  const said = answer.model === baseline ? "the baseline" : answer.preference === undefined ? null : `${became}${became === "equal" || became === "undecided" ? "" : ` than ${baseline}`}`;
  return el(
    "div",
    { class: "answer" },
    el("h4", {}, answer.model, said && el("span", { class: `badge ${became}` }, said)),
    written(answer.text),
    el("p", { class: "note" }, [counted(answer.chars, "character"), answer.finish === "length" ? "cut by the token limit" : null, answer.finish === "refused" ? "refused" : null].filter(Boolean).join("; ")),
    answer.games && folded(counted(answer.games.length, "verdict"), answer.games.map((game) => gameOf(game, answer.model, baseline))),
  );
}

function gameOf(game, model, baseline) {
  const first = { model, baseline }[game.first_shown];
  const won = isNumber(game.preference) ? (game.preference > 0.5 ? `${model} wins` : game.preference < 0.5 ? `${baseline} wins` : "a tie") : `not read: ${status(game.status)}`;
  return el("div", { class: "judgement" }, el("p", { class: "note" }, [first ? `${first} shown first` : null, won].filter(Boolean).join("; ")), game.text !== undefined && written(game.text));
}

function shareBody({ row }) {
  const order = row.answers.map((answer, at) => ({ answer, at })).sort((one, other) => (other.answer.score ?? -Infinity) - (one.answer.score ?? -Infinity));
  return [
    (row.actor || row.judge) && el("ul", { class: "outcomes" }, ["actor", "judge"].filter((role) => row[role]).map((role) => el("li", {}, outcomeOf(role, row[role])))),
    row.answers.length === 0 ? el("p", {}, "It is not answered yet.") : el("h4", {}, `${counted(row.answers.length, "distinct answer")}, best score first`),
    order.length > 0 && el("ol", { class: "answers" }, order.map(({ answer, at }) => el("li", { class: "answer" }, shareAnswer(row, answer, at)))),
  ];
}

function outcomeOf(role, outcome) {
  const name = role === "actor" ? "Answers" : "Judgements";
  if (outcome.became !== "kept") return [el("strong", {}, `${name}: no pair`), `, ${reason(outcome.became)}.`];
  const both = isNumber(outcome.score_chosen) ? ` ${figure(outcome.score_chosen)} against ${figure(outcome.score_rejected)}` : "";
  const unit = role === "actor" ? "mean score" : "strength";
  return [el("strong", {}, `${name}: a pair`), both && `, ${unit}${both}`, "."];
}

function shareAnswer(row, answer, at) {
  const badges = [];
  if (row.actor?.became === "kept" && row.actor.chosen === at) badges.push(el("span", { class: "badge better" }, "chosen"));
  if (row.actor?.became === "kept" && row.actor.rejected === at) badges.push(el("span", { class: "badge worse" }, "rejected"));
  const read = answer.judgements.filter((one) => isNumber(one.score));
  const compared = (row.compared ?? []).filter((one) => one.answer === at);
  return [
    el("p", { class: "score" }, isNumber(answer.score) ? el("strong", {}, figure(answer.score)) : "no score", badges,
      el("span", { class: "note" }, [answer.samples.length > 1 ? `said ${answer.samples.length} times` : null, counted(answer.chars, "character"), answer.finish === "length" ? "cut by the token limit" : null, answer.finish === "refused" ? "refused" : null].filter(Boolean).join("; "))),
    written(answer.text),
    answer.judgements.length > 0 && folded(`${counted(answer.judgements.length, "judgement")}: ${read.map((one) => figure(one.score).replace(/\.00$/, "")).join(" ")}${read.length < answer.judgements.length ? ` and ${answer.judgements.length - read.length} not read` : ""}`,
      el("ol", { class: "judgements" }, answer.judgements.map((one, place) => el("li", { class: "judgement" }, judgementOf(row, answer, at, one, place))))),
    compared.length > 0 && folded(`${counted(compared.length, "meta-judgement")} of these`, el("ul", { class: "judgements" }, compared.map((one) => el("li", { class: "judgement" }, comparisonOf(one))))),
  ];
}

function judgementOf(row, answer, at, judgement, place) {
  const { judge } = row;
  const paired = judge?.became === "kept" && judge.chosen === at;
  const badge = paired && judge.chosen_judgement === place ? el("span", { class: "badge better" }, "chosen")
    : paired && judge.rejected_judgement === place ? el("span", { class: "badge worse" }, "rejected") : null;
  return [
    el("p", { class: "score" }, isNumber(judgement.score) ? el("strong", {}, figure(judgement.score).replace(/\.00$/, "")) : el("strong", { class: "unread" }, "not read"), badge,
      el("span", { class: "note" }, [judgement.unread ? status(judgement.unread) : null, isNumber(judgement.strength) ? `strength ${figure(judgement.strength)}` : null].filter(Boolean).join("; "))),
    written(judgement.text),
  ];
}

function comparisonOf(one) {
  const [first, second] = [one.first + 1, one.second + 1];
  const won = one.unread ? `not read: ${status(one.unread)}` : one.winner === 1 ? `judgement ${first} wins` : one.winner === -1 ? `judgement ${second} wins` : "a tie";
  return [el("p", { class: "note" }, `${first} shown before ${second}: ${won}`), written(one.text)];
}
