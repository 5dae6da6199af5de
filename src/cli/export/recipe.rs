//! The file that another program is started with: all settings of a training, in its words. What it has no word
//! for is refused by name, or said in a comment where it does no harm.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, context};

use super::lesson::Lesson;
use super::loss::{Loss, loss_for};
use super::target::Target;
use crate::experiment::{DpoLoss, Schedule, Settings};

/// How the batch is cut up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Devices {
    /// Processes that train together.
    pub(super) processes: usize,
    /// Pairs that each holds at once.
    pub(super) pairs: usize,
}

/// A setting that the other program has no word for.
#[derive(Debug, thiserror::Error)]
#[error("`{setting}` of `[train]` cannot be said to {}: {why}", target.title())]
pub(super) struct NoWord {
    target: Target,
    setting: &'static str,
    why: String,
}

/// Writes the file.
pub(super) fn write(
    target: Target,
    lesson: &Lesson,
    devices: Devices,
) -> Result<String, crate::runner::StageError> {
    let Lesson { settings, dpo, pairs, context, .. } = lesson;
    let fail = |(setting, why): (&'static str, String)| NoWord { target, setting, why };
    check(target, lesson).map_err(fail)?;
    let accumulation = accumulation(settings, devices).map_err(fail)?;
    let Loss { parts, notes } = loss_for(target, dpo).map_err(fail)?;
    let smoothing = if dpo.loss == DpoLoss::Ipo { 0.0 } else { dpo.label_smoothing };
    let adamw = settings.adamw;
    let context = context! {
        title => target.title(), command => target.command(),
        experiment => &lesson.experiment, node => &lesson.node, pairs => pairs,
        notes => [notes, others(target, lesson)].concat(),
        losses => parts.iter().map(|part| part.0).collect::<Vec<_>>(),
        weights => weights(&parts), beta => number(dpo.beta),
        ipo => dpo.loss == DpoLoss::Ipo,
        label_smoothing => above_zero(smoothing), nll_weight => above_zero(dpo.nll_weight),
        reference => lesson.reference.is_some(),
        context => context, batch => settings.batch, micro_batch => devices.pairs,
        accumulation => accumulation, epochs => settings.epochs, max_steps => settings.max_steps,
        learning_rate => number(settings.learning_rate), schedule => schedule(settings),
        warmup_steps => settings.warmup_steps, warmup_ratio => warmup_ratio(lesson),
        weight_decay => number(adamw.weight_decay), beta1 => number(adamw.beta1),
        beta2 => number(adamw.beta2), epsilon => number(adamw.eps),
        max_grad_norm => number(settings.max_grad_norm.unwrap_or(0.0)), seed => settings.seed,
    };
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()?,
    );
    Ok(environment.render_str(target.template(), context)?)
}

/// What no word can be found for, whatever the loss.
fn check(target: Target, lesson: &Lesson) -> Result<(), (&'static str, String)> {
    let Lesson { settings, dpo, pairs, .. } = lesson;
    if settings.group_by_length {
        let why = "no trainer of pairs there groups them by length".to_owned();
        return Err(("group_by_length", why));
    }
    let steps = settings.batch.max(1);
    let taken = settings.epochs * (*pairs).div_ceil(steps);
    let ends_earlier = match (settings.schedule_epochs, settings.max_steps) {
        (Some(epochs), _) if epochs > settings.epochs => true,
        (Some(_), Some(most)) => most < taken,
        _ => false,
    };
    if ends_earlier {
        let why = "there the schedule always ends with the last step".to_owned();
        return Err(("schedule_epochs", why));
    }
    if !dpo.reference_is_start && matches!(target, Target::Trl | Target::Axolotl) {
        let why = "its command takes the model that it starts from for the reference".to_owned();
        return Err(("reference", why));
    }
    if target == Target::OpenRlhf {
        if settings.max_steps.is_some() {
            return Err(("max_steps", "it always takes whole epochs".to_owned()));
        }
        if *pairs < settings.batch {
            let why = format!("it takes whole batches alone, and there are only {pairs} pairs");
            return Err(("batch", why));
        }
    }
    Ok(())
}

/// How often each process adds to a gradient before a step is taken.
fn accumulation(settings: &Settings, devices: Devices) -> Result<usize, (&'static str, String)> {
    let at_once = devices.processes * devices.pairs;
    if at_once > 0 && settings.batch.is_multiple_of(at_once) {
        return Ok(settings.batch / at_once);
    }
    let Devices { processes, pairs } = devices;
    let why = format!(
        "{} pairs cannot be cut up evenly among {processes} processes that hold {pairs} at once",
        settings.batch
    );
    Err(("batch", why))
}

/// What differs there and does no harm.
fn others(target: Target, lesson: &Lesson) -> Vec<&'static str> {
    let mut notes = Vec::new();
    if lesson.has_logps {
        notes.push(
            "ref_chosen_logps and ref_rejected_logps are what the reference made of the ids that were drawn. This \
             command finds its own, and wants `precompute_ref_log_probs` off beside them; a DPOTrainer takes them \
             once its `precompute_ref_logps` is set to True.",
        );
    }
    if target == Target::OpenRlhf {
        notes.push("Pairs that do not fill a batch are left out of each epoch.");
    }
    if target == Target::Axolotl && lesson.settings.warmup_steps == 1 {
        notes.push("axolotl makes two steps of warm-up of one.");
    }
    notes
}

/// The weights of a loss of several parts.
fn weights(parts: &[(&'static str, f64)]) -> Option<Vec<String>> {
    let alone = matches!(parts, [(_, weight)] if (weight - 1.0).abs() < f64::EPSILON);
    (!alone).then(|| parts.iter().map(|(_, weight)| number(*weight)).collect())
}

/// A schedule as transformers calls it.
const fn schedule(settings: &Settings) -> &'static str {
    match settings.schedule {
        Schedule::Constant => "constant_with_warmup",
        Schedule::Linear => "linear",
        Schedule::Cosine => "cosine",
    }
}

/// The share of all steps that comes to the steps of warm-up, where the share is rounded up; steps are those of
/// whole batches.
#[expect(clippy::cast_precision_loss, reason = "steps are few")]
fn warmup_ratio(lesson: &Lesson) -> String {
    let Lesson { settings, pairs, .. } = lesson;
    let steps = (settings.epochs * (pairs / settings.batch.max(1))).max(1);
    match settings.warmup_steps {
        0 => number(0.0),
        warmup => number((warmup as f64 - 0.5) / steps as f64),
    }
}

fn above_zero(value: f64) -> Option<String> {
    (value > 0.0).then(|| number(value))
}

/// A number that YAML takes for one: with a point, also before an exponent, which has a sign.
fn number(value: f64) -> String {
    let text = format!("{value:?}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let digits = if digits.contains('.') { digits.to_owned() } else { format!("{digits}.0") };
    let sign = if exponent.starts_with('-') { "" } else { "+" };
    format!("{digits}e{sign}{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_numbers_in_yaml() {
        let said = [5e-6, 0.1, 1.0, 1e-8, 2.5e-7, 1e20].map(number);
        assert_eq!(said, ["5.0e-6", "0.1", "1.0", "1.0e-8", "2.5e-7", "1.0e+20"]);
    }
}
