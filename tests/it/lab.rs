//! A laboratory: an empty folder with an awkward name, a cleared environment, and the `mrx` binary.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use mrx::store::{Digest, Store};
use regex::Regex;

/// The project's own folder.
pub(crate) const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// A folder to try things in. Its name has spaces and Unicode in it, as a user's might.
pub(crate) struct Lab {
    _folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

/// What a command printed, and how it ended.
pub(crate) struct Outcome {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
    home: PathBuf,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("mrx läb ").tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        Self { _folder: folder, path }
    }

    /// A lab with the scripted experiment in `loop/`.
    pub(crate) fn with_loop() -> Self {
        let lab = Self::new();
        copy_folder(&Path::new(PROJECT).join("experiments/scripted"), &lab.path.join("loop"));
        lab
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Replaces text in a file; it has to be there.
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) -> &Self {
        let text = fs::read_to_string(self.path.join(name)).unwrap();
        assert!(text.contains(from), "{name} does not say {from}");
        self.write(name, &text.replace(from, to))
    }

    /// The command, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mrx"));
        command.args(arguments).current_dir(&self.path).stdin(Stdio::null());
        command.env_clear().env("COLUMNS", "100");
        // A DuckDB that is not linked in has to be found.
        if let Some(path) = std::env::var_os("LD_LIBRARY_PATH") {
            command.env("LD_LIBRARY_PATH", path);
        }
        command
    }

    /// Runs `mrx`.
    pub(crate) fn mrx(&self, arguments: &[&str]) -> Outcome {
        self.outcome(&self.command(arguments).output().unwrap())
    }

    /// Kills `mrx` after this share of the time that its work takes. Where it had ended before (for a
    /// machine that others leave alone is faster), the work is undone and killed in half the time.
    #[track_caller]
    pub(crate) fn kill(&self, run: &[&str], whole: &mut Duration, share: f64, undo: impl Fn()) {
        for _ in 0..8 {
            let mut command = self.command(run);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            sleep(whole.mul_f64(share));
            let ended = child.try_wait().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            let Some(ended) = ended else { return };
            assert!(ended.success(), "{ended}");
            undo();
            *whole /= 2;
        }
        panic!("{run:?} ends before it is killed");
    }

    /// Runs `mrx` with something on its standard input.
    pub(crate) fn mrx_with_input(&self, arguments: &[&str], input: &str) -> Outcome {
        self.write("stdin", input);
        let file = fs::File::open(self.path.join("stdin")).unwrap();
        self.outcome(&self.command(arguments).stdin(file).output().unwrap())
    }

    fn outcome(&self, output: &Output) -> Outcome {
        Outcome {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
            home: self.path.clone(),
        }
    }

    /// One value from SQL.
    pub(crate) fn ask(&self, query: &str) -> String {
        let outcome = self.mrx(&["sql", query, "--format", "csv"]).success();
        outcome.stdout.lines().nth(1).unwrap_or_default().to_owned()
    }

    /// The lab's store.
    pub(crate) fn store(&self) -> Store {
        Store::open(self.path.join(".mrx")).unwrap()
    }

    /// The digest of every table of every node of an experiment.
    pub(crate) fn digests(&self, experiment: &str) -> BTreeMap<String, Digest> {
        let store = self.store();
        let plan = store.plan(experiment).unwrap().unwrap();
        let mut digests = BTreeMap::new();
        for node in plan.nodes {
            let Some(run) = node.run else { continue };
            let Some(manifest) = store.manifest(run).unwrap() else { continue };
            for (table, stored) in manifest.tables {
                digests.insert(format!("{}/{table}", node.node), stored.object);
            }
        }
        digests
    }

    /// The only object that holds a table of a node.
    pub(crate) fn object(&self, experiment: &str, table: &str) -> PathBuf {
        self.store().object_path(self.digests(experiment)[table])
    }
}

impl Outcome {
    /// Checks that the command succeeded.
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.report());
        self
    }

    /// Checks that the command failed with this exit code.
    #[track_caller]
    pub(crate) fn fails_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.report());
        self
    }

    /// Checks that stderr says something.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "expected `{text}` in\n{}", self.report());
        self
    }

    /// Checks that stderr does not say something.
    #[track_caller]
    pub(crate) fn does_not_say(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text), "expected no `{text}` in\n{}", self.report());
        self
    }

    /// Checks that stdout has something.
    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "expected `{text}` in\n{}", self.report());
        self
    }

    /// Everything that was printed, with what changes from run to run replaced.
    pub(crate) fn report(&self) -> String {
        let mut text = String::new();
        for part in [&self.stdout, &self.stderr] {
            if !part.is_empty() {
                let _ = writeln!(text, "{}\n---", part.trim_end());
            }
        }
        let _ = write!(text, "exit {}", self.code);
        redact(&text.replace(&*self.home.to_string_lossy(), "LAB"))
    }
}

/// Replaces times, and digits that follow from bytes, by placeholders of the same width.
pub(crate) fn redact(text: &str) -> String {
    let same_width = |found: &regex::Captures<'_>| "_".repeat(found[0].len());
    let text = Regex::new(r"\d{4}-\d\d-\d\dT[0-9:.]+Z?").unwrap().replace_all(text, same_width);
    let text = Regex::new(r" *\b\d+(\.\d)? ?(ms|s)\b").unwrap().replace_all(&text, " TIME");
    text.into_owned()
}

/// Copies a folder and all in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

/// Says that a test is skipped, past the capture of a passing test's output: skips are loud.
pub(crate) fn skip(reason: &str) {
    let _ = writeln!(std::io::stderr(), "\nSKIPPED: {reason}");
}
