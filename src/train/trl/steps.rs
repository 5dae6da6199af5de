//! `steps.jsonl`: what the trainer reports, a line a step, read while it is written.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::train::error::Error;
use crate::train::learner::Metrics;

/// Reads the lines that are whole.
#[derive(Debug)]
pub(super) struct Steps {
    path: PathBuf,
    file: Option<BufReader<File>>,
    /// Bytes that were read.
    read: u64,
    /// Steps that were read.
    done: usize,
    /// Tokens up to the last of them.
    tokens: f64,
}

impl Steps {
    pub(super) fn of(folder: &Path) -> Self {
        Self { path: folder.join("steps.jsonl"), file: None, read: 0, done: 0, tokens: 0.0 }
    }

    /// The next step, if its line is there.
    pub(super) fn next(&mut self) -> Result<Option<Metrics>, Error> {
        let Some(line) = self.line()? else { return Ok(None) };
        let metrics = self.metrics(&line)?;
        self.done = metrics.step;
        Ok(Some(metrics))
    }

    /// The next line, if it has an end.
    fn line(&mut self) -> Result<Option<String>, Error> {
        let fail = |source| Error::Report { path: self.path.clone(), source };
        let file = match &mut self.file {
            Some(file) => file,
            None => match File::open(&self.path) {
                Ok(file) => self.file.insert(BufReader::new(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(fail(error)),
            },
        };
        let mut line = Vec::new();
        file.seek(SeekFrom::Start(self.read)).map_err(fail)?;
        let read = file.read_until(b'\n', &mut line).map_err(fail)?;
        if line.pop() != Some(b'\n') {
            return Ok(None);
        }
        self.read += read as u64;
        Ok(Some(String::from_utf8_lossy(&line).into_owned()))
    }

    fn metrics(&mut self, line: &str) -> Result<Metrics, Error> {
        let step = self.done + 1;
        let unlike = |what: &str| Error::Reported {
            path: self.path.clone(),
            line: step,
            what: what.to_owned(),
            found: line.chars().take(120).collect(),
        };
        let fields: Map<String, Value> =
            serde_json::from_str(line).map_err(|_| unlike("expected an object of numbers"))?;
        if fields.get("step").and_then(Value::as_u64) != Some(step as u64) {
            return Err(unlike(&format!("expected `step` {step}")));
        }
        let epoch = fields.get("epoch").and_then(Value::as_f64);
        let epoch = epoch.ok_or_else(|| unlike("expected a number as `epoch`"))?;
        let mut values = Vec::new();
        for (name, value) in
            fields.into_iter().filter(|(name, _)| name != "step" && name != "epoch")
        {
            match value.as_f64().filter(|value| value.is_finite()) {
                Some(value) => values.push((Cow::Owned(name), value)),
                None if value.is_null() => return Err(Error::Diverged { step, what: name }),
                None => return Err(unlike(&format!("expected a number as `{name}`"))),
            }
        }
        if !values.iter().any(|(name, _)| name == "loss") {
            return Err(unlike("expected a `loss`"));
        }
        Ok(Metrics { step, epoch, tokens: self.tokens_of(&values), values })
    }

    /// TRL counts tokens from its start: those of the step are the difference.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    fn tokens_of(&mut self, values: &[(Cow<'static, str>, f64)]) -> usize {
        let Some((_, sum)) = values.iter().find(|(name, _)| name == "num_tokens") else { return 0 };
        let before = std::mem::replace(&mut self.tokens, *sum);
        (sum - before).max(0.0) as usize
    }
}
