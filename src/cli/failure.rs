//! Errors become a kind, hints and an exit code: here alone.

use std::error::Error;
use std::io;
use std::path::Path;

use crate::experiment::{CannotDraw, DoesNotFit, ModelError, remote};
use crate::runner::{Interrupted, StageError};
use crate::{experiment, query, runner, store, study};

/// What kind of failure it is, which decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The experiment, its data or the world is at fault.
    Data,
    /// The command line is.
    Usage,
    /// A stage failed; the others are kept.
    Stage,
    /// The store is damaged.
    Damaged,
    /// mrx is at fault.
    Bug,
    /// It was asked to stop.
    Interrupted,
    /// The reader of its output went away.
    BrokenPipe,
}

impl Kind {
    /// Returns the exit code.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::BrokenPipe => 0,
            Self::Data => 1,
            Self::Usage => 2,
            Self::Stage => 3,
            Self::Damaged => 4,
            Self::Bug => 70,
            Self::Interrupted => 130,
        }
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) error: StageError,
    pub(super) hints: Vec<String>,
}

impl Failure {
    /// A failure of this kind, in these words.
    pub(super) fn new(kind: Kind, error: impl Into<StageError>) -> Self {
        Self { kind, error: error.into(), hints: Vec::new() }
    }

    /// Adds a hint.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Tells which of two failures decides the exit code, and which does not: damage does, else the later.
    pub(super) fn worse(earlier: Self, later: Self) -> (Self, Self) {
        let earlier_decides = earlier.kind == Kind::Damaged && later.kind != Kind::Damaged;
        if earlier_decides { (earlier, later) } else { (later, earlier) }
    }

    /// Classifies an error by what it is made of.
    pub(super) fn of(error: StageError) -> Self {
        let mut failure = Self { kind: Kind::Data, error, hints: Vec::new() };
        let mut cause: Option<&(dyn Error + 'static)> = Some(failure.error.as_ref());
        let (mut kind, mut hint) = (None, None);
        while let Some(link) = cause.filter(|_| kind.is_none() && hint.is_none()) {
            (kind, hint) = look(link);
            cause = link.source();
        }
        failure.kind = kind.unwrap_or(Kind::Data);
        failure.hints.extend(hint);
        failure
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::of(Box::new(error))
    }
}

type Look = (Option<Kind>, Option<String>);

/// What one link of an error's chain says of the kind, and what helps.
fn look(error: &(dyn Error + 'static)) -> Look {
    if let Some(error) = error.downcast_ref::<store::Error>() {
        return store_error(error);
    }
    if let Some(runner::Error::Store(error)) = error.downcast_ref() {
        return store_error(error);
    }
    if let Some(error) = error.downcast_ref::<query::Error>() {
        return query_error(error);
    }
    if let Some(error) = error.downcast_ref::<study::Error>() {
        return study_error(error);
    }
    if let Some(error) = error.downcast_ref::<query::InputsError>() {
        return inputs_error(error);
    }
    if let Some(experiment::Error::At { did_you_mean: Some(near), .. }) = error.downcast_ref() {
        return (None, Some(format!("did you mean `{near}`?")));
    }
    if let Some(experiment::Error::Several { names, .. }) = error.downcast_ref() {
        let first = names.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
        let hint = format!(
            "`--set seed=N`, and of what is swept a value each, picks one; they are {first}, …"
        );
        return (None, Some(hint));
    }
    if error.is::<experiment::TooManyRefused>() {
        let hint = "let more pass with `max_refused` in the experiment, or mend what they are refused \
                    for; what was drawn is kept";
        return (None, Some(hint.to_owned()));
    }
    if let Some(refused) = error.downcast_ref() {
        return (None, Some(memory_hint(refused)));
    }
    if error.is::<experiment::Awaited>() {
        let hint = "`mrx export pairs EXPERIMENT/MODEL --to trl` writes what to train on, `mrx import \
                    checkpoint FOLDER --as EXPERIMENT/NEXT_MODEL` takes what came of it";
        return (None, Some(hint.to_owned()));
    }
    if error.is::<experiment::FromGguf>() {
        let hint = "name as `path` the folder of Hugging Face that the file was made from; or say `trainer = \"import\"` \
                    in `[sft]`, and `mrx import checkpoint FOLDER --as EXPERIMENT/m0` takes that folder in its \
                    place; a GGUF file alone goes as far as its pairs: `mrx run EXPERIMENT pair.m0`";
        return (None, Some(hint.to_owned()));
    }
    if let Some(experiment::TrainError::Ended(ended)) = error.downcast_ref()
        && ended.step > 0
    {
        let hint = "its own checkpoints are kept: the same command goes on from the last";
        return (None, Some(hint.to_owned()));
    }
    if error.is::<CannotDraw>() {
        let hint = "weights in bf16, or in a GGUF file, take less; so do shorter answers (`max_tokens`); `memory` \
                    in mrx.toml says how much may be used";
        return (None, Some(hint.to_owned()));
    }
    if let Some(ModelError::CacheFull { .. }) = error.downcast_ref() {
        let hint = "raise --cache-memory, or ask for fewer tokens with `max_tokens`";
        return (None, Some(hint.to_owned()));
    }
    if let Some(error) = ModelError::remote(error) {
        return (None, remote_error(error).map(str::to_owned));
    }
    if error.is::<Interrupted>()
        || matches!(error.downcast_ref(), Some(runner::Error::Interrupted(_)))
    {
        let hint = "what was made is safe; the same command goes on from here";
        return (Some(Kind::Interrupted), Some(hint.to_owned()));
    }
    if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
        return (Some(Kind::BrokenPipe), None);
    }
    (None, None)
}

/// What may be changed for a training to fit. The batch is run in chunks, and has no say.
fn memory_hint(refused: &DoesNotFit) -> String {
    let mut ways = Vec::new();
    if refused.keeps_all {
        ways.push(
            "`gradient_checkpointing = true` in `[train]` (and `[sft]`) keeps less of each layer",
        );
    }
    if refused.trains_all {
        ways.push("`[adapter]` trains a small part of the weights");
    }
    ways.push("shorter answers (`max_tokens`) make shorter examples");
    ways.push("`memory` in mrx.toml says how much may be used");
    ways.join("; ")
}

fn store_error(error: &store::Error) -> Look {
    let hint = |text: &str| Some(text.to_owned());
    match error {
        store::Error::Missing { .. } => {
            let text =
                "`mrx run EXPERIMENT` makes one here; `--store DIR` or MRX_STORE names another";
            (None, hint(text))
        }
        store::Error::NoFormat { path } => (Some(Kind::Damaged), Some(mend_format(path))),
        store::Error::Unreadable { path, .. } if path.ends_with("FORMAT") => {
            (Some(Kind::Damaged), Some(mend_format(path)))
        }
        store::Error::OtherVersion(other) if other.found > other.known => {
            (None, hint("a newer mrx wrote it; use that one"))
        }
        store::Error::OtherVersion(_) => (
            None,
            hint("`mrx run` of its experiment makes it again, in the version that is read now"),
        ),
        store::Error::Newer { .. } => (None, hint("a newer mrx wrote it; use that one")),
        store::Error::Busy { .. } => (None, hint("wait for it to finish, then try again")),
        store::Error::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => (
            None,
            hint("make room (`mrx store gc` shows what may go), then run the same command again"),
        ),
        store::Error::ObjectMissing { .. } => {
            (Some(Kind::Damaged), hint("`mrx run` of its experiment makes it again"))
        }
        damage if damage.is_damage() => (
            Some(Kind::Damaged),
            hint("`mrx store verify --repair` removes what is damaged; `mrx run` makes it again"),
        ),
        _ => (None, None),
    }
}

/// What helps where a model in another program could not be asked.
const fn remote_error(error: &remote::Error) -> Option<&'static str> {
    use remote::Error::{
        Again, Budget, ByFiles, Engine, Forbidden, NoKey, NotServed, OpenKey, OtherVersion,
        PortTaken, Silence, Start, Unequal,
    };
    match error {
        NoKey { .. } => Some("set the variable, or name another one with `api_key_env`"),
        OpenKey { .. } => {
            Some("use `https://`, or say `allow_http = true` where the network is your own")
        }
        Forbidden { .. } => {
            Some("what has landed is kept; with the right key the same command goes on")
        }
        NotServed { .. } => Some(
            "start a server of this model, or name what it is served as with `served_name`; the files of a \
             checkpoint are laid out in the store's `engines` folder",
        ),
        OtherVersion { .. } => Some(
            "without `version` in the experiment, the key takes the server's own, and the rows are drawn anew",
        ),
        Silence { .. } => {
            Some("what has landed is kept; once a server answers, the same command goes on")
        }
        Again { .. } => Some("`mrx doctor` looks at the server; what has landed is kept"),
        Budget { .. } => {
            Some("what has landed is kept; with a higher `max_cost` the same command goes on")
        }
        ByFiles => Some(
            "`mrx batch export EXPERIMENT NODE` writes the requests, `mrx batch import` takes the replies",
        ),
        Start { .. } | Engine { .. } => {
            Some("what has landed is kept; the whole of its words is in the log")
        }
        PortTaken { .. } => Some("end that program, or leave `port` out: mrx finds a free one"),
        Unequal { .. } => Some("see that all of them were started alike, from the same files"),
        _ => None,
    }
}

/// How to mend the file that says which format a store has.
fn mend_format(path: &Path) -> String {
    format!(
        "if no newer mrx wrote this store, `echo {} > '{}'` mends it",
        store::FORMAT,
        path.display()
    )
}

fn study_error(error: &study::Error) -> Look {
    match error {
        study::Error::Store(error) => store_error(error),
        study::Error::Query(error) => query_error(error),
        study::Error::NotMade { .. } => {
            (None, Some("`mrx run` makes it, where the experiment has `[evaluate]`".to_owned()))
        }
        study::Error::OtherPrompts { .. } => {
            (None, Some("their `[evaluate]` has to ask the same prompts, in any order".to_owned()))
        }
    }
}

fn query_error(error: &query::Error) -> Look {
    match error {
        query::Error::Store(error) => store_error(error),
        query::Error::Refused(query::Refused::NotAQuery(_)) => {
            let may = "SELECT, FROM, VALUES, WITH, PIVOT, DESCRIBE, SHOW, SUMMARIZE and EXPLAIN run; \
                       `--format parquet` writes what comes out";
            (None, Some(may.to_owned()))
        }
        query::Error::Refused(query::Refused::Several(_)) => {
            (None, Some("run them one by one".to_owned()))
        }
        query::Error::DuckDb(_) if is_out_of_memory(error) => {
            (None, Some("take fewer columns or rows at once, or raise --memory-limit".to_owned()))
        }
        query::Error::Shape { .. } => {
            (None, Some("another mrx wrote it; `mrx run` with this one makes it again".to_owned()))
        }
        query::Error::DuckDb(_) if error.to_string().contains("does not exist") => (
            None,
            Some(
                "`mrx sql \"SHOW TABLES\"` lists the views, `DESCRIBE judgements` the columns"
                    .to_owned(),
            ),
        ),
        _ => (None, None),
    }
}

/// What DuckDB says when it reaches its limit.
fn is_out_of_memory(error: &dyn Error) -> bool {
    error.to_string().starts_with("Out of Memory Error")
}

fn inputs_error(error: &query::InputsError) -> Look {
    let hint = |text: &str| (None, Some(text.to_owned()));
    match error {
        query::InputsError::Rows(error) => store_error(error),
        query::InputsError::Unrepeatable(_) => hint(
            "write the value itself into the query, or a file with it among its declared files; for a \
             seeded draw, ORDER BY md5_number(prompt)",
        ),
        query::InputsError::NotText { .. } => hint(
            "let the reader keep the text, for what it guessed cannot be cast back: read_json(…, columns = \
             {prompt: 'VARCHAR', …}), or read_csv(…, all_varchar = true); JSON writes a number without quotes, \
             and keeps no text of it (3.10 is 3.1). A value of the query's own is text with `::VARCHAR`",
        ),
        query::InputsError::DuckDb(_) if is_out_of_memory(error) => hint(
            "the query may take half of the machine's memory: take fewer columns or rows at once",
        ),
        _ => (None, None),
    }
}
