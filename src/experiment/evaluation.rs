//! `[evaluate]`: what is done with every model, M0 and the last among them, beside the loop.

use std::collections::BTreeMap;
use std::path::Path;

use super::Error;
use super::loop_::{EVAL, Loop};
use super::named::Files;
use super::probes::probes;
use super::settings::{self, M0};
use super::spanned::Spanned;
use super::toml_file::{self as file, JudgeModel};
use crate::runner::{Input, Node, NodeName, Source, Stage};

use crate::stages::{
    self, Answers, Compare, Evaluated, HeldOut, Oracle, Panel, Respond, Standard, Template, Verb,
};

/// What models answer, and what stands beside it.
pub(super) const RESPONSES: &str = Verb::Respond.makes()[0];

/// What games come to.
pub(super) const VERDICTS: &str = Verb::Evaluate.makes()[0];

/// The node of the panel.
const PANEL: &str = "answers.m0.panel";

/// Whom the models play.
enum Baseline {
    /// M0.
    M0,
    /// Ready-made answers: the name of their query, and the query.
    Ready(String, String),
}

/// Who decides.
pub(super) enum Decides {
    Oracle(String),
    Judge(Box<Compare>, Input),
}

/// The evaluation of an experiment's models.
pub(super) struct Evaluation<'l> {
    pub(super) all: &'l Loop<'l>,
    sql: String,
    files: Files,
    baseline: Baseline,
    pub(super) decides: Option<Decides>,
    oracle: Option<String>,
    probes: BTreeMap<String, Template>,
    pub(super) respond: Respond,
    pub(super) table: &'l file::Evaluate,
}

impl<'l> Evaluation<'l> {
    /// Reads the file's `[evaluate]`, where there is one.
    pub(super) fn new(all: &'l Loop<'l>) -> Result<Option<Self>, Error> {
        let Some(table) = &all.file().root.evaluate else { return Ok(None) };
        let table = table.as_ref();
        let baseline = baseline(all, table)?;
        let oracle = table.oracle.as_ref().map(|named| all.file().sql(named)).transpose()?;
        let decides = match (&table.judge, &oracle) {
            (Some(judge), _) => {
                let stage = settings::compare(&all.values, judge, baseline.name())?;
                Some(Decides::Judge(Box::new(stage), judge_model(all, judge)?))
            }
            (None, Some(oracle)) => Some(Decides::Oracle(oracle.clone())),
            (None, None) => None,
        };
        Ok(Some(Self {
            all,
            table,
            sql: all.file().sql(&table.prompts)?,
            files: all.file().declared(&table.files)?,
            baseline,
            decides,
            oracle,
            probes: probes(all.file(), &table.panel)?,
            respond: settings::respond_held_out(&all.values, table),
        }))
    }

    pub(super) fn files(&self) -> Input {
        Input { name: "files", source: Source::Files(self.files.clone()) }
    }

    /// Adds what all models share: the prompts, and ready-made answers to them.
    pub(super) fn begin(&self, nodes: &mut Vec<Node>) -> Result<(), Error> {
        let share = self.table.validation.map(|share| share.0);
        self.ask(EVAL, share.map(HeldOut::Test), nodes)?;
        if let Baseline::Ready(..) = self.baseline {
            self.baseline_answers(EVAL, nodes)?;
        }
        Ok(())
    }

    /// Adds held-out prompts.
    pub(super) fn ask(
        &self,
        part: &str,
        held_out: Option<HeldOut>,
        nodes: &mut Vec<Node>,
    ) -> Result<(), Error> {
        let stage = Box::new(settings::held_out(&self.all.values, self.sql.clone(), held_out));
        let name = self.all.node(&format!("{}.{part}", Verb::Prompts.name()))?;
        nodes.push(Node { name, stage, inputs: vec![self.files()] });
        Ok(())
    }

    /// Adds what the baseline answers to held-out prompts.
    pub(super) fn baseline_answers(&self, part: &str, nodes: &mut Vec<Node>) -> Result<(), Error> {
        let prompts = self.all.held_out(part)?;
        let (stage, inputs): (Box<dyn Stage>, _) = match &self.baseline {
            Baseline::M0 => (Box::new(self.respond.clone()), vec![prompts, self.all.model(0)?]),
            Baseline::Ready(_, sql) => {
                (Box::new(Answers { sql: sql.clone() }), vec![self.files(), prompts])
            }
        };
        nodes.push(Node { name: self.baseline.answers(self.all, part)?, stage, inputs });
        Ok(())
    }

    /// Adds what is done with `M_t`.
    pub(super) fn of_model(&self, t: usize, nodes: &mut Vec<Node>) -> Result<(), Error> {
        let answers = self.all.name(Verb::Respond, t, ".eval")?;
        let stage = Box::new(self.respond.clone());
        let inputs = vec![self.all.held_out(EVAL)?, self.all.model(t)?];
        nodes.push(Node { name: answers.clone(), stage, inputs });
        if t == 0 {
            let stage = Box::new(Panel { probes: self.probes.clone() });
            let inputs = vec![self.all.held_out(EVAL)?, Input::table(answers.clone(), RESPONSES)];
            nodes.push(Node { name: self.all.node(PANEL)?, stage, inputs });
        }
        self.judge_panel(t, nodes)?;
        let answers = Input::table(answers, RESPONSES);
        self.play(t, answers.clone(), nodes)?;
        self.estimate(t, answers, nodes)
    }

    /// The panel that every judge is shown.
    fn panel(&self) -> Result<Input, Error> {
        Ok(Input::table(self.all.node(PANEL)?, RESPONSES))
    }

    fn judge_panel(&self, t: usize, nodes: &mut Vec<Node>) -> Result<(), Error> {
        let name = |verb: Verb| self.all.name(verb, t, ".panel");
        // The last model works in no iteration: it judges as in the last one.
        let last = self.all.iterations.len() - 1;
        let in_loop = &self.all.iterations[t.min(last)].judge;
        let stage = Box::new(settings::judge_panel(in_loop, &self.table.panel));
        let inputs = vec![self.all.held_out(EVAL)?, self.panel()?, self.all.model(t)?];
        nodes.push(Node { name: name(Verb::Judge)?, stage, inputs });
        let table = |verb: Verb| Ok::<_, Error>(Input::table(name(verb)?, verb.makes()[0]));
        let inputs = vec![table(Verb::Judge)?];
        nodes.push(Node {
            name: name(Verb::Read)?,
            stage: Box::new(self.all.read.clone()),
            inputs,
        });
        let probes: Vec<String> = self.probes.keys().cloned().collect();
        let stage = Standard::of_panel(self.oracle.as_deref(), &probes, self.all.values.seed);
        let inputs = vec![
            self.all.held_out(EVAL)?,
            self.panel()?,
            table(Verb::Judge)?,
            table(Verb::Read)?,
            self.files(),
        ];
        nodes.push(Node { name: name(Verb::Estimate)?, stage: Box::new(stage), inputs });
        Ok(())
    }

    /// Whether `M_t` plays the baseline: nobody plays himself.
    fn plays(&self, t: usize) -> bool {
        let itself = t == 0 && matches!(self.baseline, Baseline::M0);
        self.decides.is_some() && !itself
    }

    fn play(&self, t: usize, answers: Input, nodes: &mut Vec<Node>) -> Result<(), Error> {
        if let Some((stage, inputs)) = self.games(EVAL, answers)?.filter(|_| self.plays(t)) {
            nodes.push(Node { name: self.all.name(Verb::Evaluate, t, "")?, stage, inputs });
        }
        Ok(())
    }

    /// What decides the games of a model's answers against the baseline's, where anything does.
    pub(super) fn games(&self, part: &str, answers: Input) -> Result<Option<Games>, Error> {
        let baseline = Input::table(self.baseline.answers(self.all, part)?, RESPONSES);
        let baseline = Input { name: "baseline", ..baseline };
        let (stage, more): (Box<dyn Stage>, _) = match &self.decides {
            Some(Decides::Judge(compare, model)) => (compare.clone(), model.clone()),
            Some(Decides::Oracle(sql)) => {
                let (baseline, sql) = (self.baseline.name(), sql.clone());
                (Box::new(Oracle { baseline, sql }), self.files())
            }
            None => return Ok(None),
        };
        Ok(Some((stage, vec![self.all.held_out(part)?, answers, baseline, more])))
    }

    /// Adds the standard estimates: of the answers, and of what was done with them in training.
    fn estimate(&self, t: usize, answers: Input, nodes: &mut Vec<Node>) -> Result<(), Error> {
        let mut inputs = vec![self.all.held_out(EVAL)?, answers, self.files()];
        let verdicts = |t: usize| {
            Ok::<_, Error>(Input::table(self.all.name(Verb::Evaluate, t, "")?, VERDICTS))
        };
        if self.plays(t) {
            inputs.push(verdicts(t)?);
        }
        let follows = t > 0 && self.plays(t) && self.plays(t - 1);
        if follows {
            inputs.push(Input { name: "previous_verdicts", ..verdicts(t - 1)? });
        }
        let models = follows.then(|| [format!("m{}", t - 1), format!("m{t}")]);
        let stage = Box::new(self.standard(self.plays(t), models));
        nodes.push(Node { name: self.all.name(Verb::Estimate, t, ".answers")?, stage, inputs });
        Ok(())
    }

    pub(super) fn standard(&self, has_verdicts: bool, models: Option<[String; 2]>) -> Standard {
        let evaluated = Evaluated {
            oracle: self.oracle.clone(),
            has_verdicts,
            has_orders: matches!(self.decides, Some(Decides::Judge(..))),
            models,
        };
        Standard::of_answers(&evaluated, self.all.values.seed)
    }
}

/// A stage that decides games, and what it reads.
pub(super) type Games = (Box<dyn Stage>, Vec<Input>);

impl Baseline {
    /// What verdicts call it.
    fn name(&self) -> String {
        match self {
            Self::M0 => M0.to_owned(),
            Self::Ready(name, _) => name.clone(),
        }
    }

    /// The node of what it answers to held-out prompts.
    fn answers(&self, all: &Loop<'_>, part: &str) -> Result<NodeName, Error> {
        match self {
            Self::M0 => all.name(Verb::Respond, 0, &format!(".{part}")),
            Self::Ready(..) => all.node(&format!("{}.baseline.{part}", Verb::Answers.name())),
        }
    }
}

/// Reads whom the models play: `m0`, or a query of ready-made answers.
fn baseline(all: &Loop<'_>, table: &file::Evaluate) -> Result<Baseline, Error> {
    let Some(named) = &table.baseline else { return Ok(Baseline::M0) };
    let text = named.as_ref();
    if text == M0 {
        return Ok(Baseline::M0);
    }
    let Some(name) = text.strip_suffix(".sql") else {
        let message = format!(
            "expected `m0`, or a query of ready-made answers, as `answers.sql`; found `{text}`"
        );
        return Err(all.file().text.error(&named.span(), message));
    };
    let sql = all.file().text.read(&all.file().find(Path::new(text)), &named.span())?;
    let name = name.rsplit('/').next().unwrap_or(name);
    if name.strip_prefix('m').is_some_and(|t| t.parse::<u64>().is_ok()) {
        let message =
            format!("ready-made answers by the name of a model: `{name}`; expected another");
        return Err(all.file().text.error(&named.span(), message));
    }
    Ok(Baseline::Ready(name.to_owned(), sql))
}

/// Finds the model that decides games.
fn judge_model(all: &Loop<'_>, judge: &file::EvaluationJudge) -> Result<Input, Error> {
    let source = match judge.model.as_ref() {
        named if named.is(M0) => return all.model(0),
        JudgeModel::Folder(folder) => {
            let named = Spanned::new(judge.model.span(), folder.clone());
            Source::Files(all.file().model_folder(&named)?)
        }
        JudgeModel::Served { served, revision } => {
            if all.values.engines.games.is_local() {
                let message = format!(
                    "`{served}` is served elsewhere: expected an `engine` of `[engines.NAME]` that says where"
                );
                return Err(all.file().text.error(&judge.model.span(), message));
            }
            let named = [(stages::SERVED, served), ("revision", revision)];
            let named = named.map(|(what, value)| (what.to_owned(), value.clone()));
            Source::Declared(named.into())
        }
    };
    Ok(Input { name: "model", source })
}
