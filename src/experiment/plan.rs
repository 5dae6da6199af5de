//! From the file to the nodes.

use super::engines::Engines;
use super::evaluation::Evaluation;
use super::loop_::Loop;
use super::needs::{self, Need};
use super::scale::Scale;
use super::toml_file::File;
use super::{Error, epochs, estimates, iteration, validation};
use crate::runner::{Node, Plan};

/// Expands the file into the plan's nodes, checking every value that the TOML reader could not.
pub(super) fn expand(
    file: &File,
    engines: &Engines,
) -> Result<(Plan, Vec<Scale>, Vec<Need>), Error> {
    let (mut nodes, mut scales, mut needs) = (Vec::new(), Vec::new(), Vec::new());
    match (&file.root.model, &file.root.prompts) {
        (Some(model), Some(prompts)) => {
            let all = Loop::new(file, model, prompts, engines)?;
            let evaluation = Evaluation::new(&all)?;
            let evaluation = evaluation.as_ref();
            let scale = |t| {
                let validation = evaluation.map(|evaluation| validation::asked(evaluation, t));
                Some(Scale { validation: validation.unwrap_or_default(), ..Scale::of(&all, t)? })
            };
            scales.extend((0..all.iterations.len()).filter_map(scale));
            needs.extend(needs::of(&all)?);
            lay_out(&all, evaluation, &mut nodes)?;
        }
        // Numbers over files alone need neither.
        (None, None) if !file.root.estimate.is_empty() => refuse_loop(file)?,
        (None, _) => return Err(file.text.error(&(0..0), "missing field `model`")),
        (_, None) => return Err(file.text.error(&(0..0), "missing field `prompts`")),
    }
    estimates::add(file, None, &mut nodes)?;
    estimates::check(file, &nodes)?;
    let path = std::path::absolute(&file.text.path).ok();
    let experiment = file.root.name.as_ref().clone();
    let plan = Plan { experiment, file: path, variant: None, nodes };
    Ok((plan, scales, needs))
}

/// Adds the nodes of the loop, with the evaluation of each model after what is done with it.
fn lay_out(
    all: &Loop<'_>,
    evaluation: Option<&Evaluation<'_>>,
    nodes: &mut Vec<Node>,
) -> Result<(), Error> {
    epochs::check(all)?;
    iteration::fine_tuning(all, nodes)?;
    if let Some(evaluation) = evaluation {
        evaluation.begin(nodes)?;
        validation::begin(evaluation, nodes)?;
    }
    let last = all.iterations.len();
    for t in 0..last {
        iteration::of(all, t, nodes)?;
        epochs::of_model(all, evaluation, t + 1, nodes)?;
        if let Some(evaluation) = evaluation {
            evaluation.of_model(t, nodes)?;
        }
        estimates::add(all.file(), Some(t), nodes)?;
    }
    if let Some(evaluation) = evaluation {
        evaluation.of_model(last, nodes)?;
        estimates::add(all.file(), Some(last), nodes)?;
    }
    Ok(())
}

/// Without a model there is no loop, and what is said of one is a mistake.
fn refuse_loop(file: &File) -> Result<(), Error> {
    const OF_ALL: [&str; 3] = ["name", "seed", "estimate"];
    let of_loop = file.names.iter().find(|name| !OF_ALL.contains(&name.as_ref().as_str()));
    of_loop.map_or(Ok(()), |name| {
        let message = format!("`{}` belongs to a loop, and there is no `[model]`", name.as_ref());
        Err(file.text.error(&name.span(), message))
    })
}

/// The name is a file name in the store and a text in SQL.
pub(super) fn check_name(file: &File) -> Result<(), Error> {
    let name = file.root.name.as_ref();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.is_empty() && name.chars().all(plain) && !name.starts_with('.') {
        return Ok(());
    }
    let message = format!("expected a name of letters, digits, `-`, `_` and `.`, found `{name}`");
    Err(file.text.error(&file.root.name.span(), message))
}
