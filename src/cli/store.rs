//! `mrx store`: trust it, tidy it, keep things in it, see where the bytes are.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use indicatif::HumanBytes;
use serde::{Deserialize, Serialize};

use super::failure::{Failure, Kind};
use super::place::StorePlace;
use super::tables::{format, print_rows};
use super::target::Target;
use super::ui::{Label, Ui, thousands};
use crate::query::Format;
use crate::store::{Damage, Pin};

/// Check, tidy and measure the store
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Hash everything again and name each damaged, missing or foreign file
    Verify {
        /// Remove damaged objects, so that the next run makes them again
        #[arg(long)]
        repair: bool,
    },
    /// Show what no experiment needs any more; delete it with --yes
    ///
    /// Kept: what the recorded plan of an experiment or a pin leads to, and what is younger than
    /// the grace time.
    Gc {
        /// Delete it
        #[arg(long)]
        yes: bool,
        /// How young a file must be to stay, as 7d or 12h
        #[arg(long, value_name = "TIME", default_value = "7d", value_parser = humantime::parse_duration)]
        grace: Duration,
        /// How to print
        #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = format())]
        format: Format,
    },
    /// Name what must stay; list the pins without a target
    Pin {
        /// A node (`judge.m1`, `experiment/judge.m1`), or the first digits of a run or an object
        target: Option<String>,
        /// Why
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
        /// Remove the pin instead
        #[arg(long, requires = "target")]
        remove: bool,
    },
    /// Say where the bytes are
    Stats {
        /// How to print
        #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = format())]
        format: Format,
    },
}

pub(super) fn run(command: &Command, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    match command {
        Command::Verify { repair } => verify(*repair, place, ui),
        Command::Gc { yes, grace, format } => gc(*yes, *grace, *format, place, ui),
        Command::Pin { target: None, .. } => list_pins(place, ui),
        Command::Pin { target: Some(target), note, remove } => {
            pin(target, note, *remove, place, ui)
        }
        Command::Stats { format } => stats(*format, place, ui),
    }
}

fn verify(repair: bool, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let store = place.open()?;
    // What a run has in hand must not be taken for damage and removed.
    let _lock = repair.then(|| store.lock_for_sweep()).transpose()?;
    let verified = store.verify()?;
    for finding in &verified.findings {
        let word = match finding.damage {
            Damage::Damaged => "damaged",
            Damage::Missing => "missing",
            Damage::Foreign => "foreign",
            Damage::Unplanned => "unplanned",
        };
        let path = finding.path.strip_prefix(store.root()).unwrap_or(&finding.path);
        ui.print(&format!("{word}  {}  {}", path.display(), finding.note))?;
    }
    let looked = format!(
        "{} objects ({}) and {} runs looked at",
        thousands(verified.objects),
        HumanBytes(verified.bytes),
        thousands(verified.runs)
    );
    if verified.findings.is_empty() {
        ui.say(&format!("{}: {looked}", ui.paint(Label::Good, "all is well")));
        return Ok(());
    }
    if repair {
        let removed = store.remove_damaged(&verified.findings)?;
        ui.say(&format!("{removed} damaged files removed"));
        ui.hint("`mrx run` makes again what is missing");
        return Ok(());
    }
    let harmless = [Damage::Foreign, Damage::Unplanned];
    let harmful = verified.findings.iter().any(|found| !harmless.contains(&found.damage));
    if !harmful {
        ui.say(&format!("nothing is damaged: {looked}"));
        return Ok(());
    }
    let text = format!(
        "{} of the store's files are not as they should be; {looked}",
        verified.findings.len()
    );
    let failure = Failure::new(Kind::Damaged, text);
    Err(failure
        .hint("`mrx store verify --repair` removes what is damaged; `mrx run` makes it again"))
}

/// A line of what gc would delete.
#[derive(Serialize, Deserialize)]
struct DoomedLine {
    kind: String,
    path: String,
    bytes: u64,
    age: String,
    why: String,
}

fn gc(
    yes: bool,
    grace: Duration,
    format: Format,
    place: &StorePlace,
    ui: &Ui,
) -> Result<(), Failure> {
    let store = place.open()?;
    let lock = store.lock_for_sweep()?;
    let sweep = store.sweep(SystemTime::now(), grace)?;
    let whole_seconds = |age: Duration| Duration::from_secs(age.as_secs());
    let lines: Vec<DoomedLine> = sweep
        .doomed
        .iter()
        .map(|doomed| DoomedLine {
            kind: doomed.kind.to_owned(),
            path: doomed
                .path
                .strip_prefix(store.root())
                .unwrap_or(&doomed.path)
                .display()
                .to_string(),
            bytes: doomed.bytes,
            age: humantime::format_duration(whole_seconds(doomed.age)).to_string(),
            why: doomed.why.clone(),
        })
        .collect();
    if lines.is_empty() {
        let spared = match sweep.spared {
            0 => String::new(),
            n => format!("; {n} unneeded files are younger than the grace time"),
        };
        ui.say(&format!("nothing to delete{spared}"));
        return Ok(());
    }
    print_rows(ui, format, &lines)?;
    let bytes: u64 = sweep.doomed.iter().map(|doomed| doomed.bytes).sum();
    if yes {
        let freed = sweep.carry_out()?;
        ui.say(&format!("{} files deleted, {} freed", lines.len(), HumanBytes(freed)));
    } else {
        ui.say(&format!("{} files, {}, would be deleted", lines.len(), HumanBytes(bytes)));
        ui.hint("`mrx store gc --yes` deletes them; `mrx store pin` keeps one");
    }
    drop(lock);
    Ok(())
}

/// A line of the list of pins.
#[derive(Serialize, Deserialize)]
struct PinLine {
    digest: String,
    since: String,
    note: String,
}

fn list_pins(place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let pins = place.open()?.pins()?;
    if pins.is_empty() {
        ui.say("nothing is pinned");
        return Ok(());
    }
    let line = |pin: &Pin| PinLine {
        digest: pin.digest.short(),
        since: pin.since.clone(),
        note: pin.note.clone(),
    };
    print_rows(ui, Format::Table, &pins.iter().map(line).collect::<Vec<_>>())
}

fn pin(target: &str, note: &str, remove: bool, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let store = place.open()?;
    let digest = match Target::find(&store, target)? {
        Target::Run(manifest) => manifest.run,
        Target::Object(digest, _) => digest,
    };
    if remove {
        let said = if store.unpin(digest)? { "is no longer pinned" } else { "was not pinned" };
        ui.say(&format!("{} {said}", digest.short()));
        return Ok(());
    }
    let since = DateTime::<Utc>::from(SystemTime::now()).to_rfc3339_opts(SecondsFormat::Secs, true);
    store.pin(Pin { digest, note: note.to_owned(), since })?;
    ui.say(&format!("{} stays, with all it was made from", digest.short()));
    Ok(())
}

/// A line of where the bytes are.
#[derive(Serialize, Deserialize)]
struct UsageLine {
    table: String,
    objects: u64,
    bytes: u64,
    size: String,
}

fn stats(format: Format, place: &StorePlace, ui: &Ui) -> Result<(), Failure> {
    let store = place.open()?;
    let usage = store.usage()?;
    let mut lines: Vec<UsageLine> = usage
        .tables
        .iter()
        .map(|(table, &(bytes, objects))| UsageLine {
            table: table.clone(),
            objects,
            bytes,
            size: HumanBytes(bytes).to_string(),
        })
        .collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.bytes));
    print_rows(ui, format, &lines)?;
    let total: u64 = lines.iter().map(|line| line.bytes).sum();
    ui.say(&format!(
        "\n{} in objects of {} runs, {} in work in hand, at {}",
        HumanBytes(total),
        thousands(usage.runs),
        HumanBytes(usage.partial),
        store.root().display()
    ));
    Ok(())
}
