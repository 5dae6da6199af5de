//! How a training goes, for a person: the numbers to watch, and whether the loss rises. None of it is kept.

use std::collections::VecDeque;

use crate::runner::Figure;
use crate::train::Metrics;

/// Steps that are compared.
const STEPS: usize = 20;

/// What is seen of the losses of a training, in this attempt.
#[derive(Default)]
pub(super) struct Course {
    first: Vec<f64>,
    last: VecDeque<f64>,
    told: bool,
}

impl Course {
    /// Takes a step; says once that the loss rises, as soon as that is plain: it has doubled, and no step of late is
    /// as good as the first ones were.
    pub(super) fn see(&mut self, step: &Metrics) -> Option<String> {
        let loss = step.values.iter().find(|(name, _)| name == "loss").map(|(_, loss)| *loss)?;
        if self.first.len() < STEPS {
            self.first.push(loss);
            return None;
        }
        self.last.push_back(loss);
        if self.last.len() > STEPS {
            self.last.pop_front();
        }
        if self.told || self.last.len() < STEPS {
            return None;
        }
        let first = mean(self.first.iter());
        let last = mean(self.last.iter());
        let none_is_as_good = self.last.iter().all(|loss| *loss > first);
        if first <= 0.0 || last <= 2.0 * first || !none_is_as_good {
            return None;
        }
        self.told = true;
        Some(format!(
            "the loss rises: {last:.3} over the last {STEPS} steps, {first:.3} over the first {STEPS} seen"
        ))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few steps")]
fn mean<'l>(losses: impl ExactSizeIterator<Item = &'l f64>) -> f64 {
    let count = losses.len() as f64;
    losses.sum::<f64>() / count
}

/// What a person watches of a step: `loss`, `margins`, `accuracies`.
pub(super) fn figures(metrics: &Metrics) -> Vec<Figure> {
    const WATCHED: [&str; 3] = ["loss", "rewards/accuracies", "rewards/margins"];
    let values = metrics.values.iter().filter(|(name, _)| WATCHED.contains(&name.as_ref()));
    let short = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    values.map(|(name, value)| Figure::level(short(name), *value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: usize, loss: f64) -> Metrics {
        let values = vec![("loss".into(), loss), ("rewards/margins".into(), 0.5)];
        Metrics { step, epoch: 0.0, tokens: 1, values }
    }

    fn told(losses: impl Iterator<Item = f64>) -> Vec<String> {
        let mut course = Course::default();
        losses.enumerate().filter_map(|(n, loss)| course.see(&step(n + 1, loss))).collect()
    }

    #[test]
    fn a_loss_that_doubles_and_stays_there_is_told_of_once() {
        let rising = (0..100).map(|n| if n < 20 { 0.69 } else { 1.6 });
        let text = "the loss rises: 1.600 over the last 20 steps, 0.690 over the first 20 seen";
        assert_eq!(told(rising), [text]);
        let noisy = (0..100).map(|n| if n % 3 == 0 { 0.1 } else { 2.0 });
        assert_eq!(told(noisy), Vec::<String>::new());
        let falling = (0..100).map(|n| 4.0 / f64::from(n + 1));
        assert_eq!(told(falling), Vec::<String>::new());
    }

    #[test]
    fn what_is_watched_goes_by_the_last_part_of_its_name() {
        let said: Vec<String> = figures(&step(1, 0.642)).iter().map(ToString::to_string).collect();
        assert_eq!(said, ["loss 0.642", "margins 0.500"]);
    }
}
