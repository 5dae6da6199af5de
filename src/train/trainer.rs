//! The loop: one step after the other, each a function of the state before it.

use std::borrow::Cow;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Tensor;
use rayon::prelude::*;

use crate::model::adapter::Adapter;
use crate::model::weights::{Kind, Parameter, parameters};
use crate::model::{Batch, Config, Gradients, Keep, Network, Weights, spread};

use super::adamw::{AdamW, Moments, Rate, square};
use super::error::Error;
use super::learner::{Learned, Learner, Metrics, Saved, State};
use super::objective::{Objective, Outcome, Totals};
use super::settings::Settings;
use super::state::Snapshot;
use super::{batches, state};

/// A model being trained.
pub struct Trainer<'t, O: Objective> {
    objective: O,
    examples: &'t [O::Example],
    settings: Settings,
    lengths: Vec<usize>,
    network: Network,
    adapter: Option<Adapter>,
    parameters: Vec<Trained>,
    gradients: Gradients,
    keep: Keep,
    done: usize,
    order: (usize, Vec<Vec<usize>>),
    /// Ends of snapshots that may not be dropped yet.
    held: Mutex<Vec<Receiver<()>>>,
}

/// A weight, and where its steps are at.
struct Trained {
    parameter: Parameter,
    weight: Tensor,
    moments: Moments,
}

/// What a pass over some examples came to, beside its gradients.
#[derive(Default)]
struct Ran {
    outcomes: Vec<Outcome>,
    tokens: usize,
}

/// Numbers of a network up to which a thread for every chunk is faster than all threads on one product. Each
/// chunk then has gradients of its own.
pub(super) const SMALL: usize = 1 << 24;

/// What training starts from.
pub struct Start<'w> {
    /// What the network computes.
    pub config: Arc<Config>,
    /// Its weights.
    pub weights: &'w Weights,
    /// The adapter to train in place of them, and its tensors.
    pub adapter: Option<(&'w Adapter, &'w Weights)>,
}

impl<'t, O: Objective> Trainer<'t, O> {
    /// Starts from `weights`, and trains all of them.
    ///
    /// # Errors
    /// Where an example or a setting cannot be used.
    pub fn new(
        config: Arc<Config>,
        weights: &Weights,
        objective: O,
        examples: &'t [O::Example],
        settings: Settings,
    ) -> Result<Self, Error> {
        Self::from(Start { config, weights, adapter: None }, objective, examples, settings)
    }

    /// Starts from weights, and trains all of them, or the adapter beside them. Weights that are not trained
    /// are shared with the caller.
    ///
    /// # Errors
    /// Where an example, a setting or the adapter cannot be used.
    pub fn from(
        Start { config, weights, adapter }: Start<'_>,
        objective: O,
        examples: &'t [O::Example],
        settings: Settings,
    ) -> Result<Self, Error> {
        settings.check()?;
        let lengths = check(&objective, examples, &config)?;
        let (list, of, mut all) = match adapter {
            Some((adapter, own)) => {
                adapter.check(&config).map_err(Error::Adapter)?;
                (adapter.parameters(&config), own, weights.clone())
            }
            None => (parameters(&config), weights, Weights::new()),
        };
        let mut trained = Vec::new();
        for parameter in list {
            if let Some(tensor) = of.get(&parameter.name) {
                let weight = tensor.copy()?.detach();
                all.insert(parameter.name.clone(), weight.clone());
                let moments = Moments::zero(&weight)?;
                trained.push(Trained { parameter, weight, moments });
            }
        }
        let adapter = adapter.map(|(adapter, _)| adapter.clone());
        let network = Network::adapted(config, &all, adapter.as_ref())?;
        let gradients = Gradients::of(trained.iter().map(|t| &t.weight))?;
        let order = (0, batches::epoch(&settings, &lengths, 0));
        Ok(Self {
            objective,
            examples,
            settings,
            lengths,
            network,
            adapter,
            parameters: trained,
            gradients,
            keep: Keep::All,
            done: 0,
            order,
            held: Mutex::default(),
        })
    }

    /// Says what is kept of the way forwards. No number depends on it.
    #[must_use]
    pub fn keeping(self, keep: Keep) -> Self {
        Self { keep, ..self }
    }

    /// Steps in all.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.settings.steps(self.examples.len())
    }

    /// Steps done.
    #[must_use]
    pub const fn done(&self) -> usize {
        self.done
    }

    fn steps_per_epoch(&self) -> usize {
        self.settings.steps_per_epoch(self.examples.len())
    }

    /// The weights that are trained, as they are.
    #[must_use]
    pub fn weights(&self) -> Weights {
        let each = self.parameters.iter();
        each.map(|t| (t.parameter.name.clone(), t.weight.clone())).collect()
    }

    /// The model as it is.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// Takes the next step, if there is one.
    ///
    /// # Errors
    /// Where the loss or a gradient is not finite, or the reference is not the model that it is said
    /// to be. The weights are then those before the step.
    pub fn step(&mut self) -> Result<Option<Metrics>, Error> {
        if self.done == self.steps() {
            return Ok(None);
        }
        let batch = self.batch();
        let totals = self.totals(&batch);
        let Ran { outcomes, tokens } = self.run(&batch, &totals)?;
        let loss = outcomes.iter().map(|outcome| outcome.loss).sum::<f64>();
        self.check_finite("the loss".to_owned(), loss, &batch)?;
        let norm = self.norm(&batch)?;
        let scheduled = self.settings.scheduled_steps(self.examples.len());
        let share = self.settings.schedule.share(self.done, self.settings.warmup_steps, scheduled);
        let learning_rate = self.settings.learning_rate * share;
        // The clipping of PyTorch, to its last digit.
        let clip = self.settings.max_grad_norm.map_or(1.0, |most| (most / (norm + 1e-6)).min(1.0));
        self.wait();
        self.done += 1;
        let rate = Rate { step: self.done, learning_rate, clip, decay: 0.0 };
        let adamw = self.settings.adamw;
        let gradients = &self.gradients;
        self.parameters
            .par_iter()
            .try_for_each(|trained| trained.update(trained.gradient(gradients)?, &adamw, rate))?;
        let mut values = vec![("loss", loss)];
        values.extend(sums(&outcomes));
        values.extend([("grad_norm", norm), ("learning_rate", learning_rate)]);
        let values = values.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect();
        let epoch = self.done as f64 / self.steps_per_epoch() as f64;
        Ok(Some(Metrics { step: self.done, epoch, tokens, values }))
    }

    /// The examples of the next step.
    fn batch(&mut self) -> Vec<usize> {
        let (epoch, place) =
            (self.done / self.steps_per_epoch(), self.done % self.steps_per_epoch());
        if self.order.0 != epoch {
            self.order = (epoch, batches::epoch(&self.settings, &self.lengths, epoch));
        }
        self.order.1[place].clone()
    }

    fn totals(&self, batch: &[usize]) -> Totals {
        let mut target_tokens = Vec::new();
        for &example in batch {
            let (_, targets) = self.objective.parts(&self.examples[example]);
            target_tokens.resize(targets.len(), 0);
            for (sum, target) in target_tokens.iter_mut().zip(targets) {
                *sum += target.len();
            }
        }
        Totals { examples: batch.len(), target_tokens }
    }

    /// Runs a batch forwards and backwards, chunk by chunk. Gradients are added up in the order of the chunks,
    /// however many run at a time.
    fn run(&self, batch: &[usize], totals: &Totals) -> Result<Ran, Error> {
        let chunks = batches::chunks(batch, &self.lengths);
        self.gradients.clear()?;
        let mut whole = Ran::default();
        if chunks.len() == 1 || self.network.numbers() > SMALL {
            for chunk in chunks {
                whole.add(self.pass(&chunk, totals, &self.gradients)?);
            }
            return Ok(whole);
        }
        for wave in chunks.chunks(rayon::current_num_threads()) {
            let pass = |chunk: Vec<usize>| {
                let own = Gradients::of(self.parameters.iter().map(|t| &t.weight))?;
                Ok::<_, Error>((self.pass(&chunk, totals, &own)?, own))
            };
            for ran in spread(wave.to_vec(), pass)? {
                let (ran, own) = ran?;
                whole.add(ran);
                self.gradients.add(&own)?;
            }
        }
        Ok(whole)
    }

    /// One pass over some examples: log-probabilities, their outcomes, and Σ slope·log-probability
    /// backwards, whose gradient is the loss's.
    fn pass(&self, chunk: &[usize], totals: &Totals, onto: &Gradients) -> Result<Ran, Error> {
        let parts: Vec<_> =
            chunk.iter().map(|example| self.objective.parts(&self.examples[*example])).collect();
        let targets: Vec<u32> = parts.iter().flat_map(|(_, targets)| targets.concat()).collect();
        let (batch, sources) = Batch::of_continuations(parts.iter().cloned());
        let pass = self.network.forwards(&batch, (&sources, &targets), self.keep)?;
        let mut values = pass.logps().iter().copied().map(f64::from);
        let (mut outcomes, mut slopes) = (Vec::new(), Vec::new());
        for (&example, (_, targets)) in chunk.iter().zip(&parts) {
            let sum = |target: &&[u32]| values.by_ref().take(target.len()).sum::<f64>();
            let sums: Vec<f64> = targets.iter().map(sum).collect();
            self.check_reference(example, &sums)?;
            let outcome = self.objective.outcome(&self.examples[example], &sums, totals);
            for (slope, target) in outcome.slopes.iter().zip(targets) {
                slopes.extend(std::iter::repeat_n(*slope, target.len()));
            }
            outcomes.push(outcome);
        }
        pass.backwards(&slopes, onto)?;
        Ok(Ran { outcomes, tokens: batch.len() })
    }

    /// Before the first step a model that is its own reference agrees with it.
    fn check_reference(&self, example: usize, logps: &[f64]) -> Result<(), Error> {
        if self.done > 0 {
            return Ok(());
        }
        let Some(expected) = self.objective.expected(&self.examples[example]) else {
            return Ok(());
        };
        let off = |(policy, reference): &(&f64, &f64)| {
            let apart = (**policy - **reference).abs();
            apart.is_nan() || apart > 1e-3 + 1e-4 * reference.abs()
        };
        match logps.iter().zip(&expected).find(off) {
            Some((&policy, &reference)) => {
                Err(Error::ReferenceDiffers { example, policy, reference })
            }
            None => Ok(()),
        }
    }

    /// The length of the gradient, summed tensor by tensor in the order of their names.
    fn norm(&self, batch: &[usize]) -> Result<f64, Error> {
        let square = |trained: &Trained| square(trained.gradient(&self.gradients)?);
        let squares: Vec<f64> =
            self.parameters.par_iter().map(square).collect::<Result<_, Error>>()?;
        for (Trained { parameter, .. }, square) in self.parameters.iter().zip(&squares) {
            self.check_finite(format!("the gradient of `{}`", parameter.name), *square, batch)?;
        }
        Ok(squares.iter().sum::<f64>().sqrt())
    }

    fn check_finite(&self, what: String, value: f64, batch: &[usize]) -> Result<(), Error> {
        if value.is_finite() {
            return Ok(());
        }
        Err(Error::NotFinite { step: self.done + 1, what, value, examples: batch.to_vec() })
    }

    /// All that the next steps depend on. No weight moves before it is dropped: the next step waits for that.
    pub fn snapshot(&mut self) -> Snapshot {
        let (held, end) = channel();
        self.held().push(end);
        let each = self.parameters.iter();
        let each = each.map(|t| (t.parameter.name.clone(), t.weight.clone(), t.moments.clone()));
        let (done, fingerprint) = (self.done, self.fingerprint());
        Snapshot { done, fingerprint, trained: each.collect(), _held: held }
    }

    fn held(&mut self) -> &mut Vec<Receiver<()>> {
        self.held.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all snapshots are dropped.
    fn wait(&mut self) {
        for held in self.held().drain(..) {
            while held.recv().is_ok() {}
        }
    }

    /// Takes up what [`Snapshot::write`] wrote after `done` steps, in a trainer made from the same
    /// things. Whoever keeps the file vouches for its bytes: numbers in it are taken as they are.
    ///
    /// # Errors
    /// Where it is not such a state, or of another run or step; the trainer is then as it was.
    pub fn resume(&mut self, path: &Path, done: usize) -> Result<(), Error> {
        let mut saved = state::load(path, done, self.fingerprint())?;
        let take = |t: &Trained| saved.take(&t.parameter.name, &t.weight);
        let taken = self.parameters.iter().map(take).collect::<Result<Vec<_>, _>>()?;
        self.wait();
        for (trained, (weight, moments)) in self.parameters.iter_mut().zip(taken) {
            trained.weight.slice_set(&weight, 0, 0)?;
            trained.moments = moments;
        }
        self.done = done;
        Ok(())
    }

    /// A digest of the settings and the examples.
    fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{:?}", self.settings).as_bytes());
        if let Some(adapter) = &self.adapter {
            hasher.update(format!("{adapter:?}").as_bytes());
        }
        self.objective.fingerprint(&mut hasher);
        for example in self.examples {
            let (prompt, targets) = self.objective.parts(example);
            for tokens in std::iter::once(prompt).chain(targets) {
                hasher.update(&(tokens.len() as u64).to_le_bytes());
                for id in tokens {
                    hasher.update(&id.to_le_bytes());
                }
            }
            self.objective.fingerprint_of(example, &mut hasher);
        }
        *hasher.finalize().as_bytes()
    }
}

impl<O: Objective> Learner for Trainer<'_, O> {
    fn steps(&self) -> usize {
        self.steps()
    }

    fn done(&self) -> usize {
        self.done
    }

    fn step(&mut self, _: &dyn Fn() -> bool) -> Result<Option<Metrics>, Error> {
        self.step()
    }

    fn state(&mut self) -> State<'_> {
        State::Caller(self)
    }

    fn learned(&mut self, _: &dyn Fn() -> bool) -> Result<Learned, Error> {
        Ok(Learned::Weights(self.weights()))
    }
}

impl<O: Objective> Saved for Trainer<'_, O> {
    fn snapshot(&mut self) -> Snapshot {
        self.snapshot()
    }

    fn resume(&mut self, path: &Path, done: usize) -> Result<(), Error> {
        self.resume(path, done)
    }
}

/// Checks every example, and tells how many tokens each runs.
fn check<O: Objective>(
    objective: &O,
    examples: &[O::Example],
    config: &Config,
) -> Result<Vec<usize>, Error> {
    if examples.is_empty() {
        return Err(Error::NoExamples);
    }
    let length = |(example, it): (usize, &O::Example)| {
        let (prompt, targets) = objective.parts(it);
        let longest = targets.iter().map(|target| target.len()).max().unwrap_or(0);
        let (tokens, context) = (prompt.len() + longest, config.max_position_embeddings);
        let mut ids = targets.iter().flat_map(|target| target.iter()).chain(prompt);
        if prompt.is_empty() {
            return Err(Error::Empty { example, part: "prompt" });
        } else if targets.iter().any(|target| target.is_empty()) {
            return Err(Error::Empty { example, part: "target" });
        } else if tokens > context {
            return Err(Error::TooLong { example, tokens, context });
        } else if let Some(&id) = ids.find(|id| **id as usize >= config.vocab_size) {
            return Err(Error::NoSuchToken { example, id, vocabulary: config.vocab_size });
        }
        Ok(prompt.len() + targets.iter().map(|target| target.len() - 1).sum::<usize>())
    };
    examples.iter().enumerate().map(length).collect()
}

/// Adds the shares of each metric up.
fn sums(outcomes: &[Outcome]) -> Vec<(&'static str, f64)> {
    let mut sums: Vec<(&'static str, f64)> = Vec::new();
    for outcome in outcomes {
        for (place, (name, share)) in outcome.metrics.iter().enumerate() {
            match sums.get_mut(place) {
                Some((_, sum)) => *sum += share,
                None => sums.push((name, *share)),
            }
        }
    }
    sums
}

impl Ran {
    fn add(&mut self, other: Self) {
        self.outcomes.extend(other.outcomes);
        self.tokens += other.tokens;
    }
}

impl Trained {
    fn gradient<'g>(&self, gradients: &'g Gradients) -> Result<&'g Tensor, Error> {
        let missing = || Error::NoGradient(self.parameter.name.clone());
        gradients.sum(&self.weight).ok_or_else(missing)
    }

    /// Norms and biases do not decay, as in transformers' trainer.
    fn update(&self, gradient: &Tensor, adamw: &AdamW, rate: Rate) -> Result<(), Error> {
        let decays = matches!(self.parameter.kind, Kind::Table | Kind::Projection);
        let rate = Rate { decay: if decays { 1.0 } else { 0.0 }, ..rate };
        adamw.update(&self.weight, gradient, &self.moments, &rate)
    }
}
