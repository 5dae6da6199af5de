//! DPO's loss in the words of other programs.

use super::target::Target;
use crate::experiment::{Dpo, DpoLoss};

/// A loss as TRL puts it together: its parts with their weights.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Loss {
    pub(super) parts: Vec<(&'static str, f64)>,
    /// What the configuration has to say of it.
    pub(super) notes: Vec<&'static str>,
}

/// Says a loss in a program's words; else tells which setting it has none for.
pub(super) fn loss_for(target: Target, dpo: &Dpo) -> Result<Loss, (&'static str, String)> {
    match target {
        Target::Trl | Target::Axolotl => loss_of_trl(dpo),
        Target::LlamaFactory | Target::OpenRlhf => {
            let title = target.title();
            if dpo.length_normalised {
                let why =
                    format!("{title} has no loss of means over tokens that keeps to a reference");
                return Err(("length_normalised", why));
            }
            if dpo.loss == DpoLoss::Ipo && target == Target::OpenRlhf {
                let why = format!(
                    "{title} adds up what IPO takes the mean of, over the tokens of an answer"
                );
                return Err(("loss", why));
            }
            let name = if dpo.loss == DpoLoss::Ipo { "ipo" } else { "sigmoid" };
            let mut notes = Vec::new();
            if dpo.nll_weight > 0.0 {
                notes.push(
                    "Of -log p(chosen) the mean is taken over the tokens of each answer first, then over the \
                     answers; mrx takes it over all tokens at once.",
                );
            }
            Ok(Loss { parts: vec![(name, 1.0)], notes })
        }
    }
}

/// With label smoothing e, S the sigmoid loss of a pair and F that of the pair the wrong way round, mrx takes
/// (1 - e) S + e F. TRL's sigmoid loss knows no smoothing; its robust one is R = ((1 - e) S - e F) / (1 - 2 e).
/// So 2 (1 - e) S - (1 - 2 e) R is what is wanted.
fn loss_of_trl(dpo: &Dpo) -> Result<Loss, (&'static str, String)> {
    let smoothing = dpo.label_smoothing;
    let mut notes = Vec::new();
    let mut parts = match (dpo.loss, dpo.length_normalised) {
        (DpoLoss::Ipo, _) => vec![("ipo", 1.0)],
        (DpoLoss::Sigmoid, true) if smoothing > 0.0 => {
            let why = "TRL smooths no labels of a loss that is normalised by length";
            return Err(("label_smoothing", why.to_owned()));
        }
        (DpoLoss::Sigmoid, true) => vec![("sigmoid_norm", 1.0)],
        (DpoLoss::Sigmoid, false) if smoothing > 0.0 => {
            notes.push(
                "TRL's sigmoid loss smooths no labels. With S the sigmoid loss, R the robust one and e the \
                 smoothing, 2 (1 - e) S - (1 - 2 e) R is the smoothed loss of mrx.",
            );
            vec![("sigmoid", 2.0 * (1.0 - smoothing)), ("robust", 2.0 * smoothing - 1.0)]
        }
        (DpoLoss::Sigmoid, false) => vec![("sigmoid", 1.0)],
    };
    if dpo.nll_weight > 0.0 {
        notes.push(
            "Of -log p(chosen) the mean is taken over the tokens of what one device holds at once; mrx takes it \
             over those of the whole batch.",
        );
        parts.push(("sft", dpo.nll_weight));
    }
    Ok(Loss { parts, notes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smoothed_loss_is_put_together_from_two_of_trl() {
        let dpo = Dpo { label_smoothing: 0.1, nll_weight: 0.5, ..Dpo::default() };
        let loss = loss_for(Target::Trl, &dpo).unwrap();
        assert_eq!(
            loss.parts.iter().map(|part| part.0).collect::<Vec<_>>(),
            ["sigmoid", "robust", "sft"]
        );
        let sigmoid = |x: f64| -(1.0 / (1.0 + (-x).exp())).ln();
        for margin in [-3.0, -0.2, 0.0, 1.5] {
            let (right, wrong) = (sigmoid(margin), sigmoid(-margin));
            let robust = (0.9 * right - 0.1 * wrong) / 0.8;
            let found = loss.parts[0].1 * right + loss.parts[1].1 * robust;
            assert!((found - (0.9 * right + 0.1 * wrong)).abs() < 1e-12, "{margin}: {found}");
        }
    }

    #[test]
    fn a_loss_that_a_program_has_not_is_refused_by_name() {
        let normalised = Dpo { length_normalised: true, ..Dpo::default() };
        let smoothed = Dpo { label_smoothing: 0.1, ..normalised };
        let ipo = Dpo { loss: DpoLoss::Ipo, ..Dpo::default() };
        let refused = |target, dpo: &Dpo| loss_for(target, dpo).err().map(|refused| refused.0);
        assert_eq!(refused(Target::Trl, &normalised), None);
        assert_eq!(refused(Target::Axolotl, &smoothed), Some("label_smoothing"));
        assert_eq!(refused(Target::LlamaFactory, &normalised), Some("length_normalised"));
        assert_eq!(refused(Target::OpenRlhf, &ipo), Some("loss"));
        assert_eq!(refused(Target::LlamaFactory, &ipo), None);
    }
}
