//! Whether a training moved anything: weights that are as they were, or pairs that are told apart no better than
//! at the start, are no error, and seldom what somebody wanted.

use super::form::Form;
use crate::model::{self, Weights};
use crate::store::Digest;
use crate::train::{Metrics, Settings};

/// The margin of a step below which chosen and rejected answers are told apart by rounding alone.
const NO_MARGIN: f64 = 1e-5;

/// What is seen of a training.
pub(super) struct Watch {
    start: Option<Vec<Digest>>,
    steps: usize,
    pairs: bool,
    margins: bool,
}

impl Watch {
    /// Begins with the weights that training starts from.
    pub(super) fn from(start: &Weights, form: Form<'_>) -> Result<Self, model::Error> {
        Ok(Self { start: Some(form.digests(start)?), ..Self::of_steps() })
    }

    /// Looks at steps alone.
    pub(super) const fn of_steps() -> Self {
        Self { start: None, steps: 0, pairs: false, margins: false }
    }

    /// Sees a step.
    pub(super) fn see(&mut self, step: &Metrics) {
        self.steps += 1;
        let margin = step.values.iter().find(|(name, _)| *name == "rewards/margins");
        self.pairs |= margin.is_some();
        self.margins |= margin.is_some_and(|(_, margin)| margin.abs() > NO_MARGIN);
    }

    /// Says so where all steps moved nothing, and what that is likely to come of.
    pub(super) fn said(
        &self,
        end: Option<(&Weights, Form<'_>)>,
        settings: &Settings,
        steps: usize,
    ) -> Result<Option<String>, model::Error> {
        let causes = self.causes(settings, steps);
        let end = end.map(|(end, form)| form.digests(end)).transpose()?;
        if end.is_some() && end == self.start {
            return Ok(Some(format!(
                "the steps moved no weight: all are what they were at the start, to the last bit; likely {causes}"
            )));
        }
        // The margins of steps that an earlier attempt took are not known here; that of a first step is 0.
        let all_seen = self.steps == steps && steps > 1;
        Ok((self.pairs && !self.margins && all_seen).then(|| {
            format!(
                "the margin of every step is 0: the loss stays where it began, which is ln 2 for `sigmoid`; \
                 likely {causes}"
            )
        }))
    }

    /// What moving nothing is likely to come of.
    fn causes(&self, settings: &Settings, steps: usize) -> String {
        let rate = settings.learning_rate;
        let mut causes =
            vec![format!("a learning rate of {rate:?} is too small for weights in f32")];
        if settings.warmup_steps >= steps {
            causes.push(format!("it is not reached in {} steps of warmup", settings.warmup_steps));
        }
        if self.pairs {
            causes.push("the two answers of every pair are the same tokens".to_owned());
        }
        causes.join(", or ")
    }
}
