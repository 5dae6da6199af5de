//! How TRL trains in an experiment: from the tables to what decides results, and how it is started.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::Error;
use super::machine::{Machine, MachineFile};
use super::per_iteration::Count;
use super::spanned::Spanned;
use super::toml_file::{File, TrainerKind};
use super::trainer_table::{AdapterTable, TrainerTable};
use crate::stages::remote::Report;
use crate::stages::{Adapter, Installed, Program, Trl, installed};

/// What runs Python where nothing is said.
const PYTHON: &str = "python3";
/// Pairs that a process runs at once where nothing is said.
const AT_ONCE: usize = 4;
/// Steps between two checkpoints of a trainer's own where nothing is said.
const SAVE_STEPS: usize = 50;

/// How TRL trains, where the experiment has it train.
pub(super) fn trl(
    file: &File,
    machine: &Machine<'_>,
    of_machine: &MachineFile,
) -> Result<Option<Trl>, Error> {
    let root = &file.root;
    let asked = [root.sft.as_ref().map(|sft| sft.trainer), Some(root.train.trainer)];
    let trains = asked.contains(&Some(TrainerKind::Trl));
    check(file, trains)?;
    if !trains {
        return Ok(None);
    }
    let span = root.trainer.as_ref().map_or(0..0, Spanned::span);
    let ours = root.trainer.as_ref().map(|table| table.as_ref().clone()).unwrap_or_default();
    ours.check(&file.text)?;
    let folder = file.text.path.parent().unwrap_or(Path::new(""));
    let table = ours.found_from(folder).over(of_machine.trainer.clone());
    let program = program(&table, machine);
    let versions = versions(file, &span, machine, &program)?;
    let dtype = table.dtype.as_ref().map(|named| *named.as_ref()).unwrap_or_default();
    let reference = table.reference.as_ref().map(|named| *named.as_ref()).unwrap_or_default();
    Ok(Some(Trl::new(versions, dtype, reference, adapter(root.adapter.as_ref()), program)))
}

/// Checks that what is said of TRL is said to somebody, and that an adapter has something to stand on.
fn check(file: &File, trains: bool) -> Result<(), Error> {
    let root = &file.root;
    let asked = [root.sft.as_ref().map(|sft| sft.trainer), Some(root.train.trainer)];
    let here = asked.contains(&Some(TrainerKind::Local));
    let random = root.model.as_ref().is_some_and(|model| model.as_ref().init.is_some());
    let tuned = root.sft.as_ref().is_some_and(|sft| sft.trainer == TrainerKind::Trl);
    let adapter = root.adapter.as_ref().map(Spanned::span);
    let trainer = root.trainer.as_ref().map(Spanned::span);
    let mistakes = [
        (
            adapter.clone().filter(|_| !trains && !here),
            "an adapter is learned by `trainer = \"local\"` or `\"trl\"`: expected one of them in `[sft]` or \
             `[train]`",
        ),
        (
            adapter.filter(|_| random && tuned),
            "an adapter on random weights learns little: with `[model.init]`, expected `[sft]` to train all \
             weights, by `trainer = \"local\"`",
        ),
        (
            trainer.filter(|_| !trains),
            "`[trainer]` is about TRL: expected `trainer = \"trl\"` in `[sft]` or `[train]`",
        ),
    ];
    let found = mistakes.into_iter().find_map(|(span, message)| Some((span?, message)));
    found.map_or(Ok(()), |(span, message)| Err(file.text.error(&span, message)))
}

/// The adapter that this program learns. Where TRL trains, the adapter is what TRL learns, and all that is
/// trained here is weights.
pub(super) fn local_adapter(file: &File, trl_trains: bool) -> Result<Option<Adapter>, Error> {
    let table = file.root.adapter.as_ref();
    if trl_trains {
        return Ok(None);
    }
    let Some(adapter) = adapter(table) else { return Ok(None) };
    if adapter.dropout > 0.0 {
        let message = "`dropout` of an adapter is TRL's: expected 0 with `trainer = \"local\"`";
        return Err(file.text.error(&table.map_or(0..0, Spanned::span), message));
    }
    Ok(Some(adapter))
}

/// The adapter to learn; where the file names no modules, the attention's, as in the paper of `LoRA` and by PEFT's
/// default for the Llama family.
fn adapter(table: Option<&Spanned<AdapterTable>>) -> Option<Adapter> {
    let table = table?.as_ref();
    let named = table.target_modules.as_ref();
    let mut target_modules: Vec<String> = match named {
        Some(named) => named.iter().map(|module| module.as_ref().clone()).collect(),
        None => ["q_proj", "v_proj"].map(str::to_owned).to_vec(),
    };
    target_modules.sort();
    target_modules.dedup();
    let rank = table.rank.size();
    let of_rank = f64::from(u32::try_from(table.rank.0).unwrap_or(u32::MAX));
    Some(Adapter {
        rank,
        alpha: table.alpha.map_or(2.0 * of_rank, |alpha| alpha.0),
        dropout: table.dropout.map_or(0.0, |share| share.0),
        target_modules,
    })
}

fn program(table: &TrainerTable, machine: &Machine<'_>) -> Program {
    let words = |named: Option<&Spanned<String>>, silent: &str| {
        shlex::split(named.map_or(silent, |named| named.as_ref())).unwrap_or_default()
    };
    let python = words(table.python.as_ref(), PYTHON);
    let mut environment = table.env.clone().unwrap_or_default();
    // `accelerate` stands beside the Python that has it.
    if let Some((folder, _)) = python.first().and_then(|word| word.rsplit_once('/')) {
        let path = (machine.variable)("PATH").unwrap_or_default();
        environment.entry("PATH".to_owned()).or_insert_with(|| format!("{folder}:{path}"));
    }
    Program {
        launch: words(table.launch.as_ref(), ""),
        python,
        environment,
        guard: machine.program.to_owned(),
        per_device_batch: table.per_device_batch.map_or(AT_ONCE, Count::size),
        gradient_checkpointing: table.gradient_checkpointing.is_some_and(|on| on.0),
        save_steps: table.save_steps.map_or(SAVE_STEPS, Count::size),
    }
}

/// The versions of the packages, as they are installed now; where Python is not there, as they were last.
fn versions(
    file: &File,
    span: &Range<usize>,
    machine: &Machine<'_>,
    program: &Program,
) -> Result<BTreeMap<String, String>, Error> {
    let name = format!("trainer {}", program.python.join(" "));
    let known = || machine.reports.known(&name).and_then(|report| report.version);
    let read = |text: String| serde_json::from_str(&text).ok();
    if !machine.reports.asks() {
        return Ok(known().and_then(read).unwrap_or_default());
    }
    match installed(program) {
        Ok(Installed { versions, wrong, .. }) if wrong.is_empty() => {
            let version = serde_json::to_string(&versions).ok();
            machine.reports.learn(&name, &Report { version, ..Report::default() });
            Ok(versions)
        }
        Ok(Installed { wrong, mend, .. }) => {
            let message = format!("TRL cannot train: {}; this mends it: {mend}", wrong.join(", "));
            Err(file.text.error(span, message))
        }
        Err(why) => known().and_then(read).ok_or_else(|| {
            let message = format!(
                "TRL's versions are part of what decides results, and cannot be told: {why}; say \
                 `python` in `[trainer]`"
            );
            file.text.error(span, message)
        }),
    }
}
