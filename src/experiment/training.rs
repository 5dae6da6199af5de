//! How a model is trained: `[sft]` and `[train]` have these settings in common, and read them alike.

use std::ops::Range;

use super::Error;
use super::per_iteration::{Choice, Count, Decay, Minority, Norm, Positive, Rate, Steps, Switch};
use super::spanned::Spanned;
use super::toml_file::{ReferenceModel, Sft, StartModel, Train, TrainerKind};
use super::values::Values;
use crate::stages::{AdamW, Choose, Dpo, DpoLoss, Engine, Import, Schedule, Settings, Trainer};

/// What the file says of a training; what it leaves out is as in [`Settings::default`].
struct Training {
    learning_rate: Option<Rate>,
    schedule: Option<Schedule>,
    schedule_epochs: Option<Count>,
    /// Where `schedule_epochs` stands.
    schedule_epochs_at: Range<usize>,
    warmup_steps: Option<Steps>,
    epochs: Option<Count>,
    max_steps: Option<Count>,
    batch: Option<Count>,
    weight_decay: Option<Rate>,
    adam_beta1: Option<Decay>,
    adam_beta2: Option<Decay>,
    adam_epsilon: Option<Positive>,
    max_grad_norm: Option<Norm>,
    group_by_length: Option<Switch>,
}

impl Training {
    fn of_examples(sft: &Sft) -> Self {
        Self {
            learning_rate: sft.learning_rate,
            schedule: sft.schedule,
            schedule_epochs: sft.schedule_epochs.as_ref().map(|named| *named.as_ref()),
            schedule_epochs_at: sft.schedule_epochs.as_ref().map_or(0..0, Spanned::span),
            warmup_steps: sft.warmup_steps,
            epochs: sft.epochs,
            max_steps: sft.max_steps,
            batch: sft.batch,
            weight_decay: sft.weight_decay,
            adam_beta1: sft.adam_beta1,
            adam_beta2: sft.adam_beta2,
            adam_epsilon: sft.adam_epsilon,
            max_grad_norm: sft.max_grad_norm,
            group_by_length: sft.group_by_length,
        }
    }

    fn of_pairs(values: &Values<'_>, train: &Train, t: usize) -> Result<Self, Error> {
        Ok(Self {
            learning_rate: values.given(&train.learning_rate, t)?,
            schedule: train.schedule,
            schedule_epochs: values.given(&train.schedule_epochs, t)?,
            schedule_epochs_at: train.schedule_epochs.as_ref().map_or(0..0, Spanned::span),
            warmup_steps: values.given(&train.warmup_steps, t)?,
            epochs: values.given(&train.epochs, t)?,
            max_steps: values.given(&train.max_steps, t)?,
            batch: values.given(&train.batch, t)?,
            weight_decay: values.given(&train.weight_decay, t)?,
            adam_beta1: values.given(&train.adam_beta1, t)?,
            adam_beta2: values.given(&train.adam_beta2, t)?,
            adam_epsilon: values.given(&train.adam_epsilon, t)?,
            max_grad_norm: values.given(&train.max_grad_norm, t)?,
            group_by_length: values.given(&train.group_by_length, t)?,
        })
    }

    fn settings(&self, values: &Values<'_>) -> Result<Settings, Error> {
        let silent = Settings::default();
        let epochs = self.epochs.map_or(silent.epochs, Count::size);
        let schedule_epochs = self.schedule_epochs.map(Count::size);
        if let Some(found) = schedule_epochs.filter(|scheduled| *scheduled < epochs) {
            let message = format!("expected at least the {epochs} epochs, found {found}");
            return Err(values.file.text.error(&self.schedule_epochs_at, message));
        }
        Ok(Settings {
            learning_rate: self.learning_rate.map_or(silent.learning_rate, |rate| rate.0),
            schedule: self.schedule.unwrap_or(silent.schedule),
            warmup_steps: self.warmup_steps.map_or(silent.warmup_steps, Steps::size),
            adamw: AdamW {
                beta1: self.adam_beta1.map_or(silent.adamw.beta1, |beta| beta.0),
                beta2: self.adam_beta2.map_or(silent.adamw.beta2, |beta| beta.0),
                eps: self.adam_epsilon.map_or(silent.adamw.eps, |eps| eps.0),
                weight_decay: self.weight_decay.map_or(silent.adamw.weight_decay, |decay| decay.0),
            },
            max_grad_norm: self.max_grad_norm.map_or(silent.max_grad_norm, |norm| norm.0),
            batch: self.batch.map_or(silent.batch, Count::size),
            epochs,
            schedule_epochs,
            max_steps: self.max_steps.map(Count::size),
            seed: values.seed,
            group_by_length: self.group_by_length.map_or(silent.group_by_length, |on| on.0),
            ..silent
        })
    }
}

/// Who makes the model of a node; with the checkpoint that is brought for it, where one is.
pub(super) fn trainer(
    values: &Values<'_>,
    kind: TrainerKind,
    node: &str,
) -> Result<Trainer, Error> {
    Ok(match kind {
        TrainerKind::Local => Trainer::Local,
        TrainerKind::Trl => match &values.engines.trl {
            Some(trl) => Trainer::Trl(Box::new(trl.clone())),
            None => return Err(values.file.text.error(&(0..0), "nothing is known of TRL here")),
        },
        TrainerKind::Import => {
            let brought = values.engines.brought.as_ref().filter(|(of, _)| of == node);
            Trainer::Import(Import { brought: brought.map(|(_, brought)| brought.clone()) })
        }
    })
}

/// What trains, where that is this program.
pub(super) fn engine(values: &Values<'_>, trainer: &Trainer) -> Option<Engine> {
    trainer.is_local().then(|| values.engines.local.clone())
}

/// Whether this program computes layers again on the way back; TRL is told so in its own table.
pub(super) fn checkpoints(
    values: &Values<'_>,
    trainer: TrainerKind,
    on: Option<&Spanned<Switch>>,
) -> Result<bool, Error> {
    match on {
        Some(named) if trainer != TrainerKind::Local => {
            let message = "`gradient_checkpointing` here is the local trainer's: TRL's is said in `[trainer]`";
            Err(values.file.text.error(&named.span(), message))
        }
        on => Ok(on.is_some_and(|on| on.as_ref().0)),
    }
}

/// How M0 is fine-tuned.
pub(super) fn of_examples(values: &Values<'_>, sft: &Sft) -> Result<Settings, Error> {
    let settings = Training::of_examples(sft).settings(values)?;
    refuse_grouping(values, sft.trainer, &settings)?;
    Ok(settings)
}

/// Batches of one length are this program's alone: a setting that nobody reads is a mistake.
fn refuse_grouping(
    values: &Values<'_>,
    trainer: TrainerKind,
    settings: &Settings,
) -> Result<(), Error> {
    if trainer != TrainerKind::Trl || !settings.group_by_length {
        return Ok(());
    }
    let message =
        "`group_by_length` is the local trainer's: with `trl` rows come in the order of the seed";
    Err(values.file.text.error(&(0..0), message))
}

/// How iteration t takes its steps.
pub(super) fn of_pairs(values: &Values<'_>, train: &Train, t: usize) -> Result<Settings, Error> {
    let settings = Training::of_pairs(values, train, t)?.settings(values)?;
    refuse_grouping(values, train.trainer, &settings)?;
    // Keys have always spelt out the schedule that follows from the epochs. One that ends with the last
    // step, as TRL's does, is spelt as none.
    let schedule_epochs = match (settings.schedule_epochs, settings.max_steps) {
        (None, None) => Some(settings.epochs),
        (given, _) => given,
    };
    Ok(Settings { schedule_epochs, ..settings })
}

/// Which of the epochs of iteration t becomes the model; `None` where none but the last is kept.
pub(super) fn choice(
    values: &Values<'_>,
    train: &Train,
    epochs: usize,
    t: usize,
) -> Result<Option<Choice>, Error> {
    let keeps = values.at(&train.keep_epochs, t, Switch(false))?.0;
    let choice = values.at(&train.choose, t, Choice::Last)?;
    if let Some(named) = &train.choose {
        refuse_choice(values, choice, (keeps, epochs))
            .map_or(Ok(()), |message| Err(values.mistake(named, message)))?;
    }
    let steps = values.given(&train.max_steps, t)?;
    if let Some(named) = train.max_steps.as_ref().filter(|_| keeps && steps.is_some()) {
        let message =
            "expected no `max_steps` beside `keep_epochs`: an epoch that they cut short has no end";
        return Err(values.mistake(named, message));
    }
    if let Some(named) = train.keep_epochs.as_ref().filter(|_| keeps)
        && train.trainer == TrainerKind::Import
    {
        let message =
            "expected no `keep_epochs` with the trainer `import`: one checkpoint is brought";
        return Err(values.mistake(named, message));
    }
    Ok(keeps.then_some(choice))
}

/// What is wrong with a choice, where something is.
fn refuse_choice(
    values: &Values<'_>,
    choice: Choice,
    (keeps, epochs): (bool, usize),
) -> Option<String> {
    let evaluate = values.file.root.evaluate.as_ref().map(Spanned::as_ref);
    let most = Choose::ESTIMATES.len();
    match choice {
        Choice::Epoch(_) | Choice::Best if !keeps => {
            Some("expected `keep_epochs = true` beside this: only the last epoch is kept".to_owned())
        }
        Choice::Epoch(epoch) if epoch > epochs => {
            Some(format!("expected an epoch from 1 to {epochs}, found {epoch}"))
        }
        Choice::Best if evaluate.and_then(|table| table.validation).is_none() => Some(
            "expected `[evaluate]` with `validation`, a share of its prompts, to choose the best by".to_owned(),
        ),
        Choice::Best if epochs > most => {
            Some(format!("expected at most {most} epochs to choose the best of, found {epochs}"))
        }
        Choice::Last | Choice::Epoch(_) | Choice::Best => None,
    }
}

/// What iteration t learns.
pub(super) fn dpo(values: &Values<'_>, train: &Train, t: usize) -> Result<Dpo, Error> {
    let silent = Dpo::default();
    let label_smoothing = values.at(&train.label_smoothing, t, Minority(silent.label_smoothing))?.0;
    if let Some(named) = train.label_smoothing.as_ref()
        && label_smoothing > 0.0
        && train.loss == Some(DpoLoss::Ipo)
    {
        return Err(values.mistake(named, "expected no label smoothing with the loss `ipo`"));
    }
    let length_normalised =
        values.at(&train.length_normalised, t, Switch(silent.length_normalised))?.0;
    if let Some(named) = train.label_smoothing.as_ref()
        && label_smoothing > 0.0
        && length_normalised
        && train.trainer == TrainerKind::Trl
    {
        let message =
            "TRL has no label smoothing of the length-normalised loss: expected one of the two";
        return Err(values.mistake(named, message));
    }
    Ok(Dpo {
        beta: values.at(&train.beta, t, Positive(silent.beta))?.0,
        loss: train.loss.unwrap_or(silent.loss),
        label_smoothing,
        nll_weight: values.at(&train.nll_weight, t, Rate(silent.nll_weight))?.0,
        length_normalised,
        reference_is_start: t == 0
            || train.reference == ReferenceModel::Start
            || train.start == StartModel::M0,
    })
}
