//! What the file makes of every stage: the one place where the stages that draw, judge and train get
//! their settings, and where those that the file leaves out get the paper's.

use super::Error;
use super::per_iteration::{
    Cap, Choice, Count, Limit, Positive, Share, Switch, Temperature, TopP, Window,
};
use super::toml_file::{self as file, Draws, Each, File};
use super::training;
use super::values::Values;
use super::verdicts;
use crate::stages::{
    self, ActorPairs, Arguments, COMPARE, Compare, HeldOut, JUDGE, Judge, JudgePairs, META_JUDGE,
    MetaJudge, Pair, Prompts, Reference, Respond, Sampling, Sft, Template, Train, Verb,
};

/// K of the paper.
const RESPONSES: Count = Count(7);
/// N of the paper.
const JUDGEMENTS: Count = Count(11);
/// The tokens of any text.
const MAX_TOKENS: Count = Count(2048);
/// What the smoothing of strengths starts from, in wins.
const PRIOR: Positive = Positive(0.01);

/// The model that the others are measured by, and that may judge, where the file says so.
pub(super) const M0: &str = "m0";

/// How texts are drawn where the file is silent: in the loop they have to differ.
const IN_LOOP: (Temperature, TopP) = (Temperature(0.8), TopP(0.95));
/// In evaluation each token is the likeliest one.
const IN_EVALUATION: (Temperature, TopP) = (Temperature(0.0), TopP(1.0));

/// The stages of one iteration, each with its settings.
pub(super) struct Iteration {
    pub(super) respond: Respond,
    pub(super) judge: Judge,
    /// `None` where the judge is not trained.
    pub(super) meta_judge: Option<MetaJudge>,
    pub(super) rate: stages::Rate,
    pub(super) pair: Pair,
    pub(super) reference: Reference,
    pub(super) train: Train,
    /// How many iterations' pairs are trained on, as far as there are any.
    pub(super) window: usize,
    /// Which epoch becomes the model; `None` where none but the last is kept.
    pub(super) choice: Option<Choice>,
}

/// The templates that every iteration shares.
pub(super) struct Templates {
    judge: Template,
    meta_judge: Template,
}

impl Templates {
    pub(super) fn read(file: &File) -> Result<Self, Error> {
        let judge = file.root.judge.template.as_ref();
        let meta_judge = file.root.meta_judge.as_ref().and_then(|m| m.template.as_ref());
        Ok(Self {
            judge: file.template(judge, JUDGE, Template::for_judge)?,
            meta_judge: file.template(meta_judge, META_JUDGE, Template::for_meta_judge)?,
        })
    }
}

impl Iteration {
    /// The settings of iteration t.
    pub(super) fn of(values: &Values<'_>, templates: &Templates, t: usize) -> Result<Self, Error> {
        let meta_judge = meta_judge(values, &templates.meta_judge, t)?;
        let pair = pair(values, meta_judge.is_some().then_some(&templates.judge), t)?;
        let train = train(values, t)?;
        let table = &values.file.root.train;
        Ok(Self {
            respond: respond(values, t)?,
            judge: judge(values, &templates.judge, t)?,
            rate: rate(values, t)?,
            pair,
            reference: Reference {
                engine: values.engines.local.clone(),
                thinking: values.trains_on_thinking(),
                template_arguments: values.arguments.clone(),
            },
            window: values.at(&table.window, t, Window(1))?.0,
            choice: training::choice(values, table, train.settings.epochs, t)?,
            train,
            meta_judge,
        })
    }
}

/// A share of the prompts.
pub(super) fn prompts(values: &Values<'_>, sql: &str, table: &file::Prompts, t: usize) -> Prompts {
    Prompts {
        sql: sql.to_owned(),
        share: t,
        shares: values.iterations,
        per_share: table.per_iteration.map(Count::size),
        seed: values.seed,
        part: None,
    }
}

/// The held-out prompts: all, or a part of them.
pub(super) fn held_out(values: &Values<'_>, sql: String, part: Option<HeldOut>) -> Prompts {
    Prompts { sql, share: 0, shares: 1, per_share: None, seed: values.seed, part }
}

fn respond(values: &Values<'_>, t: usize) -> Result<Respond, Error> {
    let Draws { samples, temperature, top_p, max_tokens, .. } = &values.file.root.respond;
    Ok(Respond {
        engine: values.engines.respond.clone(),
        thinking: values.thinking(),
        template_arguments: values.arguments.clone(),
        samples: values.at(samples, t, RESPONSES)?.size(),
        sampling: sampling(values, t, (temperature, top_p, max_tokens))?,
    })
}

fn judge(values: &Values<'_>, template: &Template, t: usize) -> Result<Judge, Error> {
    let file::Judge { decide, samples, temperature, top_p, max_tokens, .. } =
        &values.file.root.judge;
    let rule = verdicts::of_judge(values.file)?;
    Ok(Judge {
        engine: values.engines.judge.clone(),
        choices: verdicts::choices(values.file, decide.as_ref(), &rule)?,
        rule,
        thinking: values.thinking(),
        template_arguments: values.arguments.clone(),
        template: template.clone(),
        samples: values.at(samples, t, JUDGEMENTS)?.size(),
        sampling: sampling(values, t, (temperature, top_p, max_tokens))?,
    })
}

/// How iteration t compares judgements; `None` where it does not train the judge.
fn meta_judge(
    values: &Values<'_>,
    template: &Template,
    t: usize,
) -> Result<Option<MetaJudge>, Error> {
    let root = &values.file.root;
    let trains = values.at(&root.pairs.judge.enabled, t, Switch(true))?.0;
    let Some(table) = &root.meta_judge else { return Ok(None) };
    let file::MetaJudge { enabled, strip_scores, decide, temperature, top_p, max_tokens, .. } =
        table;
    let compares = values.at(enabled, t, Switch(true))?.0;
    let rule = verdicts::of_meta_judge(values.file)?;
    let strip_scores = values.at(strip_scores, t, Switch(false))?.0;
    let stage = MetaJudge {
        engine: values.engines.meta_judge.clone(),
        choices: verdicts::choices(values.file, decide.as_ref(), &rule)?,
        rule,
        scores: verdicts::stripped(values.file, strip_scores)?,
        thinking: values.thinking(),
        template_arguments: values.arguments.clone(),
        template: template.clone(),
        strip_scores,
        sampling: sampling(values, t, (temperature, top_p, max_tokens))?,
    };
    Ok((trains && compares).then_some(stage))
}

fn rate(values: &Values<'_>, t: usize) -> Result<stages::Rate, Error> {
    let judge = &values.file.root.pairs.judge;
    let prior = values.at(&judge.prior, t, PRIOR)?.0;
    Ok(stages::Rate { prior, omega: judge.omega, swap: judge.swap })
}

/// How iteration t makes pairs; with the judge's template where it trains the judge.
fn pair(values: &Values<'_>, template: Option<&Template>, t: usize) -> Result<Pair, Error> {
    let file::Pairs { actor, judge } = &values.file.root.pairs;
    let of_judge = |template: &Template| -> Result<JudgePairs, Error> {
        Ok(JudgePairs {
            template: template.clone(),
            max_chosen_chars: values.at(&judge.max_chosen_chars, t, Limit(None))?.0,
            max_share: values.at(&judge.max_share, t, Cap(None))?.0,
            max_share_per_score: values.at(&judge.max_share_per_score, t, Cap(None))?.0,
        })
    };
    Ok(Pair {
        actor: ActorPairs {
            rho: values.at(&actor.rho, t, Share(0.0))?.0,
            max_chosen_chars: values.at(&actor.max_chosen_chars, t, Limit(None))?.0,
            ties: actor.ties,
            equal_scores: actor.equal_scores,
            cut: actor.cut,
        },
        judge: template.map(of_judge).transpose()?,
        seed: values.seed,
    })
}

fn train(values: &Values<'_>, t: usize) -> Result<Train, Error> {
    let table = &values.file.root.train;
    let node = format!("{}.m{}", Verb::Train.name(), t + 1);
    let trainer = training::trainer(values, table.trainer, &node)?;
    Ok(Train {
        engine: training::engine(values, &trainer),
        adapter: values.engines.adapter.clone().filter(|_| trainer.is_local()),
        gradient_checkpointing: training::checkpoints(
            values,
            table.trainer,
            table.gradient_checkpointing.as_ref(),
        )?,
        memory: values.engines.memory,
        trainer,
        template_arguments: values.arguments.clone(),
        dpo: training::dpo(values, table, t)?,
        settings: training::of_pairs(values, table, t)?,
        on_no_pairs: table.on_no_pairs.unwrap_or(stages::OnNoPairs::Stop),
        thinking: values.trains_on_thinking(),
        keep_epochs: values.at(&table.keep_epochs, t, Switch(false))?.0,
    })
}

/// How M0 is made.
pub(super) fn sft(values: &Values<'_>, table: &file::Sft) -> Result<Sft, Error> {
    let model = values.file.root.model.as_ref();
    let init = model.and_then(|model| model.as_ref().init.as_ref());
    let trainer = training::trainer(values, table.trainer, &format!("{}.{M0}", Verb::Sft.name()))?;
    Ok(Sft {
        engine: training::engine(values, &trainer),
        // An adapter on random weights would learn little: all of them are trained, and it stands on what is made.
        adapter: values.engines.adapter.clone().filter(|_| trainer.is_local() && init.is_none()),
        gradient_checkpointing: training::checkpoints(
            values,
            table.trainer,
            table.gradient_checkpointing.as_ref(),
        )?,
        memory: values.engines.memory,
        trainer,
        template_arguments: values.arguments.clone(),
        settings: training::of_examples(values, table)?,
        random_weights: init.map(|init| init.seed.map_or(values.seed, |seed| seed.0)),
    })
}

/// How every model answers the held-out prompts.
pub(super) fn respond_held_out(values: &Values<'_>, table: &file::Evaluate) -> Respond {
    let sampling = (table.temperature, table.top_p, table.max_tokens);
    Respond {
        samples: once(table.samples),
        engine: values.engines.evaluate.clone(),
        thinking: values.thinking(),
        template_arguments: values.arguments.clone(),
        sampling: evaluating(values, sampling),
    }
}

/// How every model judges the panel: as in the loop, but for the draws.
pub(super) fn judge_panel(in_loop: &Judge, panel: &file::Panel) -> Judge {
    Judge { samples: once(panel.samples), ..in_loop.clone() }
}

/// How a model decides games.
pub(super) fn compare(
    values: &Values<'_>,
    table: &file::EvaluationJudge,
    baseline: String,
) -> Result<Compare, Error> {
    let template = table.template.as_ref();
    let rule = verdicts::of_games(values.file, table)?;
    Ok(Compare {
        baseline,
        judge: table.model.as_ref().is(M0).then(|| M0.to_owned()),
        order: table.order.unwrap_or_default(),
        engine: values.engines.games.clone(),
        choices: verdicts::choices(values.file, table.decide.as_ref(), &rule)?,
        rule,
        thinking: values.thinking(),
        template_arguments: template_arguments(values, table)?,
        template: values.file.template(template, COMPARE, Template::for_comparison)?,
        sampling: evaluating(values, (table.temperature, table.top_p, table.max_tokens)),
    })
}

/// What is given to the chat template of the model that decides games: its own arguments, or those of the
/// experiment's models where it is one of them.
fn template_arguments(
    values: &Values<'_>,
    table: &file::EvaluationJudge,
) -> Result<Arguments, Error> {
    match &table.chat_template {
        Some(given) => values.file.arguments(given),
        None if table.model.as_ref().is(M0) => Ok(values.arguments.clone()),
        None => Ok(Arguments::default()),
    }
}

type InLoop<'f> = (&'f Each<Temperature>, &'f Each<TopP>, &'f Each<Count>);

fn sampling(values: &Values<'_>, t: usize, in_file: InLoop<'_>) -> Result<Sampling, Error> {
    let (temperature, top_p, max_tokens) = in_file;
    Ok(Sampling {
        temperature: values.at(temperature, t, IN_LOOP.0)?.0,
        top_p: values.at(top_p, t, IN_LOOP.1)?.0,
        max_tokens: values.at(max_tokens, t, MAX_TOKENS)?.tokens(),
        seed: values.seed,
        max_refused: values.max_refused,
    })
}

type InEvaluation = (Option<Temperature>, Option<TopP>, Option<Count>);

fn evaluating(values: &Values<'_>, in_file: InEvaluation) -> Sampling {
    let (temperature, top_p, max_tokens) = in_file;
    Sampling {
        temperature: temperature.unwrap_or(IN_EVALUATION.0).0,
        top_p: top_p.unwrap_or(IN_EVALUATION.1).0,
        max_tokens: max_tokens.unwrap_or(MAX_TOKENS).tokens(),
        seed: values.seed,
        max_refused: values.max_refused,
    }
}

fn once(samples: Option<Count>) -> usize {
    samples.map_or(1, Count::size)
}
