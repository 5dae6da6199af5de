//! The programs that pairs are written for, and what each calls what.

use clap::ValueEnum;
use clap::builder::PossibleValue;

/// A program that trains on pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Trl,
    Axolotl,
    LlamaFactory,
    OpenRlhf,
}

impl Target {
    /// Its name on the command line.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Trl => "trl",
            Self::Axolotl => "axolotl",
            Self::LlamaFactory => "llama-factory",
            Self::OpenRlhf => "openrlhf",
        }
    }

    /// What it calls itself, and the version whose sources its fields are from.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Trl => "TRL 1.16",
            Self::Axolotl => "axolotl 0.19",
            Self::LlamaFactory => "LLaMA-Factory 0.9.5",
            Self::OpenRlhf => "OpenRLHF 0.11",
        }
    }

    /// The file that it is started with.
    pub(super) const fn config(self) -> &'static str {
        match self {
            Self::Trl | Self::Axolotl | Self::LlamaFactory => "dpo.yaml",
            Self::OpenRlhf => "dpo.sh",
        }
    }

    /// The template of that file.
    pub(super) const fn template(self) -> &'static str {
        match self {
            Self::Trl => include_str!("trl.yaml.jinja"),
            Self::Axolotl => include_str!("axolotl.yaml.jinja"),
            Self::LlamaFactory => include_str!("llama_factory.yaml.jinja"),
            Self::OpenRlhf => include_str!("openrlhf.sh.jinja"),
        }
    }

    /// The line that starts it in the folder of the files.
    pub(super) const fn command(self) -> &'static str {
        match self {
            Self::Trl => "trl dpo --config dpo.yaml",
            Self::Axolotl => "axolotl train dpo.yaml",
            Self::LlamaFactory => "llamafactory-cli train dpo.yaml",
            Self::OpenRlhf => "sh dpo.sh",
        }
    }
}

impl ValueEnum for Target {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Trl, Self::Axolotl, Self::LlamaFactory, Self::OpenRlhf]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}
