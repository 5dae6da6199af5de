//! Letting one model play the other, where their experiments say who decides.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cli::failure::{Failure, Kind};
use crate::cli::recorded;
use crate::experiment::{Engine, Machine, Versus};
use crate::runner::{self, Input, Runner, Source, StageError};
use crate::store::{Digest, KeyInput, Manifest, Sources, Store};
use crate::study::{Comparison, Games, RecordedModel};

/// Lets the second model play the first; `None` where nobody decides.
pub(super) fn play(
    runner: &Runner<'_>,
    sides: &[RecordedModel; 2],
    machine: &Machine<'_>,
) -> Result<Option<Games>, Failure> {
    let store = runner.store;
    if !sides.iter().all(RecordedModel::is_evaluated) {
        return Ok(None);
    }
    Comparison::may_play(store, sides)?;
    // The order of the prompts follows each experiment's seed: the games are in that of the second.
    let asked = sides[1].held_out(store)?;
    let answers = [sides[0].answers(store)?, sides[1].answers(store)?];
    let deciders = [sides[1].decider(store)?, sides[0].decider(store)?];
    let mut deciders = deciders.into_iter().zip([&sides[1], &sides[0]]);
    let Some((decider, side)) = deciders.find_map(|(found, side)| Some((found?, side))) else {
        return Ok(None);
    };
    let stored = |name, table| Input { name, source: Source::Stored(table) };
    let inputs = vec![
        stored("prompts", asked),
        stored("responses", answers[1]),
        stored("baseline", answers[0]),
        what_decides(store, &decider, side)?,
    ];
    let judge = judge(&decider, side, sides);
    let engine = reached(&decider, side, machine)?;
    let names = sides.each_ref().map(RecordedModel::name);
    let plan = Versus { names, decided_by: decider.key.config, engine, inputs }.plan();
    let made = runner.run_aside(&plan.map_err(Failure::of)?).map_err(failed)?;
    let table = |name: &str| made.iter().find_map(|made| made.tables.get(name).copied());
    let made = table("verdicts").zip(table("estimates"));
    Ok(made.map(|(verdicts, estimates)| Games { judge, asked, answers, verdicts, estimates }))
}

/// How a judge in another program is reached, as the experiment's file says today.
fn reached(
    decider: &Manifest,
    side: &RecordedModel,
    machine: &Machine<'_>,
) -> Result<Option<Engine>, Failure> {
    let engine = decider.key.config.pointer("/engine/name").and_then(Value::as_str);
    match engine {
        None | Some("local") => Ok(None),
        Some(_) => {
            let experiment = recorded::load(&side.plan, machine)?;
            Ok(experiment.map(|experiment| experiment.decider().clone()))
        }
    }
}

/// Who decides, for a person: whose it is, too, where the experiments are two.
fn judge(decider: &Manifest, side: &RecordedModel, sides: &[RecordedModel; 2]) -> String {
    let config = &decider.key.config;
    let nameless = if config.get("sql").is_some() { "the oracle" } else { "the judge" };
    let served = match decider.key.inputs.get("model") {
        Some(KeyInput::Declared(named)) => named.get("served").map(String::as_str),
        _ => None,
    };
    let judge = config.get("judge").and_then(Value::as_str).or(served).unwrap_or(nameless);
    if sides.iter().all(|other| other.experiment == side.experiment) {
        judge.to_owned()
    } else {
        format!("{judge} of {}", side.experiment)
    }
}

/// A stage that fails here fails as in a run.
fn failed(error: StageError) -> Failure {
    let of_stage = !error.is::<runner::Error>();
    let failure = Failure::of(error);
    if of_stage && failure.kind == Kind::Data {
        Failure { kind: Kind::Stage, ..failure }
    } else {
        failure
    }
}

/// The model or the files that decided, as they were.
fn what_decides(store: &Store, decider: &Manifest, side: &RecordedModel) -> Result<Input, Failure> {
    let key = &decider.key;
    if key.files("files").is_some_and(BTreeMap::is_empty) {
        return Ok(Input { name: "files", source: Source::Files(BTreeMap::new()) });
    }
    if let Some(KeyInput::Declared(named)) = key.inputs.get("model") {
        return Ok(Input { name: "model", source: Source::Declared(named.clone()) });
    }
    if let Some(checkpoint) = key.table("model") {
        let made = store.manifests()?.into_iter().find_map(|manifest| {
            manifest.tables.get("checkpoints").copied().filter(|t| t.object == checkpoint)
        });
        if let Some(table) = made {
            return Ok(Input { name: "model", source: Source::Stored(table) });
        }
    }
    // A judge's folder and declared files are not in the store: the experiment's file knows them.
    let experiment = recorded::load(&side.plan, &Machine::any())?;
    let mut nodes = experiment.iter().flat_map(|experiment| &experiment.plan().nodes);
    let node = nodes.find(|node| node.name.stage() == "evaluate");
    let outside = |input: &&Input| {
        ["model", "files"].contains(&input.name) && matches!(input.source, Source::Files(_))
    };
    let input = node.and_then(|node| node.inputs.iter().find(outside)).cloned();
    let input = input.ok_or_else(|| {
        let text = "games of this experiment are decided by files outside the store";
        Failure::new(Kind::Data, text).hint("run it again, so that the store knows where they are")
    })?;
    as_they_were(store, &input, key.files(input.name), side)?;
    Ok(input)
}

/// Refuses files that are not those that decided the recorded games.
fn as_they_were(
    store: &Store,
    now: &Input,
    then: Option<&BTreeMap<String, Digest>>,
    side: &RecordedModel,
) -> Result<(), Failure> {
    let Source::Files(files) = &now.source else { return Ok(()) };
    let mut sources = Sources::open(store)?;
    let names = then.into_iter().flatten().map(|(name, _)| name);
    for name in names.chain(files.keys()) {
        let digest = files.get(name).map(|path| sources.digest(path)).transpose()?;
        let before = then.and_then(|then| then.get(name).copied());
        if digest != before {
            let text = format!(
                "`{name}` is not what decided the games of `{}`: the experiment's file has changed, or it \
                 was run with --set",
                side.experiment
            );
            return Err(Failure::new(Kind::Data, text).hint("run the experiment again"));
        }
    }
    Ok(())
}
