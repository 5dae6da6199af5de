//! How the experiment's verdicts are read, for trying it on a text.

use std::path::Path;

use super::Error;
use super::toml_file::File;
use super::{find, verdicts};
use crate::stages::{BadRule, Explained, Rule, Thinking};

/// Whose verdict is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The judge's.
    Judge,
    /// The meta-judge's.
    MetaJudge,
    /// That of the judge of games.
    Evaluate,
}

/// A rule, and what it takes for reasoning.
#[derive(Debug)]
pub struct Reader {
    rule: Rule,
    thinking: Thinking,
}

impl Reader {
    /// Reads as a built-in rule does.
    ///
    /// # Errors
    /// Where there is none of this name.
    pub fn built_in(name: &str) -> Result<Self, BadRule> {
        Ok(Self { rule: Rule::built_in(name)?, thinking: Thinking::default() })
    }

    /// Reads as an experiment does.
    ///
    /// # Errors
    /// Each mistake in the file; where it has no judge of games, and its rule is asked for.
    pub fn of_experiment(path: &Path, overrides: &[String], whose: Whose) -> Result<Self, Error> {
        let file = File::read(&find(path), overrides)?;
        let rule = match whose {
            Whose::Judge => verdicts::of_judge(&file)?,
            Whose::MetaJudge if file.root.meta_judge.is_none() => {
                let message = "there is no `[meta_judge]`, whose rule could be read";
                return Err(file.text.error(&(0..0), message));
            }
            Whose::MetaJudge => verdicts::of_meta_judge(&file)?,
            Whose::Evaluate => {
                let evaluate = file.root.evaluate.as_ref().map(super::spanned::Spanned::as_ref);
                let Some(judge) = evaluate.and_then(|evaluate| evaluate.judge.as_ref()) else {
                    let message = "there is no `[evaluate.judge]`, whose rule could be read";
                    return Err(file.text.error(&(0..0), message));
                };
                verdicts::of_games(&file, judge)?
            }
        };
        Ok(Self { rule, thinking: file.thinking() })
    }

    /// Returns the rule's name.
    #[must_use]
    pub fn name(&self) -> String {
        self.rule.name()
    }

    /// Reads a text that its judge ended.
    #[must_use]
    pub fn explain(&self, text: &str) -> Explained {
        self.rule.try_on(text, &self.thinking)
    }
}
