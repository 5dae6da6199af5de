//! From the file to the nodes: what is left out gets the paper's value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::evaluation::{self, Evaluation};
use super::per_iteration::{
    Cap, Count, Limit, PerIteration, Positive, Share, Switch, Temperature, TopP,
};
use super::scale::Scale;
use super::toml_file::{self as file, Draws, File};
use super::{Error, estimates};
use crate::runner::{Input, Node, NodeName, Plan, Source, Stage};
use crate::stages::{
    self, ActorPairs, Engine, JUDGE, Judge, JudgePairs, MAX_REFUSED, META_JUDGE, MetaJudge, Pair,
    Prompts, Read, Reference, Respond, Rule, Sampling, Standard, Template, TemplateError,
};

/// Expands the file into the plan's nodes, checking every value that the TOML reader could not.
pub(super) fn expand(file: &File) -> Result<(Plan, Vec<Scale>), Error> {
    check_name(file)?;
    let (mut nodes, mut scales) = (Vec::new(), Vec::new());
    match (&file.root.model, &file.root.prompts) {
        (Some(model), Some(prompts)) => {
            let loop_ = Loop::new(file, model, prompts)?;
            loop_.fine_tuning(&mut nodes)?;
            let evaluation = Evaluation::new(&loop_)?;
            if let Some(evaluation) = &evaluation {
                evaluation.begin(&mut nodes)?;
            }
            for t in 0..loop_.iterations {
                loop_.iteration(t, &mut nodes)?;
                scales.extend(loop_.scale(t)?);
                if let Some(evaluation) = &evaluation {
                    evaluation.of_model(t, &mut nodes)?;
                }
                estimates::add(file, Some(t), &mut nodes)?;
            }
            if let Some(evaluation) = &evaluation {
                evaluation.of_model(loop_.iterations, &mut nodes)?;
                estimates::add(file, Some(loop_.iterations), &mut nodes)?;
            }
        }
        // Numbers over files alone need neither.
        (None, None) if !file.root.estimate.is_empty() => refuse_loop(file)?,
        (None, _) => return Err(file.text.error(&(0..0), "missing field `model`")),
        (_, None) => return Err(file.text.error(&(0..0), "missing field `prompts`")),
    }
    estimates::add(file, None, &mut nodes)?;
    estimates::check(file, &nodes)?;
    let path = std::path::absolute(&file.text.path).ok();
    Ok((Plan { experiment: file.root.name.as_ref().clone(), file: path, nodes }, scales))
}

/// Without a model there is no loop, and what is said of one is a mistake.
fn refuse_loop(file: &File) -> Result<(), Error> {
    const OF_ALL: [&str; 3] = ["name", "seed", "estimate"];
    let of_loop = file.names.iter().find(|name| !OF_ALL.contains(&name.as_ref().as_str()));
    of_loop.map_or(Ok(()), |name| {
        let message = format!("`{}` is of a loop, and there is no `[model]`", name.as_ref());
        Err(file.text.error(&name.span(), message))
    })
}

fn iterations(file: &File) -> Result<usize, Error> {
    const MOST: usize = 1000;
    let Some(named) = &file.root.iterations else { return Ok(4) };
    match usize::try_from(named.as_ref().0) {
        Ok(iterations) if iterations <= MOST => Ok(iterations),
        _ => {
            let message = format!("expected at most {MOST} iterations, found {}", named.as_ref().0);
            Err(file.text.error(&named.span(), message))
        }
    }
}

/// The name is a file name in the store and a text in SQL.
fn check_name(file: &File) -> Result<(), Error> {
    let name = file.root.name.as_ref();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.is_empty() && name.chars().all(plain) && !name.starts_with('.') {
        return Ok(());
    }
    let message = format!("expected a name of letters, digits, `-`, `_` and `.`, found `{name}`");
    Err(file.text.error(&file.root.name.span(), message))
}

/// The files that a query may read, by the names it reads them by.
pub(super) fn declared_files(
    file: &File,
    names: &[Spanned<String>],
) -> Result<BTreeMap<String, PathBuf>, Error> {
    let mut files = BTreeMap::new();
    for named in names {
        let path = file.find(Path::new(named.as_ref()));
        let found = path.canonicalize().map_err(|e| {
            file.text.error(&named.span(), format!("cannot read {}: {e}", path.display()))
        })?;
        files.insert(named.as_ref().clone(), found);
    }
    Ok(files)
}

/// Finds the folder of the model that the experiment begins with.
fn model_files(
    file: &File,
    model: &Spanned<file::Model>,
) -> Result<BTreeMap<String, PathBuf>, Error> {
    let named = match (&model.as_ref().path, &model.as_ref().init) {
        (Some(path), None) => path,
        (None, Some(init)) if file.root.sft.is_some() => &init.path,
        (None, Some(_)) => {
            let message = "random weights say nothing: `[model.init]` needs `[sft]`".to_owned();
            return Err(file.text.error(&model.span(), message));
        }
        _ => {
            let message = "expected one of `path` and `init` in `[model]`".to_owned();
            return Err(file.text.error(&model.span(), message));
        }
    };
    files_of_model(file, named)
}

/// Lists the files of a model's folder; their digests stand for the model.
pub(super) fn files_of_model(
    file: &File,
    named: &Spanned<PathBuf>,
) -> Result<BTreeMap<String, PathBuf>, Error> {
    let folder = file.find(named.as_ref());
    let failed = |why: String| file.text.error(&named.span(), why);
    let entries = std::fs::read_dir(&folder)
        .map_err(|e| failed(format!("cannot read the model folder {}: {e}", folder.display())))?;
    let mut files = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(|e| failed(format!("cannot read {}: {e}", folder.display())))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() && !name.starts_with('.') {
            files.insert(name, entry.path());
        }
    }
    if files.contains_key("config.json") {
        Ok(files)
    } else {
        Err(failed(format!(
            "expected a model folder, found no config.json in {}",
            folder.display()
        )))
    }
}

pub(super) fn template(
    file: &File,
    named: Option<&Spanned<PathBuf>>,
    default: &str,
    parse: fn(&str) -> Result<Template, TemplateError>,
) -> Result<Template, Error> {
    let at_fault = |error: TemplateError| match named {
        Some(named) => {
            let path = file.find(named.as_ref());
            file.text.error(&named.span(), format!("template {}: {error}", path.display()))
        }
        None => file.text.error(&(0..0), format!("the built-in template: {error}")),
    };
    let text = match named {
        Some(named) => file.text.read(&file.find(named.as_ref()), &named.span())?,
        None => default.to_owned(),
    };
    parse(&text).map_err(at_fault)
}

/// How scores are read.
fn rule(file: &File) -> Result<Rule, Error> {
    let judge = &file.root.judge;
    match (judge.marker.unwrap_or_default(), &judge.decimals) {
        (file::Marker::Score, Some(decimals)) if !decimals.as_ref().0 => Ok(Rule::WholeScore),
        (file::Marker::Score, _) => Ok(Rule::Score),
        (file::Marker::Rating, None) => Ok(Rule::Rating),
        (file::Marker::Rating, Some(decimals)) => {
            let message = "`decimals` is of the marker `score`; ratings may have them".to_owned();
            Err(file.text.error(&decimals.span(), message))
        }
    }
}

impl file::Marker {
    /// Scores from here on leave a judge no room above.
    const fn top_score(self) -> f64 {
        match self {
            Self::Score => 4.5,
            Self::Rating => 9.0,
        }
    }
}

/// What every iteration shares.
pub(super) struct Loop<'f> {
    pub(super) file: &'f File,
    per_share: Option<Count>,
    pub(super) iterations: usize,
    pub(super) seed: u64,
    /// What draws and trains.
    pub(super) engine: Engine,
    /// The share of a table's rows that a model may refuse.
    pub(super) max_refused: f64,
    sql: String,
    prompt_files: BTreeMap<String, PathBuf>,
    model_files: BTreeMap<String, PathBuf>,
    judge: Template,
    rule: Rule,
    meta_judge: Template,
}

impl<'f> Loop<'f> {
    fn new(
        file: &'f File,
        model: &Spanned<file::Model>,
        prompts: &file::Prompts,
    ) -> Result<Self, Error> {
        Ok(Self {
            file,
            per_share: prompts.per_iteration,
            iterations: iterations(file)?,
            seed: file.root.seed.map_or(0, |seed| seed.0),
            engine: Engine::default(),
            max_refused: file.root.max_refused.map_or(MAX_REFUSED, |share| share.0),
            sql: file.text.read(&file.find(prompts.sql.as_ref()), &prompts.sql.span())?,
            prompt_files: declared_files(file, &prompts.files)?,
            model_files: model_files(file, model)?,
            judge: template(file, file.root.judge.template.as_ref(), JUDGE, Template::for_judge)?,
            rule: rule(file)?,
            meta_judge: {
                let named = file.root.meta_judge.as_ref().and_then(|m| m.template.as_ref());
                template(file, named, META_JUDGE, Template::for_meta_judge)?
            },
        })
    }

    /// The value for iteration t, or the default where the file is silent. A list has one value
    /// per iteration, or it is a mistake.
    pub(super) fn at<T: Copy>(
        &self,
        value: Option<&Spanned<PerIteration<T>>>,
        t: usize,
        default: T,
    ) -> Result<T, Error> {
        let Some(value) = value else { return Ok(default) };
        match value.as_ref() {
            PerIteration::Same(same) => Ok(*same),
            PerIteration::Each(each) if each.len() == self.iterations => Ok(each[t]),
            PerIteration::Each(each) => {
                let (found, wanted) = (each.len(), self.iterations);
                let message = format!("expected {wanted} values, one per iteration, found {found}");
                Err(self.file.text.error(&value.span(), message))
            }
        }
    }

    fn sampling(
        &self,
        t: usize,
        temperature: Option<&Spanned<PerIteration<Temperature>>>,
        top_p: Option<&Spanned<PerIteration<TopP>>>,
        max_tokens: Option<&Spanned<PerIteration<Count>>>,
    ) -> Result<Sampling, Error> {
        Ok(Sampling {
            temperature: self.at(temperature, t, Temperature(0.8))?.0,
            top_p: self.at(top_p, t, TopP(0.95))?.0,
            max_tokens: self.at(max_tokens, t, Count(2048))?.tokens(),
            seed: self.seed,
            max_refused: self.max_refused,
        })
    }

    fn samples(
        &self,
        value: Option<&Spanned<PerIteration<Count>>>,
        t: usize,
        default: u64,
    ) -> Result<usize, Error> {
        Ok(self.at(value, t, Count(default))?.size())
    }

    /// The files of the folder that the experiment names.
    pub(super) const fn model_files(&self) -> &BTreeMap<String, PathBuf> {
        &self.model_files
    }

    /// Prompts of a share, where the file says.
    pub(super) fn prompts_per_iteration(&self) -> Option<u64> {
        self.per_share.map(|count| count.0)
    }

    /// `M_t`: the model's folder, what fine-tuning made of it, or what the iteration before made.
    pub(super) fn model(&self, t: usize) -> Result<Input, Error> {
        let maker = match t {
            0 if self.file.root.sft.is_none() => return Ok(self.given_model()),
            0 => "sft",
            _ => "train",
        };
        let source = Source::Table { node: self.name(maker, t, "")?, table: "checkpoints" };
        Ok(Input { name: "model", source })
    }

    /// The folder that the experiment names.
    pub(super) fn given_model(&self) -> Input {
        Input { name: "model", source: Source::Files(self.model_files.clone()) }
    }

    /// The node of a stage that works with `M_t`, or makes it.
    pub(super) fn name(&self, stage: &str, t: usize, part: &str) -> Result<NodeName, Error> {
        self.node(&format!("{stage}.m{t}{part}"))
    }

    pub(super) fn node(&self, name: &str) -> Result<NodeName, Error> {
        name.parse().map_err(|e| self.file.text.error(&(0..0), format!("{e}")))
    }

    /// Adds the nodes that work with `M_t` and make `M_(t+1)`.
    fn iteration(&self, t: usize, nodes: &mut Vec<Node>) -> Result<(), Error> {
        let name = |stage: &str| self.name(stage, t, "");
        let table = |stage: &str, table| Ok::<_, Error>(Input::table(name(stage)?, table));
        let mut add = |name: NodeName, stage: Box<dyn Stage>, inputs: Vec<Input>| {
            nodes.push(Node { name, stage, inputs });
        };
        let files = Input { name: "files", source: Source::Files(self.prompt_files.clone()) };
        let prompts = table("prompts", "prompts")?;
        let responses = table("respond", "responses")?;
        let judgements = table("judge", "judgements")?;
        let readings = table("read", "readings")?;
        let mut asked = vec![files];
        if self.file.root.evaluate.is_some() {
            let node = self.node(evaluation::PROMPTS)?;
            let maker = Source::Table { node, table: "prompts" };
            asked.push(Input { name: "held_out", source: maker });
        }
        add(name("prompts")?, Box::new(self.prompts(t)), asked);
        add(name("respond")?, Box::new(self.respond(t)?), vec![prompts.clone(), self.model(t)?]);
        let inputs = vec![prompts.clone(), responses.clone(), self.model(t)?];
        add(name("judge")?, Box::new(self.judge(t)?), inputs);
        add(name("read")?, Box::new(self.read()), vec![judgements.clone()]);
        let mut scored = vec![prompts, responses, judgements, readings];
        let no_files = Input { name: "files", source: Source::Files(BTreeMap::new()) };
        let mut about = [scored.clone(), vec![no_files]].concat();
        let meta_judge = self.meta_judge(t)?;
        let trains_judge = meta_judge.is_some();
        if let Some(meta_judge) = meta_judge {
            let mut inputs = scored.clone();
            inputs.push(self.model(t)?);
            add(name("meta_judge")?, Box::new(meta_judge), inputs);
            let compared = table("meta_judge", "meta_judgements")?;
            let read = self.name("read", t, ".meta")?;
            add(read.clone(), Box::new(Read::winners()), vec![compared.clone()]);
            let winners = Input::table(read, "readings");
            let inputs = vec![compared.clone(), winners.clone()];
            add(name("rate")?, Box::new(self.rate(t)?), inputs);
            scored.push(table("rate", "ratings")?);
            let winners = Input { name: "meta_readings", ..winners };
            about.extend([compared, winners, table("rate", "ratings")?]);
        }
        add(name("pair")?, Box::new(self.pair(t, trains_judge)?), scored);
        let pairs = table("pair", "pairs")?;
        about.push(pairs.clone());
        let top_score = self.file.root.judge.marker.unwrap_or_default().top_score();
        let stage = Standard::of_judging(trains_judge, top_score, self.seed);
        add(self.name("estimate", t, ".judging")?, Box::new(stage), about);
        let inputs = vec![pairs.clone(), self.reference_model(t)?];
        add(name("reference")?, Box::new(Reference { engine: self.engine.clone() }), inputs);
        let inputs = vec![pairs, table("reference", "reference_logps")?, self.start_model(t)?];
        add(self.name("train", t + 1, "")?, Box::new(self.train(t)?), inputs);
        Ok(())
    }

    fn prompts(&self, t: usize) -> Prompts {
        Prompts {
            sql: self.sql.clone(),
            share: t,
            shares: self.iterations,
            per_share: self.per_share.map(Count::size),
            seed: self.seed,
        }
    }

    pub(super) fn respond(&self, t: usize) -> Result<Respond, Error> {
        let Draws { samples, temperature, top_p, max_tokens } = &self.file.root.respond;
        Ok(Respond {
            engine: self.engine.clone(),
            samples: self.samples(samples.as_ref(), t, 7)?,
            sampling: self.sampling(
                t,
                temperature.as_ref(),
                top_p.as_ref(),
                max_tokens.as_ref(),
            )?,
        })
    }

    pub(super) fn judge(&self, t: usize) -> Result<Judge, Error> {
        let file::Judge { samples, temperature, top_p, max_tokens, .. } = &self.file.root.judge;
        Ok(Judge {
            engine: self.engine.clone(),
            template: self.judge.clone(),
            samples: self.samples(samples.as_ref(), t, 11)?,
            sampling: self.sampling(
                t,
                temperature.as_ref(),
                top_p.as_ref(),
                max_tokens.as_ref(),
            )?,
        })
    }

    pub(super) const fn read(&self) -> Read {
        Read::scores(self.rule)
    }

    /// How iteration t compares judgements; `None` where it does not train the judge.
    pub(super) fn meta_judge(&self, t: usize) -> Result<Option<MetaJudge>, Error> {
        let root = &self.file.root;
        let trains = self.at(root.pairs.judge.enabled.as_ref(), t, Switch(true))?.0;
        let Some(meta_judge) = &root.meta_judge else { return Ok(None) };
        let file::MetaJudge { enabled, strip_scores, temperature, top_p, max_tokens, .. } =
            meta_judge;
        let compares = self.at(enabled.as_ref(), t, Switch(true))?.0;
        let sampling =
            self.sampling(t, temperature.as_ref(), top_p.as_ref(), max_tokens.as_ref())?;
        let strip_scores = self.at(strip_scores.as_ref(), t, Switch(false))?.0;
        let template = self.meta_judge.clone();
        Ok((trains && compares).then_some(MetaJudge {
            template,
            strip_scores,
            engine: self.engine.clone(),
            sampling,
        }))
    }

    fn rate(&self, t: usize) -> Result<stages::Rate, Error> {
        let judge = &self.file.root.pairs.judge;
        let prior = self.at(judge.prior.as_ref(), t, Positive(0.01))?.0;
        Ok(stages::Rate { prior, omega: judge.omega, swap: judge.swap })
    }

    fn pair(&self, t: usize, trains_judge: bool) -> Result<Pair, Error> {
        let file::Pairs { actor, judge } = &self.file.root.pairs;
        let rho = self.at(actor.rho.as_ref(), t, Share(0.0))?.0;
        let judge = JudgePairs {
            template: self.judge.clone(),
            max_chosen_chars: self.at(judge.max_chosen_chars.as_ref(), t, Limit(None))?.0,
            max_share: self.at(judge.max_share.as_ref(), t, Cap(None))?.0,
            max_share_per_score: self.at(judge.max_share_per_score.as_ref(), t, Cap(None))?.0,
        };
        Ok(Pair {
            actor: ActorPairs {
                rho,
                max_chosen_chars: self.at(actor.max_chosen_chars.as_ref(), t, Limit(None))?.0,
                ties: actor.ties,
                equal_scores: actor.equal_scores,
            },
            judge: trains_judge.then_some(judge),
            seed: self.seed,
        })
    }
}
