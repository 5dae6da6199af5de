//! The loop: one step after the other, each a function of the state before it.

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Tensor, Var};
use rayon::prelude::*;

use crate::model::weights::{Kind, Parameter, parameters};
use crate::model::{Batch, Config, Network, Weights, spread};

use super::adamw::{AdamW, Moments, Rate};
use super::error::Error;
use super::learner::{Learned, Learner, Metrics, Saved, State};
use super::objective::{Objective, Outcome, Totals};
use super::settings::Settings;
use super::{batches, state};

/// A model being trained.
pub struct Trainer<'t, O: Objective> {
    objective: O,
    examples: &'t [O::Example],
    settings: Settings,
    lengths: Vec<usize>,
    network: Network,
    parameters: Vec<Trained>,
    done: usize,
    order: (usize, Vec<Vec<usize>>),
}

/// A weight, and where its steps are at.
struct Trained {
    parameter: Parameter,
    var: Var,
    moments: Moments,
}

/// What a pass over some examples came to.
struct Pass {
    outcomes: Vec<Outcome>,
    gradients: Vec<Vec<f32>>,
    tokens: usize,
}

impl Pass {
    fn add(&mut self, other: Self) {
        self.outcomes.extend(other.outcomes);
        self.tokens += other.tokens;
        for (sum, more) in self.gradients.iter_mut().zip(other.gradients) {
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
    }
}

impl<'t, O: Objective> Trainer<'t, O> {
    /// Starts from `weights`.
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
        settings.check()?;
        let lengths = check(&objective, examples, &config)?;
        let mut own = Weights::new();
        let mut trained = Vec::new();
        for parameter in parameters(&config) {
            if let Some(tensor) = weights.get(&parameter.name) {
                let var = Var::from_tensor(&tensor.copy()?)?;
                own.insert(parameter.name.clone(), var.as_tensor().clone());
                let moments = Moments::zero(tensor.elem_count());
                trained.push(Trained { parameter, var, moments });
            }
        }
        let network = Network::new(config, &own)?;
        let order = (0, batches::epoch(&settings, &lengths, 0));
        let parameters = trained;
        Ok(Self { objective, examples, settings, lengths, network, parameters, done: 0, order })
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

    /// The weights as they are.
    #[must_use]
    pub fn weights(&self) -> Weights {
        let each = self.parameters.iter();
        each.map(|t| (t.parameter.name.clone(), t.var.as_detached_tensor())).collect()
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
        let Pass { outcomes, gradients, tokens } = self.gradients(&batch, &totals)?;
        let loss = outcomes.iter().map(|outcome| outcome.loss).sum::<f64>();
        self.check_finite("the loss".to_owned(), loss, &batch)?;
        let norm = self.norm(&gradients, &batch)?;
        let scheduled = self.settings.scheduled_steps(self.examples.len());
        let share = self.settings.schedule.share(self.done, self.settings.warmup_steps, scheduled);
        let learning_rate = self.settings.learning_rate * share;
        // The clipping of PyTorch, to its last digit.
        let clip = self.settings.max_grad_norm.map_or(1.0, |most| (most / (norm + 1e-6)).min(1.0));
        self.done += 1;
        let rate = Rate { step: self.done, learning_rate, clip, decay: 0.0 };
        let adamw = self.settings.adamw;
        self.parameters
            .par_iter_mut()
            .zip(&gradients)
            .try_for_each(|(trained, gradient)| trained.update(gradient, &adamw, rate))?;
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

    /// Runs a batch forwards and backwards. Chunks are added up in their order, however many run at
    /// a time.
    fn gradients(&self, batch: &[usize], totals: &Totals) -> Result<Pass, Error> {
        let chunks = batches::chunks(batch, &self.lengths);
        let mut whole: Option<Pass> = None;
        for wave in chunks.chunks(rayon::current_num_threads()) {
            for pass in spread(wave.to_vec(), |chunk| self.pass(&chunk, totals))? {
                match &mut whole {
                    Some(whole) => whole.add(pass?),
                    None => whole = Some(pass?),
                }
            }
        }
        whole.ok_or(Error::NoExamples)
    }

    /// One pass over some examples: log-probabilities, their outcomes, and Σ slope·log-probability
    /// backwards, whose gradient is the loss's.
    fn pass(&self, chunk: &[usize], totals: &Totals) -> Result<Pass, Error> {
        let parts: Vec<_> =
            chunk.iter().map(|example| self.objective.parts(&self.examples[*example])).collect();
        let targets: Vec<u32> = parts.iter().flat_map(|(_, targets)| targets.concat()).collect();
        let (batch, sources) = Batch::of_continuations(parts.iter().cloned());
        let logps = self.network.logps(&batch, &sources, &targets)?;
        let mut values = logps.to_vec1::<f32>()?.into_iter().map(f64::from);
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
        let slopes = Tensor::from_vec(slopes, targets.len(), logps.device())?;
        let loss = (&logps * slopes.to_dtype(logps.dtype())?)?.sum_all()?;
        let mut gradients = loss.backward()?;
        let take = |trained: &Trained| {
            let missing = || Error::NoGradient(trained.parameter.name.clone());
            let gradient = gradients.remove(trained.var.as_tensor()).ok_or_else(missing)?;
            Ok(gradient.flatten_all()?.to_vec1::<f32>()?)
        };
        let gradients = self.parameters.iter().map(take).collect::<Result<_, Error>>()?;
        Ok(Pass { outcomes, gradients, tokens: batch.len() })
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
    fn norm(&self, gradients: &[Vec<f32>], batch: &[usize]) -> Result<f64, Error> {
        let square = |gradient: &Vec<f32>| -> f64 {
            gradient.iter().map(|g| f64::from(*g) * f64::from(*g)).sum()
        };
        let squares: Vec<f64> = gradients.par_iter().map(square).collect();
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

    /// Writes all that the next steps depend on.
    ///
    /// # Errors
    /// Where `to` cannot be written.
    pub fn save(&self, to: &mut dyn Write) -> Result<(), Error> {
        let each = self.parameters.iter().map(|t| (t.parameter.name.as_str(), &t.var, &t.moments));
        state::save(to, self.done, self.fingerprint(), each)
    }

    /// Takes up what [`save`](Self::save) wrote after `done` steps, in a trainer made from the same
    /// things. Whoever keeps the file vouches for its bytes: numbers in it are taken as they are.
    ///
    /// # Errors
    /// Where it is not such a state, or of another run or step; the trainer is then as it was.
    pub fn resume(&mut self, path: &Path, done: usize) -> Result<(), Error> {
        let mut saved = state::load(path, done, self.fingerprint())?;
        let take = |t: &Trained| saved.take(&t.parameter.name, &t.var);
        let taken = self.parameters.iter().map(take).collect::<Result<Vec<_>, _>>()?;
        for (Trained { var, moments, .. }, (weight, own)) in self.parameters.iter_mut().zip(taken) {
            var.set(&weight)?;
            *moments = own;
        }
        self.done = done;
        Ok(())
    }

    /// A digest of the settings and the examples.
    fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{:?}", self.settings).as_bytes());
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
    fn save(&self, to: &mut dyn Write) -> Result<(), Error> {
        self.save(to)
    }

    fn resume(&mut self, path: &Path, done: usize) -> Result<(), Error> {
        self.resume(path, done)
    }

    fn weights(&self) -> Weights {
        self.weights()
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

impl Trained {
    /// Norms and biases do not decay, as in transformers' trainer.
    fn update(&mut self, gradient: &[f32], adamw: &AdamW, rate: Rate) -> Result<(), Error> {
        let decays = matches!(self.parameter.kind, Kind::Table | Kind::Projection);
        let rate = Rate { decay: if decays { 1.0 } else { 0.0 }, ..rate };
        let mut weights = self.var.flatten_all()?.to_vec1::<f32>()?;
        adamw.update(&mut weights, gradient, &mut self.moments, &rate);
        let moved = Tensor::from_vec(weights, self.var.shape(), self.var.device())?;
        Ok(self.var.set(&moved)?)
    }
}
