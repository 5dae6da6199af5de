//! A training that TRL does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use serde::Deserialize;

use super::program::{Program, SCRIPT};
use super::steps::Steps;
use super::task::Task;
use crate::model::guarded::{Guarded, Launch};
use crate::model::listed;
use crate::train::error::{Ended, Error};
use crate::train::learner::{Again, Learned, Learner, Metrics, State};

/// How often its files are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A training that TRL does.
#[derive(Debug)]
pub struct Running {
    words: String,
    folder: PathBuf,
    /// None where an earlier attempt has come to the end.
    trainer: Option<Guarded>,
    steps: Steps,
    all: usize,
    done: usize,
    /// Steps whose reports were heard before.
    heard: usize,
}

/// `trainer.json`: what the trainer says of itself, before it begins.
#[derive(Debug, Deserialize)]
struct Itself {
    processes: usize,
    device: String,
}

impl Running {
    /// Starts the trainer, which goes on from what an earlier attempt left in the folder.
    ///
    /// # Errors
    /// Where the folder cannot be written or the guard cannot be started.
    pub fn start(program: &Program, task: &Task<'_>, folder: &Path) -> Result<Self, Error> {
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|source| Error::Report { path, source })
        };
        let json = task.to_json(program).map_err(|error| Error::Asked(error.to_string()))?;
        let ended = folder.join("model").is_dir();
        let trainer = if ended {
            None
        } else {
            write("task.json", &json)?;
            write("train.py", SCRIPT)?;
            // What it reports counts from when it says so: before, the file may be longer than it will be.
            write("trainer.json", "")?;
            Some(start(program, folder)?)
        };
        let (words, folder, all) = (program.words().join(" "), folder.to_owned(), task.steps());
        let steps = Steps::of(&folder);
        Ok(Self { words, folder, trainer, steps, all, done: 0, heard: 0 })
    }

    /// How many processes train, where that is known.
    #[must_use]
    pub fn processes(&self) -> Option<usize> {
        self.itself().map(|itself| itself.processes)
    }

    /// How many processes train, and on what, where that is known.
    #[must_use]
    pub fn said(&self) -> Option<String> {
        let itself = self.itself()?;
        let processes = if itself.processes == 1 { "process" } else { "processes" };
        Some(format!("{} {processes} on {}", itself.processes, itself.device))
    }

    /// Lists the files of the model after an epoch, once the training has come to its end.
    ///
    /// # Errors
    /// Where they are not there.
    pub fn after_epoch(&self, epoch: usize) -> Result<BTreeMap<String, PathBuf>, Error> {
        files_in(&self.folder.join(format!("epoch-{epoch}")))
    }

    fn itself(&self) -> Option<Itself> {
        let text = fs::read_to_string(self.folder.join("trainer.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Waits until something is there. The trainer's end comes after all that it wrote.
    fn wait<T>(
        &mut self,
        go_on: &dyn Fn() -> bool,
        mut look: impl FnMut(&mut Self) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        loop {
            let ended = match &mut self.trainer {
                Some(trainer) => trainer.ended().map_err(Error::Trainer)?,
                None => None,
            };
            if let Some(found) = look(self)? {
                return Ok(found);
            }
            if ended.is_some() || self.trainer.is_none() {
                return Err(self.failed(ended.map(|status| status.to_string())));
            }
            if !go_on() {
                return Err(Error::Stopped);
            }
            sleep(LOOK);
        }
    }

    fn failed(&self, status: Option<String>) -> Error {
        let tail = self.trainer.as_ref().map(Guarded::tail).unwrap_or_default();
        Error::Ended(Box::new(Ended {
            trainer: self.words.clone(),
            step: self.done,
            steps: self.all,
            status: status.unwrap_or_else(|| "it is not running".to_owned()),
            tail,
            log: self.folder.join("trainer.log"),
        }))
    }

    fn report(&mut self) -> Result<Option<Metrics>, Error> {
        let begun = self.trainer.is_none() || self.itself().is_some();
        if begun { self.steps.next() } else { Ok(None) }
    }
}

fn start(program: &Program, folder: &Path) -> Result<Guarded, Error> {
    let mut words = program.words().to_vec();
    words.extend(["train.py", "task.json"].map(|name| folder.join(name).display().to_string()));
    let mut environment = program.environment.clone();
    let silent = [("TQDM_DISABLE", "1"), ("TOKENIZERS_PARALLELISM", "false")];
    for (name, value) in silent {
        environment.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    Guarded::start(&Launch {
        guard: &program.guard,
        words: &words,
        environment: &environment,
        log: &folder.join("trainer.log"),
        folder: Some(folder),
    })
    .map_err(Error::Trainer)
}

impl Learner for Running {
    fn steps(&self) -> usize {
        self.all
    }

    fn done(&self) -> usize {
        self.done
    }

    fn step(&mut self, go_on: &dyn Fn() -> bool) -> Result<Option<Metrics>, Error> {
        while self.done < self.all {
            let metrics = self.wait(go_on, Self::report)?;
            self.done = metrics.step;
            if self.done > self.heard {
                return Ok(Some(metrics));
            }
        }
        Ok(None)
    }

    fn state(&mut self) -> State<'_> {
        State::Folder(self)
    }

    fn learned(&mut self, go_on: &dyn Fn() -> bool) -> Result<Learned, Error> {
        let model = self.folder.join("model");
        let there = |_: &mut Self| Ok(model.is_dir().then_some(()));
        self.wait(go_on, there)?;
        self.trainer = None;
        Ok(Learned::Files(files_in(&model)?))
    }
}

/// Lists the files of a model that the trainer wrote, by their names.
fn files_in(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    listed(folder).map_err(|source| Error::Report { path: folder.to_owned(), source })
}

impl Again for Running {
    fn pass(&mut self, done: usize) {
        self.heard = self.heard.max(done);
    }
}
