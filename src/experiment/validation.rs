//! `[evaluate] validation`: the held-out prompts that no test uses, and what the models are worth on them
//! among which one is chosen.

use super::Error;
use super::evaluation::{Decides, Evaluation, RESPONSES, VERDICTS};
use super::loop_::VALIDATION;
use super::per_iteration::Choice;
use super::scale::Load;
use crate::runner::{Input, Node};
use crate::stages::{HeldOut, Standard, Verb};

/// Adds the validation prompts, and the baseline's answers to them where models play it there.
pub(super) fn begin(evaluation: &Evaluation<'_>, nodes: &mut Vec<Node>) -> Result<(), Error> {
    let Some(share) = evaluation.table.validation else { return Ok(()) };
    evaluation.ask(VALIDATION, Some(HeldOut::Validation(share.0)), nodes)?;
    let mut iterations = evaluation.all.iterations.iter();
    let chooses = iterations.any(|with| with.choice == Some(Choice::Best));
    if chooses && evaluation.decides.is_some() {
        evaluation.baseline_answers(VALIDATION, nodes)?;
    }
    Ok(())
}

/// What a model is worth on the validation prompts.
pub(super) fn standard(evaluation: &Evaluation<'_>) -> Standard {
    evaluation.standard(evaluation.decides.is_some(), None)
}

/// Adds what a model that may be chosen answers to the validation prompts, and what that is worth; returns
/// the estimates.
pub(super) fn of_model(
    evaluation: &Evaluation<'_>,
    (t, part): (usize, &str),
    model: Input,
    nodes: &mut Vec<Node>,
) -> Result<Input, Error> {
    let name = |verb: Verb| evaluation.all.name(verb, t, part);
    let prompts = evaluation.all.held_out(VALIDATION)?;
    let stage = Box::new(evaluation.respond.clone());
    nodes.push(Node { name: name(Verb::Respond)?, stage, inputs: vec![prompts.clone(), model] });
    let answers = Input::table(name(Verb::Respond)?, RESPONSES);
    let mut inputs = vec![prompts, answers.clone(), evaluation.files()];
    if let Some((stage, games)) = evaluation.games(VALIDATION, answers)? {
        nodes.push(Node { name: name(Verb::Evaluate)?, stage, inputs: games });
        inputs.push(Input::table(name(Verb::Evaluate)?, VERDICTS));
    }
    let stage = Box::new(standard(evaluation));
    nodes.push(Node { name: name(Verb::Estimate)?, stage, inputs });
    Ok(Input::table(name(Verb::Estimate)?, Verb::Estimate.makes()[0]))
}

/// What is asked for each validation prompt, at most, to choose the model that iteration t makes.
pub(super) fn asked(evaluation: &Evaluation<'_>, t: usize) -> Vec<Load> {
    let with = &evaluation.all.iterations[t];
    if with.choice != Some(Choice::Best) {
        return Vec::new();
    }
    let respond = &evaluation.respond;
    let answers = (respond.samples as u64).saturating_mul(with.train.settings.epochs as u64);
    let answer = respond.sampling.max_tokens;
    let mut asked = vec![Load::of(&respond.engine, answers, (0, answer))];
    if let Some(Decides::Judge(compare, _)) = &evaluation.decides {
        let games = answers.saturating_mul(compare.order.times());
        asked.push(Load::of_games(compare, games, answer));
    }
    asked
}
