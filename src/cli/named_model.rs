//! A model of an experiment that is named by its file: `experiments/quickstart/m1`.

use std::path::PathBuf;
use std::str::FromStr;

/// A model of an experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedModel {
    /// A folder with experiment.toml, or a TOML file.
    pub(super) experiment: PathBuf,
    /// Which it is: 0 for `m0`.
    pub(super) number: usize,
}

impl FromStr for NamedModel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once('/').filter(|(experiment, _)| !experiment.is_empty());
        let number = |model: &str| model.strip_prefix('m')?.parse().ok();
        parts
            .and_then(|(experiment, model)| {
                Some(Self { experiment: PathBuf::from(experiment), number: number(model)? })
            })
            .ok_or_else(|| {
                "expected an experiment and a model of it, as `EXPERIMENT/m1`".to_owned()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_experiment_is_a_path_and_the_model_comes_last() {
        let named = |text: &str| text.parse::<NamedModel>().map(|m| (m.experiment, m.number));
        assert_eq!(
            named("experiments/quickstart/m1"),
            Ok((PathBuf::from("experiments/quickstart"), 1))
        );
        assert_eq!(named("./a.toml/m12"), Ok((PathBuf::from("./a.toml"), 12)));
        for bad in ["m1", "/m1", "quickstart", "quickstart/1", "quickstart/mx", "quickstart/m1/"] {
            assert!(named(bad).is_err(), "{bad}");
        }
    }
}
