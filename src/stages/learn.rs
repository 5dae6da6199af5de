//! Taking the steps of a training, for the two stages that do: `sft` and `train`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::thread::{Scope, ScopedJoinHandle, scope};

use super::adapted::adapted;
use super::checkpoint::{Content, Contents, keep, keep_epochs as keep_each};
use super::course::{Course, figures};
use super::form::Form;
use super::kept_epochs::KeptEpochs;
use super::memory::check;
use super::start::Start;
use super::unmoved::Watch;
use crate::model::adapter::Adapter;
use crate::model::{self, Keep, thread_count};
use crate::records::{Id, Metric};
use crate::runner::{Fault, Interrupted, Io, StageError};
use crate::store::States;
use crate::train::{
    Chunk, Error, Learner, Metrics, Objective, Plan, Saved, Settings, Start as Begin, State,
    Trainer as Local,
};

/// Steps whose metrics are kept at once; as often, the state is saved.
const STEPS_PER_SHARD: usize = 50;

/// What is learned: the examples, and the ids of the rows that they come from.
pub(super) struct Lesson<O: Objective, I: Id> {
    pub(super) objective: O,
    pub(super) ids: Vec<I>,
    pub(super) examples: Vec<O::Example>,
}

/// A row that cannot be trained on.
#[derive(Debug, thiserror::Error)]
#[error("row {id}")]
struct AtFault {
    id: String,
    source: Error,
}

impl<O: Objective, I: Id> Lesson<O, I> {
    /// Names the row that is at fault, where it is one.
    pub(super) fn at_fault(&self, error: Error) -> StageError {
        match error.example().and_then(|example| self.ids.get(example)) {
            Some(id) => AtFault { id: id.to_string(), source: error }.into(),
            None if matches!(error, Error::Stopped) => Interrupted.into(),
            None => error.into(),
        }
    }

    /// Takes all steps that are left, and keeps what each came to, and the weights after each epoch where
    /// the learner does not.
    pub(super) fn take_steps(
        &self,
        io: &mut Io<'_>,
        learner: &mut dyn Learner,
        watch: &mut Watch,
        kept: Option<&KeptEpochs<'_>>,
    ) -> Result<(), StageError> {
        scope(|scope| {
            let reached = Reached { states: io.states(), kept, scope, writing: RefCell::default() };
            self.take_steps_beside(io, learner, watch, &reached)?;
            reached.written()
        })
    }

    fn take_steps_beside(
        &self,
        io: &mut Io<'_>,
        learner: &mut dyn Learner,
        watch: &mut Watch,
        states: &Reached<'_, '_>,
    ) -> Result<(), StageError> {
        let steps = learner.steps();
        let each = (0..steps).map(Ok::<usize, StageError>);
        let mut course = Course::default();
        io.each_shard(steps as u64, STEPS_PER_SHARD, each, |shard, meter| {
            let done = shard.first().copied().unwrap_or(0);
            states.reach(learner, done, &|text| meter.warn(text))?;
            let mut rows = Vec::new();
            for _ in shard {
                let step = learner.step(&|| !meter.interrupted());
                if let Some(metrics) = step.map_err(|error| self.at_fault(error))? {
                    states.keep_epoch(learner)?;
                    watch.see(&metrics);
                    meter.watch(figures(&metrics));
                    if let Some(text) = course.see(&metrics) {
                        meter.warn_of(Fault::Rising, text);
                    }
                    rows.extend(metric_rows(metrics)?);
                    meter.add(1);
                }
            }
            states.save(learner)?;
            Ok(rows)
        })?;
        states.reach(learner, steps, &|text| io.warn(text))
    }
}

/// How this program trains.
pub(super) struct How<'h> {
    pub(super) settings: &'h Settings,
    /// The adapter to train in place of the weights.
    pub(super) adapter: Option<&'h Adapter>,
    /// Whether the model after each epoch is kept.
    pub(super) keep_epochs: bool,
    /// What is kept of the way forwards.
    pub(super) keep: Keep,
    /// Bytes of memory that may be taken.
    pub(super) memory: Option<u64>,
}

/// Takes all steps in this program, and keeps the model that they end in, or where asked the one after each
/// epoch.
pub(super) fn learn<O: Objective + Copy, I: Id>(
    io: &mut Io<'_>,
    start: &Start,
    lesson: &Lesson<O, I>,
    How { settings, adapter, keep_epochs, keep: kept_forwards, memory }: How<'_>,
) -> Result<(), StageError> {
    let config = &start.config;
    let form = Form { config, adapter };
    let (objective, examples) = (lesson.objective, &lesson.examples);
    let plan = Plan { config, adapter, keep: kept_forwards, threads: thread_count() };
    check(&plan, Chunk::largest(&objective, examples, settings), memory)?;
    let weights = if adapter.is_some() { start.base(io)? } else { start.weights(io)? };
    let tensors = adapter.map(|adapter| start.tensors(io, adapter, settings.seed)).transpose()?;
    let begin =
        Begin { config: config.clone(), weights: &weights, adapter: adapter.zip(tensors.as_ref()) };
    let trainer = Local::from(begin, objective, examples, settings.clone());
    let mut trainer = trainer.map_err(|error| lesson.at_fault(error))?.keeping(kept_forwards);
    let mut watch = Watch::from(tensors.as_ref().unwrap_or(&weights), form)?;
    drop((weights, tensors));
    let steps_per_epoch = settings.steps_per_epoch(examples.len());
    let kept = keep_epochs.then(|| KeptEpochs::open(io, steps_per_epoch, form)).transpose()?;
    lesson.take_steps(io, &mut trainer, &mut watch, kept.as_ref())?;
    let weights = trainer.weights();
    if let Some(text) = watch.said(Some((&weights, form)), settings, trainer.steps())? {
        io.warn(text);
    }
    if let Some(kept) = kept {
        let files = kept.files()?.into_iter();
        let each = files.map(|file| folder(io, start, form, Content::File(file)));
        let each = each.collect::<Result<Vec<_>, _>>()?;
        return keep_each(io, each);
    }
    let made = folder(io, start, form, Content::Weights(&weights, form))?;
    keep(io, made)
}

/// The folder of a model: what goes with any weights of its shape, or with any adapter on its base, and these.
fn folder<'c>(
    io: &Io<'_>,
    start: &Start,
    form: Form<'_>,
    trained: Content<'c>,
) -> Result<Contents<'c>, StageError> {
    let companions = model::companions(&start.files);
    let mut made: Contents<'c> =
        companions.map(|(name, path)| (name.clone(), Content::File(path.clone()))).collect();
    match form.adapter {
        Some(adapter) => {
            let beside = adapted(io, &start.files, adapter, BTreeMap::new())?;
            made.extend(beside.into_iter().map(|(name, path)| (name, Content::File(path))));
        }
        None => {
            made.insert("config.json".to_owned(), Content::Text(start.config.to_json()));
        }
    }
    made.insert(form.file().to_owned(), trained);
    Ok(made)
}

/// How far a learner has come, between shards, and the weights after the epochs that have ended, where they
/// are kept. Both are written beside the step that follows, one after the other.
struct Reached<'s, 'e> {
    states: States,
    kept: Option<&'e KeptEpochs<'e>>,
    scope: &'s Scope<'s, 'e>,
    writing: RefCell<Option<ScopedJoinHandle<'s, Result<(), StageError>>>>,
}

impl<'s> Reached<'s, '_> {
    /// Keeps the weights, where an epoch ends and they are to be kept.
    fn keep_epoch(&self, learner: &mut dyn Learner) -> Result<(), StageError> {
        let done = learner.done();
        let Some(kept) = self.kept.filter(|kept| kept.ends(done)) else { return Ok(()) };
        let State::Caller(saved) = learner.state() else { return Ok(()) };
        let snapshot = saved.snapshot();
        self.write(move || kept.keep(done, &snapshot.weights()))
    }

    /// Saves the state, where the learner does not, and drops those before the last: a kill before it is
    /// safe, or before the shard is, leaves the last one needed.
    fn save(&self, learner: &mut dyn Learner) -> Result<(), StageError> {
        let done = learner.done();
        let State::Caller(saved) = learner.state() else { return Ok(()) };
        let (states, snapshot) = (self.states.clone(), saved.snapshot());
        let kept = [done as u64, done.saturating_sub(STEPS_PER_SHARD) as u64];
        self.write(move || {
            states.save(kept[0], |to| Ok::<_, StageError>(snapshot.write(to)?))?;
            drop(snapshot);
            Ok(states.retain(|state| kept.contains(&state.done))?)
        })
    }

    /// Writes in a thread of its own, once what was written before is safe.
    fn write(
        &self,
        write: impl FnOnce() -> Result<(), StageError> + Send + 's,
    ) -> Result<(), StageError> {
        self.written()?;
        self.writing.replace(Some(self.scope.spawn(write)));
        Ok(())
    }

    /// Waits until what is being written is safe.
    fn written(&self) -> Result<(), StageError> {
        match self.writing.take().map(ScopedJoinHandle::join) {
            None => Ok(()),
            Some(Ok(outcome)) => outcome,
            Some(Err(panic)) => resume_unwind(panic),
        }
    }

    /// Brings the learner to where `done` steps are done: takes up the last state that is whole, and
    /// takes the steps after it again. They end where they ended before.
    fn reach(
        &self,
        learner: &mut dyn Learner,
        done: usize,
        warn: &dyn Fn(String),
    ) -> Result<(), StageError> {
        if learner.done() >= done {
            return Ok(());
        }
        self.written()?;
        let missing = self.kept.map(|kept| kept.first_missing(done, warn)).transpose()?.flatten();
        match learner.state() {
            State::Caller(saved) => self.take_up(saved, missing.unwrap_or(done), warn)?,
            State::Folder(own) => {
                own.pass(done);
                return Ok(());
            }
        }
        self.keep_epoch(learner)?;
        let again = learner.done() + 1;
        if again > done {
            return Ok(());
        }
        let why = match missing {
            Some(end) => {
                format!("the weights after step {end}, which ends an epoch, are not there")
            }
            None => format!("there is no state after step {done} to go on from"),
        };
        warn(format!("{why}: steps {again} to {done} are taken again"));
        while learner.done() < done && learner.step(&|| true)?.is_some() {
            self.keep_epoch(learner)?;
            if learner.done().is_multiple_of(STEPS_PER_SHARD) || learner.done() == done {
                self.save(learner)?;
            }
        }
        Ok(())
    }

    /// Takes up the last state up to `done` steps that is what it was, if there is one. Those that are
    /// not are named, and removed.
    fn take_up(
        &self,
        saved: &mut dyn Saved,
        done: usize,
        warn: &dyn Fn(String),
    ) -> Result<(), StageError> {
        for state in self.states.list()? {
            let Some(steps) = usize::try_from(state.done).ok().filter(|steps| *steps <= done)
            else {
                continue;
            };
            let at_fault = match state.check() {
                Err(error) => error.to_string(),
                Ok(()) => match saved.resume(&state.path, steps) {
                    Ok(()) => return Ok(()),
                    Err(error @ Error::State { .. }) => error.to_string(),
                    Err(error) => return Err(error.into()),
                },
            };
            warn(format!("{at_fault}; it is not used"));
            self.states.retain(|other| *other != state)?;
        }
        Ok(())
    }
}

fn metric_rows(metrics: Metrics) -> Result<Vec<Metric>, StageError> {
    let step = i32::try_from(metrics.step)?;
    let epoch = metrics.epoch;
    let row = |(name, value): (std::borrow::Cow<'_, str>, f64)| Metric {
        step,
        epoch,
        metric: name.into_owned(),
        value,
    };
    Ok(metrics.values.into_iter().map(row).collect())
}
