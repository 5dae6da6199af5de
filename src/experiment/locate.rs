//! Mistakes in an experiment's file, told with their place.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A mistake in an experiment.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file expands to several experiments, and one is meant.
    #[error("{} makes {} experiments; expected one", path.display(), names.len())]
    Several {
        /// The file.
        path: PathBuf,
        /// What they are called.
        names: Vec<String>,
    },
    /// The file says something that it should not.
    #[error("{position}: {message}{}", excerpt(position))]
    At {
        /// Where.
        position: Position,
        /// What was expected and what was found.
        message: String,
        /// The nearest thing that would have been right.
        did_you_mean: Option<String>,
    },
}

/// A place in the file, or an override on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// In the file.
    File {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The whole line.
        text: String,
        /// How many characters are meant.
        width: usize,
    },
    /// On the command line.
    Override(String),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column, .. } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            Self::Override(text) => write!(f, "--set {text}"),
        }
    }
}

fn excerpt(position: &Position) -> String {
    let Position::File { line, column, text, width, .. } = position else { return String::new() };
    let number = line.to_string();
    let blank = " ".repeat(number.len());
    let (indent, carets) = (" ".repeat(column - 1), "^".repeat((*width).max(1)));
    format!("\n{blank} |\n{number} | {text}\n{blank} | {indent}{carets}")
}

/// Knows the text that spans point into. Spans past its end stand for overrides.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) path: PathBuf,
    pub(super) toml: String,
    pub(super) overrides: Vec<String>,
}

impl Text {
    /// The span that stands for override number `index`.
    pub(super) fn override_span(&self, index: usize) -> Range<usize> {
        let start = self.toml.len() + 1 + index;
        start..start
    }

    fn position(&self, span: &Range<usize>) -> Position {
        if let Some(text) = span.start.checked_sub(self.toml.len() + 1) {
            let text = self.overrides.get(text).cloned().unwrap_or_default();
            return Position::Override(text);
        }
        let start = self.toml[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let line_text = self.toml[start..].lines().next().unwrap_or_default();
        let column = self.toml[start..span.start].chars().count() + 1;
        let end = span.end.clamp(span.start, start + line_text.len().max(span.start - start));
        Position::File {
            path: self.path.clone(),
            line: self.toml[..span.start].matches('\n').count() + 1,
            column,
            text: line_text.to_owned(),
            width: self.toml[span.start..end].chars().count(),
        }
    }

    /// Makes an error about the text at `span`.
    pub(super) fn error(&self, span: &Range<usize>, message: impl Into<String>) -> Error {
        let message = message.into();
        let did_you_mean = nearest_known(&message);
        Error::At { position: self.position(span), message, did_you_mean }
    }

    /// Turns what the TOML reader says into an error with a place.
    pub(super) fn toml_error(&self, error: &toml::de::Error) -> Error {
        self.error(&error.span().unwrap_or(0..0), error.message())
    }

    /// Reads a file that the text names at `span`.
    pub(super) fn read(&self, path: &Path, span: &Range<usize>) -> Result<String, Error> {
        std::fs::read_to_string(path)
            .map_err(|e| self.error(span, format!("cannot read {}: {e}", path.display())))
    }
}

/// Of the names in "unknown field `x`, expected one of `a`, `b`", returns the one nearest to x.
fn nearest_known(message: &str) -> Option<String> {
    let names = message.strip_prefix("unknown field ")?;
    let mut names = names.split('`').skip(1).step_by(2);
    let unknown = names.next()?;
    let near = names.map(|name| (strsim::damerau_levenshtein(name, unknown), name));
    let (distance, name) = near.min()?;
    (distance <= 1 + unknown.len() / 3).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_field_is_met_with_the_nearest_one() {
        let say = |message: &str| nearest_known(message);
        let message = "unknown field `sampels`, expected one of `samples`, `top_p`";
        assert_eq!(say(message), Some("samples".to_owned()));
        assert_eq!(say("unknown field `zzz`, expected `samples`"), None);
        assert_eq!(say("missing field `model`"), None);
    }
}
