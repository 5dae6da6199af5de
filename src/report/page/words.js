// What things are called, and what they mean, for somebody who has not read the code.

/** Estimates that are charted one by one: their title, what they say, and how they are drawn. */
const MEASURES = {
  win_rate: { title: "Win rate", share: true, line: 0.5, note: "Share of games won against the baseline, a tie counting half." },
  length_controlled_win_rate: { title: "Win rate at equal length", share: true, line: 0.5, note: "What the win rate would be if both answers were as long." },
  gain: { title: "Gain over the model before", share: true, line: 0, note: "Difference of win rates between a model and the one before it, prompt by prompt." },
  oracle_score: { title: "Oracle's score", note: "Mean score of held-out answers by the experiment's oracle, which the loop never sees." },
  response_chars: { title: "Length of answers", zero: true, note: "Mean characters of held-out answers." },
  responses_cut: { title: "Answers cut", share: true, zero: true, note: "Share of held-out answers that the token limit cut.", calm: { value: 0, said: "No held-out answer was cut by the token limit." } },
  "position_bias/first_wins": { title: "First shown wins", share: true, line: 0.5, note: "Of decided games, the share won by whichever answer was shown first." },
  "position_bias/disagree": { title: "Orders disagree", share: true, zero: true, note: "Share of games whose winner changes with the order of the answers." },
  judge_agreement: { title: "Judge agrees with the oracle", share: true, note: "Share of answers on a fixed panel that the judge scores as the oracle does." },
  "judge_agreement/kappa_quadratic": { title: "Agreement beyond chance", note: "Quadratically weighted kappa: 1 is agreement, 0 is chance." },
  "judge_correlation/spearman": { title: "Order agrees with the oracle", note: "Spearman's rank correlation of the judge's and the oracle's scores." },
  judge_score: { title: "Mean score", note: "What the judge gives on average." },
  judge_saturation: { title: "Highest score", share: true, zero: true, note: "Share of judgements at the top of the scale: a judge up there tells nothing apart." },
  judge_score_spread: { title: "Self-consistency", zero: true, note: "Standard deviation of the judge's scores for one answer: 0 is a judge that always says the same." },
  judge_length_slope: { title: "Points for length", line: 0, note: "Points that 100 more characters are worth, among answers to one prompt." },
  "judge_status ok": { title: "Judgements read", share: true, note: "Share of judgements whose score could be read.", calm: { value: 1, said: "Every judgement could be read." } },
  "meta_judge_status ok": { title: "Meta-judgements read", share: true, note: "Share of meta-judgements whose winner could be read.", calm: { value: 1, said: "Every meta-judgement could be read." } },
  "meta_judge_first_wins all": { title: "Meta-judge's position bias", share: true, line: 0.5, note: "Share of decided comparisons won by the judgement that was shown first." },
  meta_judge_higher_score_wins: { title: "Higher score wins", share: true, line: 0.5, note: "Share of comparisons won by the judgement with the higher score." },
  rating_standard_error: { title: "Uncertainty of ratings", zero: true, note: "Mean standard error of a judgement's strength, in natural-log units." },
};

/** Why a pair was not made, after "no pair: ". */
const REASONS = {
  kept: "kept",
  no_valid_score: "too few valid scores",
  equal_scores: "all answers score the same",
  equal_texts: "all answers are the same text",
  equal_ids: "both sides are the same tokens",
  cut: "the preferred answer was cut by the token limit",
  not_better: "the preferred answer scores no higher",
  chosen_too_long: "the preferred side is too long",
  no_variance: "the scores of no answer vary",
  no_information: "comparing tells no judgement from another",
  too_many_of_score: "enough pairs prefer that score",
  too_many_judge_pairs: "enough judge pairs",
};

/** What could not be read, and why. */
const STATUSES = {
  missing: "no verdict in the text",
  off_scale: "off the scale",
  truncated: "cut by the token limit",
  ambiguous: "names no one verdict",
  refused: "the model did not take the prompt",
};

const ROLES = { actor: "Pairs of answers", judge: "Pairs of judgements" };

const METRICS = {
  loss: { title: "Loss", note: "What a training lowers." },
  "rewards/margins": { title: "Margins", note: "How much more the policy prefers the chosen side than its reference does, in nats." },
  "rewards/accuracies": { title: "Accuracies", share: true, note: "Share of a batch's pairs whose chosen side is preferred." },
};

function reason(word) {
  return REASONS[word] ?? word.replaceAll("_", " ");
}

function status(word) {
  return STATUSES[word] ?? word.replaceAll("_", " ");
}

/** Who decided the games of an experiment. */
function decider(opponents) {
  if (opponents.judge === "sql") return "decided by a query over the right answers";
  return /^m\d+$/.test(opponents.judge) ? `decided by ${opponents.judge}` : `decided by the judge ${opponents.judge}`;
}

/** `train.m2` makes M2; `sft.m0` makes M0. */
function trainingOf(node) {
  const [stage, model] = node.split(".");
  return stage === "sft" ? `${model} (fine-tuning)` : model;
}
