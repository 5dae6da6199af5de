//! What another program reported of a training, as rows of `metrics`: an object a line, as TRL logs them, or the
//! `trainer_state.json` that transformers writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::records::Metric;

/// What keeps a log from being read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// An entry is not one.
    #[error("{}, {place}: expected {expected}, found {found}", path.display())]
    Entry { path: PathBuf, place: String, expected: &'static str, found: String },
}

/// What transformers keeps beside a checkpoint.
#[derive(Deserialize)]
struct TrainerState {
    log_history: Vec<Value>,
}

/// Reads the metrics of every step, in the order of steps. Where a step was reported twice, as by a run that went
/// on from an earlier step, the later report counts.
pub(super) fn read(path: &Path) -> Result<Vec<Metric>, Unread> {
    let text = fs::read_to_string(path)
        .map_err(|source| Unread::Read { path: path.to_owned(), source })?;
    let fail = |place: String, expected: &'static str, found: String| Unread::Entry {
        path: path.to_owned(),
        place,
        expected,
        found,
    };
    let mut steps: BTreeMap<i32, Vec<Metric>> = BTreeMap::new();
    let mut take = |place: String, entry: Value| -> Result<(), Unread> {
        let logged = entry_of(entry).map_err(|(expected, found)| fail(place, expected, found))?;
        let known = steps.entry(logged.step).or_default();
        for metric in logged.metrics {
            known.retain(|earlier| earlier.metric != metric.metric);
            known.push(metric);
        }
        Ok(())
    };
    if text.contains("\"log_history\"") {
        let whole = || "as a whole".to_owned();
        let TrainerState { log_history } = serde_json::from_str(&text)
            .map_err(|error| fail(whole(), "a trainer's state", error.to_string()))?;
        for (number, entry) in (1..).zip(log_history) {
            take(format!("entry {number} of `log_history`"), entry)?;
        }
    } else {
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let place = format!("line {number}");
            let entry = serde_json::from_str(line)
                .map_err(|error| fail(place.clone(), "an object of JSON", error.to_string()))?;
            take(place, entry)?;
        }
    }
    Ok(steps.into_values().flatten().collect())
}

/// What was reported of one step.
struct Logged {
    step: i32,
    metrics: Vec<Metric>,
}

/// Reads an entry; else tells what was expected and what was found.
fn entry_of(entry: Value) -> Result<Logged, (&'static str, String)> {
    const OF_THE_WHOLE: [&str; 2] = ["step", "epoch"];
    let Value::Object(entry) = entry else {
        return Err(("an object of JSON", entry.to_string()));
    };
    let step = entry.get("step").and_then(Value::as_i64).and_then(|step| i32::try_from(step).ok());
    let Some(step) = step.filter(|step| *step >= 0) else {
        return Err(("a number of steps, `step`", said(&entry, "step")));
    };
    let Some(epoch) = entry.get("epoch").and_then(Value::as_f64) else {
        return Err(("a number of epochs, `epoch`", said(&entry, "epoch")));
    };
    let mut metrics = Vec::new();
    for (name, value) in entry.iter().filter(|(name, _)| !OF_THE_WHOLE.contains(&name.as_str())) {
        let Some(value) = value.as_f64() else {
            return Err(("a number for each metric", format!("`{name}`: {value}")));
        };
        metrics.push(Metric { step, epoch, metric: name.clone(), value });
    }
    Ok(Logged { step, metrics })
}

fn said(entry: &Map<String, Value>, name: &str) -> String {
    entry.get(name).map_or_else(|| "none".to_owned(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<(i32, String, f64)>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, text).unwrap();
        match read(&path) {
            Ok(rows) => Ok(rows.into_iter().map(|m| (m.step, m.metric, m.value)).collect()),
            Err(error) => Err(error.to_string().replace(&*path.to_string_lossy(), "log")),
        }
    }

    #[test]
    fn lines_and_a_trainers_state_say_the_same() {
        let lines = "{\"step\":1,\"epoch\":0.5,\"loss\":0.69,\"rewards/margins\":0}\n\n\
                     {\"step\":2,\"epoch\":1.0,\"loss\":0.6}\n";
        let state = "{\"global_step\": 2, \"log_history\": [\
                     {\"loss\": 0.69, \"rewards/margins\": 0.0, \"epoch\": 0.5, \"step\": 1},\
                     {\"loss\": 0.6, \"epoch\": 1.0, \"step\": 2}]}";
        let rows = read_text(lines).unwrap();
        let expected = [(1, "loss", 0.69), (1, "rewards/margins", 0.0), (2, "loss", 0.6)]
            .map(|(s, m, v)| (s, m.to_owned(), v));
        assert_eq!(rows, expected);
        assert_eq!(read_text(state).unwrap(), rows);
    }

    #[test]
    fn a_step_that_was_taken_again_counts_as_it_was_taken_last() {
        let lines = "{\"step\":1,\"epoch\":0.5,\"loss\":1}\n{\"step\":2,\"epoch\":1,\"loss\":2}\n\
                     {\"step\":2,\"epoch\":1,\"loss\":3}";
        let values: Vec<f64> = read_text(lines).unwrap().into_iter().map(|row| row.2).collect();
        assert_eq!(values, [1.0, 3.0]);
    }

    #[test]
    fn what_is_no_report_is_told_with_its_line() {
        for (text, told) in [
            ("{\"epoch\":1}", "log, line 1: expected a number of steps, `step`, found none"),
            ("{\"step\":-1}", "log, line 1: expected a number of steps, `step`, found -1"),
            ("{\"step\":1,\"epoch\":1}\n[1]", "log, line 2: expected an object of JSON, found [1]"),
            (
                "{\"step\":1,\"epoch\":1,\"loss\":\"low\"}",
                "log, line 1: expected a number for each metric, found `loss`: \"low\"",
            ),
            (
                "{\"log_history\": [{\"step\": NaN}]}",
                "log, as a whole: expected a trainer's state, found expected value at line 1 column 27",
            ),
            (
                "{\"log_history\": [{\"step\": 1}]}",
                "log, entry 1 of `log_history`: expected a number of epochs, `epoch`, found none",
            ),
        ] {
            assert_eq!(read_text(text).unwrap_err(), told);
        }
        assert!(read_text("{\"step\":1,\"epoch\":1,\"loss\":NaN}").unwrap_err().contains("line 1"));
        assert_eq!(read_text("").unwrap(), []);
    }
}
