//! The epochs that a training keeps: a node for the model after each, what that is worth on the validation
//! prompts, and the choice among them.

use super::evaluation::Evaluation;
use super::iteration::ALL_EPOCHS;
use super::loop_::Loop;
use super::per_iteration::Choice;
use super::spanned::Spanned;
use super::{Error, validation};
use crate::runner::{Input, Node};
use crate::stages::{Choose, Epoch, EpochRule, Verb};

/// What a training makes.
const CHECKPOINTS: &str = Verb::Train.makes()[0];

/// Adds the choice of `M_t` among the epochs that iteration t − 1 keeps, where it does.
pub(super) fn of_model(
    all: &Loop<'_>,
    evaluation: Option<&Evaluation<'_>>,
    t: usize,
    nodes: &mut Vec<Node>,
) -> Result<(), Error> {
    let with = &all.iterations[t - 1];
    let Some(choice) = with.choice else { return Ok(()) };
    let checkpoints = Input::table(all.name(Verb::Train, t, ALL_EPOCHS)?, CHECKPOINTS);
    let mut inputs = vec![checkpoints.clone()];
    let best = evaluation.filter(|_| choice == Choice::Best);
    for epoch in 1..=with.train.settings.epochs {
        let name = all.name(Verb::Train, t, &part_of(epoch))?;
        let stage = Box::new(Epoch { epoch });
        nodes.push(Node { name: name.clone(), stage, inputs: vec![checkpoints.clone()] });
        if let (Some(evaluation), Some(estimates)) = (best, Choose::ESTIMATES.get(epoch - 1)) {
            let model = Input { name: "model", ..Input::table(name, CHECKPOINTS) };
            let found = validation::of_model(evaluation, (t, &part_of(epoch)), model, nodes)?;
            inputs.push(Input { name: estimates, ..found });
        }
    }
    let choose = match (choice, best) {
        (Choice::Epoch(epoch), _) => EpochRule::Epoch(epoch),
        (Choice::Best, Some(evaluation)) => EpochRule::Best(chosen_by(all, evaluation)?),
        (Choice::Best | Choice::Last, _) => EpochRule::Last,
    };
    let name = all.name(Verb::Train, t, "")?;
    nodes.push(Node { name, stage: Box::new(Choose { choose }), inputs });
    Ok(())
}

/// The part of the nodes of an epoch.
fn part_of(epoch: usize) -> String {
    format!(".epoch{epoch}")
}

/// The estimate that the best epoch is chosen by.
fn chosen_by(all: &Loop<'_>, evaluation: &Evaluation<'_>) -> Result<String, Error> {
    /// Where the file is silent.
    const SILENT: &str = "win_rate";
    let train = &all.file().root.train;
    let standard = validation::standard(evaluation);
    let known: Vec<&str> = standard.names().collect();
    let name = train.choose_by.as_ref().map_or(SILENT, |named| named.as_ref());
    if known.contains(&name) {
        return Ok(name.to_owned());
    }
    let listed: Vec<String> = known.iter().map(|known| format!("`{known}`")).collect();
    let listed = listed.join(", ");
    Err(match (&train.choose_by, &train.choose) {
        (Some(named), _) => {
            let message =
                format!("expected a standard estimate of answers: {listed}; found `{name}`");
            all.values.mistake(named, message)
        }
        (None, named) => {
            let span = named.as_ref().map_or(0..0, Spanned::span);
            let message = format!(
                "nothing decides games to choose by: expected `choose_by`, one of {listed}"
            );
            all.file().text.error(&span, message)
        }
    })
}

/// Checks that what the best is chosen by is not said in vain.
pub(super) fn check(all: &Loop<'_>) -> Result<(), Error> {
    let chooses = all.iterations.iter().any(|with| with.choice == Some(Choice::Best));
    let idle = all.file().root.train.choose_by.as_ref().filter(|_| !chooses);
    idle.map_or(Ok(()), |named| {
        Err(all
            .values
            .mistake(named, "`choose_by` belongs to `choose = \"best\"`, which no iteration has"))
    })
}
