//! Damage: whatever file of a store is flipped, cut short or deleted, somebody says so, and no answer is
//! silently another.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use mrx::experiment::{Experiment, Machine};
use mrx::query::{Session, TABLES};
use mrx::records::VERSIONS;
use mrx::runner::{Event, Interrupt, Listener, NodeName, Runner, Shelf};
use mrx::store::{Damage, Digest, Host, Store};
use serde::Deserialize;

use crate::lab::{Lab, copy_folder, skip};

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Harm {
    Flipped,
    CutShort,
    Deleted,
}

impl Harm {
    const ALL: [Self; 3] = [Self::Flipped, Self::CutShort, Self::Deleted];

    pub(crate) fn be_done_to(self, path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        match self {
            Self::Deleted => return fs::remove_file(path).unwrap(),
            Self::CutShort => bytes.truncate(bytes.len() / 2),
            Self::Flipped => {
                let middle = bytes.len() / 2;
                if let Some(byte) = bytes.get_mut(middle) {
                    *byte ^= 1;
                }
            }
        }
        fs::write(path, bytes).unwrap();
    }
}

/// What the three who may say something came to.
#[derive(Debug, Default)]
struct Heard {
    /// What `run`, `sql` and `verify` said: errors, warnings and findings.
    run: Vec<String>,
    sql: Vec<String>,
    verify: Vec<String>,
    /// Errors that are not the store's own: exit code 1 or 3 in place of 4.
    not_damage: Vec<String>,
    /// What every view held, and what the nodes made that were run again.
    answers: BTreeMap<String, String>,
    made: BTreeMap<String, Digest>,
}

#[derive(Deserialize)]
struct Row {
    json: String,
}

struct Ear(Mutex<Vec<String>>);

impl Listener for Ear {
    fn hear(&self, event: &Event) {
        if let Event::Warned { node, text, .. } = event {
            self.0.lock().unwrap().push(format!("{node}: {text}"));
        }
    }
}

/// Whether an error says that the store is damaged, and with it all that it says.
fn of_damage(error: &(dyn std::error::Error + 'static)) -> (bool, String) {
    let chain: Vec<_> = std::iter::successors(Some(error), |error| error.source()).collect();
    let damage = |error: &&dyn std::error::Error| match error.to_string() {
        text if text.contains("is damaged") || text.contains("is missing") => true,
        text => text.contains(" is gone, and the store") || text.contains("has format 3"),
    };
    let said = chain.iter().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    (chain.iter().any(damage), said)
}

impl Heard {
    fn error(&mut self, error: &(dyn std::error::Error + 'static)) -> String {
        let (damage, said) = of_damage(error);
        if !damage {
            self.not_damage.push(said.clone());
        }
        said
    }

    fn verify(&mut self, root: &Path) {
        let store = match Store::open(root) {
            Ok(store) => store.knowing(&VERSIONS),
            Err(error) => return self.verify = vec![self.error(&error)],
        };
        for found in store.verify().unwrap().findings {
            if found.damage != Damage::Foreign {
                self.verify.push(format!("{}: {}", found.path.display(), found.note));
            }
        }
    }

    fn sql(&mut self, root: &Path) {
        let store = match Store::open(root) {
            Ok(store) => store.knowing(&VERSIONS),
            Err(error) => return self.sql = vec![self.error(&error)],
        };
        // `mrx sql` prints these.
        for plan in store.plans().into_iter().flatten() {
            let lost = plan.lost(&store).into_iter();
            self.sql.extend(lost.map(|lost| format!("{} of {}", lost.node, plan.experiment)));
        }
        let session = match Session::open(&store) {
            Ok(session) => session,
            Err(error) => return self.sql = vec![self.error(&error)],
        };
        let views =
            TABLES.iter().map(|(name, _)| *name).chain(["runs", "nodes", "lineage", "experiments"]);
        for view in views {
            let but = match view {
                "runs" | "nodes" => "EXCLUDE (started, seconds, attempts)",
                _ => "",
            };
            let query = format!(
                "SELECT to_json(t)::VARCHAR AS json FROM (SELECT * {but} FROM {view}) t ORDER BY json"
            );
            match session.rows::<Row>(&query) {
                Ok(rows) => {
                    let rows: Vec<String> = rows.into_iter().map(|row| row.json).collect();
                    self.answers.insert(view.to_owned(), rows.join("\n"));
                }
                Err(error) => {
                    let said = self.error(&error);
                    self.sql.push(format!("{view}: {said}"));
                }
            }
        }
    }

    fn run(&mut self, root: &Path, (path, wanted): (&Path, &[NodeName])) {
        let store = match Store::create(root) {
            Ok(store) => store.knowing(&VERSIONS),
            Err(error) => return self.run = vec![self.error(&error)],
        };
        let experiment = Experiment::load(path, &[], &Machine::any()).unwrap();
        let ear = Ear(Mutex::default());
        let runner = Runner {
            store: &store,
            listener: &ear,
            interrupt: &Interrupt::default(),
            clock: SystemTime::now,
            device: "cpu",
            cache_memory: 1 << 30,
            host: &Host::default(),
            open: Shelf::default(),
        };
        match runner.run(experiment.plan(), wanted) {
            Ok(summary) => {
                for failed in summary.failed {
                    let said = self.error(failed.error.as_ref());
                    self.run.push(format!("{}: {said}", failed.node));
                }
            }
            Err(error) => {
                let said = self.error(&error);
                self.run.push(said);
            }
        }
        self.run.extend(ear.0.into_inner().unwrap());
        self.made = made(&store, &experiment.plan().experiment);
    }

    /// Hears what is said of a store in which `file` is damaged. Where it is work in hand, the killed run goes
    /// on; else the finished one is run again.
    fn of(lab: &Lab, root: &Path, file: &Path) -> Self {
        let mut heard = Self::default();
        heard.verify(root);
        heard.sql(root);
        if file.starts_with("partial") {
            heard.run(root, (&lab.path.join("killed"), &["judge.m0".parse().unwrap()]));
        } else {
            heard.run(root, (&lab.path.join("loop"), &[]));
        }
        heard
    }

    fn silent(&self) -> bool {
        self.run.is_empty() && self.sql.is_empty() && self.verify.is_empty()
    }
}

/// What the nodes of an experiment made, as far as it can be read.
fn made(store: &Store, experiment: &str) -> BTreeMap<String, Digest> {
    let mut made = BTreeMap::new();
    for node in store.plan(experiment).ok().flatten().into_iter().flat_map(|plan| plan.nodes) {
        let manifest = node.run.and_then(|run| store.manifest(run).ok().flatten());
        for (table, stored) in manifest.into_iter().flat_map(|manifest| manifest.tables) {
            made.insert(format!("{}/{table}", node.node), stored.object);
        }
    }
    made
}

fn name_of(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Files of a store, but those that are empty, and what a crash left half-written.
fn files(root: &Path, under: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    // While a run writes, what is listed may be gone at once.
    for entry in fs::read_dir(under).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(root, &path));
        } else if path.metadata().is_ok_and(|found| found.len() > 0)
            && !name_of(&path).starts_with(".tmp-")
        {
            found.push(path.strip_prefix(root).unwrap().to_owned());
        }
    }
    found.sort();
    found
}

/// A store with every kind of file: an experiment that is finished, one that was killed while it drew, a
/// pin, and a big declared file whose digest is remembered.
fn with_every_kind_of_file() -> Option<Lab> {
    let lab = Lab::with_loop();
    for (from, to) in [
        ("[0.0, 0.32, 0.32, 0.4]", "[0.0, 0.32]"),
        ("[2500, false, false, false]", "[2500, false]"),
        ("[1100, 1000, false, false]", "[1100, 1000]"),
        ("[true, true, false, false]", "true"),
        ("iterations = 4", "iterations = 2"),
        ("per_iteration = 10", "per_iteration = 5"),
        ("samples = 7", "samples = 3"),
        ("samples = 11", "samples = 4"),
    ] {
        lab.edit("loop/experiment.toml", from, to);
    }
    copy_folder(&lab.path.join("loop"), &lab.path.join("killed"));
    let padded = fs::read_to_string(lab.path.join("loop/prompts.jsonl")).unwrap();
    lab.write("loop/prompts.jsonl", &format!("{padded}{}\n", " ".repeat(1 << 20)));
    lab.edit("killed/experiment.toml", "name = \"scripted\"", "name = \"killed\"");
    lab.write("killed/prompts.sql", "SELECT 'Question ' || i AS prompt FROM range(1000) t(i)");
    lab.edit("killed/experiment.toml", "files = [\"prompts.jsonl\"]", "");
    lab.edit("killed/experiment.toml", "per_iteration = 5", "per_iteration = 500");
    lab.mrx(&["run", "loop"]).success();
    lab.mrx(&["store", "pin", "judge.m1"]).success();
    let whole = lab.path.join("whole");
    copy_folder(&lab.path.join(".mrx"), &whole);
    for _ in 0..20 {
        if killed_while_it_draws(&lab) {
            return Some(lab);
        }
        fs::remove_dir_all(lab.path.join(".mrx")).unwrap();
        copy_folder(&whole, &lab.path.join(".mrx"));
    }
    None
}

/// Whether a kill left draws that are safe, and no table of them yet.
fn killed_while_it_draws(lab: &Lab) -> bool {
    let mut command = lab.command(&["run", "killed", "judge.m0"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let partial = lab.path.join(".mrx/partial");
    let drawn = || {
        let drawn = files(&partial, &partial);
        drawn
            .into_iter()
            .filter(|path| path.components().count() > 1)
            .any(|path| !["lock", "effort.json"].contains(&name_of(&path)))
    };
    let patience = Instant::now();
    while !drawn() && patience.elapsed() < Duration::from_secs(20) {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    drawn()
}

/// A file whose loss nobody can know of, because nothing else speaks of it and nothing changes by it: lists
/// that save hashing, pins, and work in hand, which is made again.
fn may_vanish(file: &Path) -> bool {
    ["pins.json", "sources.json", "checked.json"].iter().any(|name| file == Path::new(name))
        || file.starts_with("partial")
}

#[test]
fn no_damage_to_any_file_is_silent() {
    let Some(lab) = with_every_kind_of_file() else {
        return skip("no kill came between two draws");
    };
    let store = lab.path.join(".mrx");
    let all = files(&store, &store);
    let undamaged = ["FORMAT", "partial"].map(|file| {
        let copy = lab.path.join("copies").join(file);
        copy_folder(&store, &copy);
        let heard = Heard::of(&lab, &copy, Path::new(file));
        assert!(heard.silent() && heard.not_damage.is_empty(), "{heard:#?}");
        heard
    });
    let damages: Vec<(&PathBuf, Harm)> =
        all.iter().flat_map(|file| Harm::ALL.map(|harm| (file, harm))).collect();
    let next = Mutex::new(damages.iter().enumerate());
    let complaints = Mutex::new(Vec::new());
    let counts = Mutex::new(BTreeMap::<(String, Harm), [u32; 5]>::new());
    let work = || {
        loop {
            let Some((number, (file, harm))) = next.lock().unwrap().next() else { break };
            let copy = lab.path.join(format!("copies/{number}"));
            copy_folder(&store, &copy);
            harm.be_done_to(&copy.join(file));
            let heard = Heard::of(&lab, &copy, file);
            fs::remove_dir_all(&copy).unwrap();
            let undamaged = &undamaged[usize::from(file.starts_with("partial"))];
            let told = judge(file, *harm, &heard, undamaged);
            complaints.lock().unwrap().extend(told);
            let kind = file.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
            let mut counts = counts.lock().unwrap();
            let count = counts.entry((kind, *harm)).or_default();
            let said = [&heard.run, &heard.sql, &heard.verify].map(|said| !said.is_empty());
            count[0] += 1;
            for (count, said) in count[1..].iter_mut().zip(said.into_iter().chain([heard.silent()]))
            {
                *count += u32::from(said);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let counts = counts.into_inner().unwrap();
    let mut report = String::from("of each kind: all, said by run, sql, verify, nobody");
    for ((kind, harm), counts) in &counts {
        let _ = write!(report, "\n{kind:<14} {harm:?} {counts:?}");
    }
    let complaints = complaints.into_inner().unwrap();
    assert!(complaints.is_empty(), "{report}\n{}", complaints.join("\n"));
    let sum = |at: usize| counts.values().map(|counts| counts[at]).sum::<u32>();
    let [all, run, sql, verify, nobody] = [0, 1, 2, 3, 4].map(sum);
    let _ = writeln!(
        std::io::stderr(),
        "\n{all} damages: told by run {run}, sql {sql}, verify {verify}; {nobody} change nothing"
    );
}

/// What is wrong with what was heard of a damage.
fn judge(file: &Path, harm: Harm, heard: &Heard, undamaged: &Heard) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut complain = |what: &str| {
        let said = [&heard.run, &heard.sql, &heard.verify, &heard.not_damage];
        wrong.push(format!("{} {harm:?}: {what}: {said:?}", file.display()));
    };
    let may_be_silent = harm == Harm::Deleted && may_vanish(file);
    if heard.silent() && !may_be_silent {
        complain("nobody says so");
    }
    if !heard.not_damage.is_empty() {
        complain("somebody takes it for something else than damage");
    }
    let asked = undamaged.answers.iter();
    let differ = asked
        .filter(|(view, rows)| heard.answers.get(*view).is_some_and(|answer| answer != *rows))
        .count();
    if differ > 0 && heard.sql.is_empty() && heard.verify.is_empty() {
        complain("an answer is silently another");
    }
    if heard.run.is_empty() && heard.made != undamaged.made {
        complain("a run silently makes something else");
    }
    let other = |(node, object): (&String, &Digest)| undamaged.made.get(node) != Some(object);
    if heard.made.iter().any(other) {
        complain("a table is made with other rows");
    }
    wrong
}
