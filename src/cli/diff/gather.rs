//! Everything that is compared, out of the store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::settings::{Setting, settings};
use crate::cli::failure::{Failure, Kind};
use crate::experiment::{Experiment, Versus};
use crate::query::Session;
use crate::records::{Estimate, Prompt, Response, Verdict};
use crate::runner::{Input, Runner, Source};
use crate::store::{
    Digest, Manifest, PlannedNode, Record, RecordedPlan, Sources, Store, StoredTable, TableReader,
};

/// A model of a recorded experiment.
pub(super) struct Side {
    pub(super) experiment: String,
    pub(super) model: String,
    pub(super) plan: RecordedPlan,
}

impl Side {
    /// Finds `experiment/m1`: the experiment by its name, or by where its file is.
    pub(super) fn find(store: &Store, text: &str) -> Result<Self, Failure> {
        let plans = store.plans()?;
        let (named, model) = text.rsplit_once('/').unwrap_or(("", text));
        let by_name = |name: &str| plans.iter().find(|plan| plan.experiment == name).cloned();
        let plan = match by_name(named) {
            Some(plan) => Some(plan),
            None if named.is_empty() => plans.first().filter(|_| plans.len() == 1).cloned(),
            None if Path::new(named).exists() => {
                by_name(&Experiment::load(Path::new(named), &[])?.plan().experiment)
            }
            None => None,
        };
        let Some(plan) = plan else {
            let names: Vec<String> =
                plans.iter().map(|plan| format!("{}/{model}", plan.experiment)).collect();
            let text = format!("`{text}` is no model of an experiment in this store");
            return Err(
                Failure::new(Kind::Usage, text).hint(format!("one of {}", names.join(", ")))
            );
        };
        let models: BTreeSet<usize> =
            plan.nodes.iter().filter_map(PlannedNode::iteration).collect();
        let models: Vec<String> = models.iter().map(|number| format!("m{number}")).collect();
        if !models.iter().any(|known| known == model) {
            let text = format!("`{}` has no model `{model}`", plan.experiment);
            let hint = format!("it has {}", models.join(", "));
            return Err(Failure::new(Kind::Usage, text).hint(hint));
        }
        Ok(Self { experiment: plan.experiment.clone(), model: model.to_owned(), plan })
    }

    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.experiment, self.model)
    }

    fn manifest(&self, store: &Store, node: &str) -> Result<Option<Manifest>, Failure> {
        let run = self.plan.nodes.iter().find(|known| known.node == node).and_then(|n| n.run);
        Ok(run.map(|run| store.manifest(run)).transpose()?.flatten())
    }

    fn table(&self, store: &Store, node: &str, table: &str) -> Result<StoredTable, Failure> {
        let manifest = self.manifest(store, node)?;
        let stored = manifest.and_then(|manifest| manifest.tables.get(table).copied());
        stored.ok_or_else(|| {
            let text = format!("`{}/{node}` is not made", self.experiment);
            let hint = "`mrx run` makes it, where the experiment has `[evaluate]`";
            Failure::new(Kind::Data, text).hint(hint)
        })
    }

    /// How games of this experiment are decided, as the key of one of its runs spells it out.
    fn decider(&self, store: &Store) -> Result<Option<Manifest>, Failure> {
        let nodes = self.plan.nodes.iter().filter(|node| node.node.starts_with("evaluate."));
        for node in nodes {
            if let Some(manifest) = self.manifest(store, &node.node)? {
                return Ok(Some(manifest));
            }
        }
        Ok(None)
    }
}

/// A number of one model beside that of the other.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Line {
    /// `games`, `answers`, `judge` or `cost`.
    pub(super) part: String,
    pub(super) name: String,
    pub(super) group: String,
    pub(super) first: Option<f64>,
    pub(super) first_low: Option<f64>,
    pub(super) first_high: Option<f64>,
    pub(super) second: Option<f64>,
    pub(super) second_low: Option<f64>,
    pub(super) second_high: Option<f64>,
    pub(super) n: Option<i64>,
    pub(super) method: Option<String>,
}

/// A prompt on which one model beats the other.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Flipped {
    pub(super) prompt_id: String,
    /// Of the second model: above a half it is better.
    pub(super) preference: f64,
    pub(super) prompt: String,
    pub(super) reference: Option<String>,
    pub(super) first: String,
    pub(super) second: String,
}

/// All that is compared.
#[derive(Serialize)]
pub(super) struct Comparison {
    pub(super) names: [String; 2],
    pub(super) judge: Option<String>,
    pub(super) prompts: usize,
    pub(super) equal: usize,
    pub(super) lines: Vec<Line>,
    pub(super) flipped: Vec<Flipped>,
    pub(super) settings: Vec<Setting>,
}

/// The numbers that the models' own nodes hold.
const OF_MODEL: &str = "\
SELECT part, name, e.\"group\" AS \"of\", value, low, high, n, method FROM estimates e
WHERE experiment = '{experiment}' AND model = '{model}' AND part IN ('answers', 'panel', 'judging')
    AND NOT contains(name, '/') AND name != 'gain' ORDER BY ALL";

const COST: &str = "\
WITH drawn AS (
    SELECT prompt_tokens, completion_tokens FROM responses
    WHERE {of} AND part IS DISTINCT FROM 'panel' AND prompt_tokens > 0
    UNION ALL SELECT prompt_tokens, completion_tokens FROM judgements WHERE {of}
    UNION ALL SELECT prompt_tokens, completion_tokens FROM meta_judgements WHERE {of}
    UNION ALL SELECT NULL, NULL FROM verdicts WHERE {of} AND text IS NOT NULL
)
SELECT coalesce((SELECT sum(seconds) FROM nodes WHERE {of} AND finished), 0)::DOUBLE AS seconds,
    count(*)::DOUBLE AS calls, coalesce(sum(prompt_tokens), 0)::DOUBLE AS prompt_tokens,
    coalesce(sum(completion_tokens), 0)::DOUBLE AS completion_tokens FROM drawn";

#[derive(Deserialize)]
struct Number {
    part: String,
    name: String,
    of: String,
    value: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    n: i64,
    method: String,
}

#[derive(Deserialize)]
struct Cost {
    seconds: f64,
    calls: f64,
    prompt_tokens: f64,
    completion_tokens: f64,
}

fn rows<R: Record>(store: &Store, table: StoredTable) -> Result<Vec<R>, Failure> {
    Ok(TableReader::open(store, table.object)?.collect::<Result<_, _>>()?)
}

impl Comparison {
    pub(super) fn of(runner: &Runner<'_>, sides: [Side; 2]) -> Result<Self, Failure> {
        let store = runner.store;
        let names = sides.each_ref().map(Side::name);
        if names[0] == names[1] {
            let text = format!("expected two models, found `{}` twice", names[0]);
            return Err(Failure::new(Kind::Usage, text));
        }
        let mut comparison = Self {
            names,
            judge: None,
            prompts: 0,
            equal: 0,
            lines: Vec::new(),
            flipped: Vec::new(),
            settings: settings(store, &sides)?,
        };
        comparison.play(runner, &sides)?;
        let session = Session::open(store)?;
        comparison.lines.extend(side_by_side(&session, &sides)?);
        comparison.lines.extend(costs(&session, &sides)?);
        Ok(comparison)
    }

    /// The share of games that the second wins.
    pub(super) fn win_rate(&self) -> Option<f64> {
        let line = self.lines.iter().find(|line| line.part == "games" && line.name == "win_rate");
        line.and_then(|line| line.second)
    }

    /// Lets the second model play the first, where their experiments say who decides.
    fn play(&mut self, runner: &Runner<'_>, sides: &[Side; 2]) -> Result<(), Failure> {
        let store = runner.store;
        let evaluated = |side: &Side| side.plan.nodes.iter().any(|n| n.node == "prompts.eval");
        if !sides.iter().all(evaluated) {
            return Ok(());
        }
        let asked = sides.each_ref().map(|side| side.table(store, "prompts.eval", "prompts"));
        let [asked, other] = asked;
        let (asked, other) = (asked?, other?);
        if asked.object != other.object {
            let text = format!("{} and {} answered other prompts", self.names[0], self.names[1]);
            return Err(Failure::new(Kind::Data, text).hint(
                "their `[evaluate]` has to give the same prompts, in the same seeded order",
            ));
        }
        let answers = sides
            .each_ref()
            .map(|side| side.table(store, &format!("respond.{}.eval", side.model), "responses"));
        let [first, second] = answers;
        let (first, second) = (first?, second?);
        let deciders = [sides[1].decider(store)?, sides[0].decider(store)?];
        let mut deciders = deciders.into_iter().zip([&sides[1], &sides[0]]);
        let Some((decider, side)) = deciders.find_map(|(found, side)| Some((found?, side))) else {
            return Ok(());
        };
        let stored = |name, table| Input { name, source: Source::Stored(table) };
        let mut inputs =
            vec![stored("prompts", asked), stored("responses", second), stored("baseline", first)];
        inputs.push(what_decides(store, &decider, side)?);
        let config = decider.key.config.clone();
        let judge = config.get("judge").and_then(Value::as_str).unwrap_or("the oracle");
        let other = if side.experiment == sides[0].experiment { &sides[1] } else { &sides[0] };
        self.judge = Some(if other.experiment == side.experiment {
            judge.to_owned()
        } else {
            format!("{judge} of {}", side.experiment)
        });
        let names = self.names.clone();
        let plan = Versus { names, decided_by: config, inputs }.plan();
        let made = runner.run_aside(&plan.map_err(Failure::of)?).map_err(Failure::of)?;
        let table = |name: &str| made.iter().find_map(|made| made.tables.get(name).copied());
        if let (Some(verdicts), Some(estimates)) = (table("verdicts"), table("estimates")) {
            let estimates: Vec<Estimate> = rows(store, estimates)?;
            self.lines.extend(estimates.into_iter().filter_map(|e| of_game(e, &self.names[0])));
            self.flips(store, [asked, first, second], rows(store, verdicts)?)?;
        }
        Ok(())
    }

    /// Lists the prompts on which one is better, the worst loss first.
    fn flips(
        &mut self,
        store: &Store,
        [asked, first, second]: [StoredTable; 3],
        verdicts: Vec<Verdict>,
    ) -> Result<(), Failure> {
        let mut of_prompt: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for Verdict { prompt_id, preference, .. } in verdicts {
            of_prompt.entry(prompt_id).or_default().extend(preference);
        }
        let first_of = |table| -> Result<BTreeMap<String, String>, Failure> {
            let mut texts = BTreeMap::new();
            for Response { prompt_id, text, .. } in rows::<Response>(store, table)? {
                texts.entry(prompt_id).or_insert(text);
            }
            Ok(texts)
        };
        let (mut firsts, mut seconds) = (first_of(first)?, first_of(second)?);
        for Prompt { prompt_id, prompt, reference, .. } in rows::<Prompt>(store, asked)? {
            let Some(all) = of_prompt.get(&prompt_id).filter(|all| !all.is_empty()) else {
                continue;
            };
            self.prompts += 1;
            #[expect(clippy::cast_precision_loss, reason = "a prompt has few games")]
            let preference = all.iter().sum::<f64>() / all.len() as f64;
            if (preference - 0.5).abs() < 1e-9 {
                self.equal += 1;
                continue;
            }
            let (first, second) = (firsts.remove(&prompt_id), seconds.remove(&prompt_id));
            let (first, second) = (first.unwrap_or_default(), second.unwrap_or_default());
            self.flipped.push(Flipped { prompt_id, preference, prompt, reference, first, second });
        }
        self.flipped.sort_by(|a, b| a.preference.total_cmp(&b.preference));
        Ok(())
    }
}

/// The model or the files that decided, as they were.
fn what_decides(store: &Store, decider: &Manifest, side: &Side) -> Result<Input, Failure> {
    let key = &decider.key;
    if key.files("files").is_some_and(BTreeMap::is_empty) {
        return Ok(Input { name: "files", source: Source::Files(BTreeMap::new()) });
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
    let experiment = side.plan.file.as_ref().map(|file| Experiment::load(file, &[])).transpose()?;
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
    side: &Side,
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

/// The estimates of the games that people read; the rest is for `--format json`'s other lines.
fn of_game(estimate: Estimate, first: &str) -> Option<Line> {
    let Estimate { name, group, value, low, high, n, method, .. } = estimate;
    let shown = ["win_rate", "length_controlled_win_rate", "gain_of_second/p_better", "chars"];
    let name = shown.contains(&name.as_str()).then_some(name)?;
    let name = if name.ends_with("p_better") { "p_better".to_owned() } else { name };
    let mut line = Line {
        part: "games".to_owned(),
        group: "all".to_owned(),
        n: Some(n),
        method: Some(method),
        ..Line::default()
    };
    line.set(name == "chars" && group == first, value, low, high);
    Some(Line { name, ..line })
}

impl Line {
    /// Sets the number of one of the models.
    const fn set(
        &mut self,
        of_first: bool,
        value: Option<f64>,
        low: Option<f64>,
        high: Option<f64>,
    ) {
        if of_first {
            (self.first, self.first_low, self.first_high) = (value, low, high);
        } else {
            (self.second, self.second_low, self.second_high) = (value, low, high);
        }
    }
}

/// The numbers of both models' own nodes, those that both have first.
fn side_by_side(session: &Session, sides: &[Side; 2]) -> Result<Vec<Line>, Failure> {
    let mut lines: Vec<Line> = Vec::new();
    for (side, of_first) in sides.iter().zip([true, false]) {
        let sql =
            OF_MODEL.replace("{experiment}", &side.experiment).replace("{model}", &side.model);
        for number in session.rows::<Number>(&sql)? {
            let Number { part, name, of, value, low, high, n, method } = number;
            let part = if part == "answers" { "answers" } else { "judge" };
            let known =
                lines.iter().position(|l| l.part == part && l.name == name && l.group == of);
            let at = known.unwrap_or(lines.len());
            if known.is_none() {
                lines.push(Line {
                    part: part.to_owned(),
                    name,
                    group: of,
                    n: Some(n),
                    method: Some(method),
                    ..Line::default()
                });
            }
            lines[at].set(of_first, value, low, high);
        }
    }
    lines.sort_by(|a, b| (&a.part, &a.name, &a.group).cmp(&(&b.part, &b.name, &b.group)));
    Ok(lines)
}

fn costs(session: &Session, sides: &[Side; 2]) -> Result<Vec<Line>, Failure> {
    let mut costs = Vec::new();
    for side in sides {
        let of = format!("experiment = '{}' AND model = '{}'", side.experiment, side.model);
        costs.extend(session.rows::<Cost>(&COST.replace("{of}", &of))?);
    }
    let [first, second] = costs.as_slice() else { return Ok(Vec::new()) };
    let line = |name: &str, of: fn(&Cost) -> f64| Line {
        part: "cost".to_owned(),
        name: name.to_owned(),
        group: "all".to_owned(),
        first: Some(of(first)),
        second: Some(of(second)),
        ..Line::default()
    };
    Ok(vec![
        line("seconds", |cost| cost.seconds),
        line("calls", |cost| cost.calls),
        line("prompt_tokens", |cost| cost.prompt_tokens),
        line("completion_tokens", |cost| cost.completion_tokens),
    ])
}
