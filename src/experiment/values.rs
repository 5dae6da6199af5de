//! The value that a setting has in an iteration.

use super::Error;
use super::engines::Engines;
use super::per_iteration::PerIteration;
use super::spanned::Spanned;
use super::toml_file::{Each, File};
use crate::stages::{Arguments, MAX_REFUSED, Thinking};

/// Reads settings that may have one value per iteration.
#[derive(Clone)]
pub(super) struct Values<'f> {
    pub(super) file: &'f File,
    pub(super) iterations: usize,
    pub(super) seed: u64,
    /// What draws and trains.
    pub(super) engines: &'f Engines,
    /// What the chat template of the experiment's models is given.
    pub(super) arguments: Arguments,
    /// The share of a table's rows that a model may refuse.
    pub(super) max_refused: f64,
}

#[expect(clippy::ref_option, reason = "fields of the file are handed over as they stand")]
impl<'f> Values<'f> {
    pub(super) fn of(file: &'f File, engines: &'f Engines) -> Result<Self, Error> {
        let seed = file.root.seed.map_or(0, |seed| seed.0);
        let max_refused = file.root.max_refused.map_or(MAX_REFUSED, |share| share.0);
        check_thinking(file)?;
        let given = file.root.model.as_ref().map(|model| file.arguments(&model.as_ref().template));
        let arguments = given.transpose()?.unwrap_or_default();
        Ok(Self { file, iterations: iterations(file)?, seed, engines, arguments, max_refused })
    }

    /// What is thinking in the texts of models, and not text.
    pub(super) fn thinking(&self) -> Thinking {
        self.file.thinking()
    }

    /// Whether it is trained on.
    pub(super) fn trains_on_thinking(&self) -> bool {
        let table = self.file.root.thinking.as_ref();
        table.and_then(|table| table.train).is_none_or(|train| train.0)
    }

    /// The value for iteration t, where the file gives one. A list has one value per iteration, or it is
    /// a mistake.
    pub(super) fn given<T: Copy>(&self, value: &Each<T>, t: usize) -> Result<Option<T>, Error> {
        let Some(value) = value else { return Ok(None) };
        match value.as_ref() {
            PerIteration::Same(same) => Ok(Some(*same)),
            PerIteration::Each(each) if each.len() == self.iterations => Ok(Some(each[t])),
            PerIteration::Each(each) => {
                let (found, wanted) = (each.len(), self.iterations);
                let message = format!("expected {wanted} values, one per iteration, found {found}");
                Err(self.file.text.error(&value.span(), message))
            }
        }
    }

    /// The value for iteration t, or the default where the file is silent.
    pub(super) fn at<T: Copy>(&self, value: &Each<T>, t: usize, default: T) -> Result<T, Error> {
        Ok(self.given(value, t)?.unwrap_or(default))
    }

    /// The mistake of a setting that stands in the file.
    pub(super) fn mistake<T>(&self, named: &Spanned<T>, message: impl Into<String>) -> Error {
        self.file.text.error(&named.span(), message.into())
    }
}

impl File {
    /// What is thinking in the texts of models, and not text.
    pub(super) fn thinking(&self) -> Thinking {
        let Some(table) = &self.root.thinking else { return Thinking::default() };
        let Thinking { begin, end } = Thinking::default();
        Thinking {
            begin: table.begin.as_ref().map_or(begin, |marker| marker.as_ref().clone()),
            end: table.end.as_ref().map_or(end, |marker| marker.as_ref().clone()),
        }
    }
}

fn check_thinking(file: &File) -> Result<(), Error> {
    let Some(table) = &file.root.thinking else { return Ok(()) };
    let empty = [&table.begin, &table.end].into_iter().flatten().find(|m| m.as_ref().is_empty());
    if let Some(empty) = empty {
        return Err(file.text.error(&empty.span(), "expected a marker, found an empty text"));
    }
    let Thinking { begin, end } = file.thinking();
    let place = table.end.as_ref().or(table.begin.as_ref()).map_or(0..0, Spanned::span);
    if begin == end {
        return Err(file
            .text
            .error(&place, "expected two different markers, found the same twice"));
    }
    Ok(())
}

fn iterations(file: &File) -> Result<usize, Error> {
    const SILENT: usize = 4;
    const MOST: usize = 1000;
    let Some(named) = &file.root.iterations else { return Ok(SILENT) };
    match usize::try_from(named.as_ref().0) {
        Ok(iterations) if iterations <= MOST => Ok(iterations),
        _ => {
            let message = format!("expected at most {MOST} iterations, found {}", named.as_ref().0);
            Err(file.text.error(&named.span(), message))
        }
    }
}
