//! Verdicts by a judge model, which sees every game twice, once in each order, or once.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::game::{Game, games};
use super::order::Order;
use crate::model::{Arguments, Engine};
use crate::records::{Drawn, Shown, Verdict, VerdictId, soft_value};
use crate::runner::{Figure, Io, Signature, Stage, StageError};
use crate::stages::draw::{Draft, Drawer, Drawing, NO_ANSWER};
use crate::stages::engines::SERVED;
use crate::stages::live::Live;
use crate::stages::{Choices, Rule, Sampling, Template, Thinking};

/// Compares answers by a judge model.
#[derive(Debug, Clone, Serialize)]
pub struct Compare {
    /// Who is played against: `m0`, or the name of ready-made answers.
    pub baseline: String,
    /// The judge, where it is a model of the experiment: `m0`. Another is known by the digest of its
    /// files: what its folder is called decides nothing.
    pub judge: Option<String>,
    /// Whose answer is shown first.
    #[serde(skip_serializing_if = "Order::is_default")]
    pub order: Order,
    /// The judge's prompt, over `prompt`, `response_a` and `response_b`.
    pub template: Template,
    /// How its verdict is read.
    pub rule: Rule,
    /// The verdicts that are weighed; `None` where one is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choices: Option<Choices>,
    /// What draws.
    pub engine: Engine,
    /// What is thinking, not text.
    #[serde(skip_serializing_if = "Thinking::is_default")]
    pub thinking: Thinking,
    /// What the model's chat template is given.
    #[serde(skip_serializing_if = "Arguments::is_empty")]
    pub template_arguments: Arguments,
    /// How to draw. Flat, so that the key says `temperature`, as the experiment does.
    #[serde(flatten)]
    pub sampling: Sampling,
}

impl Compare {
    /// 1: the first. 2: the key says which engine drew; a refused answer, or a prompt that the judge
    /// refuses, is a row; a judge that is no model of the experiment goes by its digest. 3: rows say what
    /// was thought, and which ids were drawn. 4: reasoning is no verdict; rules of the user\'s own.
    const VERSION: u32 = 4;
}

impl Stage for Compare {
    fn signature(&self) -> Signature {
        Signature::of("evaluate", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let drawer = Drawer::open(
            io,
            &self.engine,
            self.sampling,
            (&self.template_arguments, &self.thinking),
        )?;
        let games = games(io)?.flat_map(|game| match game {
            Ok(game) => {
                let game = Rc::new(game);
                let orders = self.order.of(&game, self.sampling.seed);
                orders.into_iter().map(|first| Ok((Rc::clone(&game), first))).collect()
            }
            Err(error) => vec![Err(error)],
        });
        let count = io.count("responses")? * self.order.times();
        let served = io.declared("model")?.and_then(|named| named.get(SERVED).cloned());
        let name = served.unwrap_or(io.digest("model")?.short());
        let named = Self { judge: Some(self.judge.clone().unwrap_or(name)), ..self.clone() };
        drawer.draw(io, &named, (count, 1), games)
    }
}

impl Drawing for Compare {
    /// A game, and whose answer is shown first.
    type Unit = (Rc<Game>, Shown);
    type Row = Verdict;

    fn choices(&self) -> Option<&Choices> {
        self.choices.as_ref()
    }

    fn draft(
        &self,
        drawer: &Drawer,
        (game, first): &Self::Unit,
    ) -> Result<Draft<VerdictId>, StageError> {
        let order = Order::BOTH.iter().position(|order| order == first).unwrap_or(0);
        let id =
            drawer.id_of(&game.id().finish::<VerdictId>()).and(self.template.digest()).and(order);
        let id = Choices::name(self.choices.as_ref(), id);
        let ids = vec![id.finish()];
        if game.is_refused() {
            return Ok(Draft::Unasked(NO_ANSWER.to_owned(), ids));
        }
        let (response, baseline) = (game.response.text.as_str(), game.baseline.text.as_str());
        let shown = match first {
            Shown::Baseline => [baseline, response],
            _ => [response, baseline],
        };
        Ok(Draft::Asked(self.template.compare(&game.question.prompt, shown)?, ids))
    }

    fn row(
        &self,
        (game, first): &Self::Unit,
        _: usize,
        verdict_id: VerdictId,
        drawn: Drawn,
    ) -> Result<Verdict, StageError> {
        let read = self.rule.read(&drawn.text, drawn.finish_reason);
        let value = drawn.weighed.as_deref().map(soft_value).or(read.value);
        let first_wins = value.map(|winner| f64::midpoint(winner, 1.0));
        let preference =
            first_wins.map(|wins| if *first == Shown::Baseline { 1.0 - wins } else { wins });
        Ok(Verdict {
            verdict_id,
            prompt_id: game.question.prompt_id.clone(),
            response_id: Some(game.response.response_id.clone()),
            baseline_response_id: Some(game.baseline.response_id.clone()),
            baseline: self.baseline.clone(),
            judge: self.judge.clone().unwrap_or_default(),
            first_shown: *first,
            preference,
            status: read.status,
            text: Some(drawn.text).filter(|_| drawn.refusal.is_none()),
            response_chars: game.response.chars()?,
            baseline_chars: game.baseline.chars()?,
            refusal: drawn.refusal,
            thinking: drawn.thinking,
            weighed: drawn.weighed,
        })
    }

    fn watch(&self, live: &mut Live, drawn: &Drawn) -> Vec<Figure> {
        let verdict = self.rule.read(&drawn.text, drawn.finish_reason);
        live.read(drawn, verdict);
        live.winners()
    }
}

/// A configuration as a run's key spells it out.
#[derive(Deserialize)]
struct Spelt {
    baseline: String,
    judge: Option<String>,
    #[serde(default)]
    order: Order,
    template: String,
    rule: Rule,
    #[serde(default)]
    engine: Engine,
    #[serde(default)]
    thinking: Thinking,
    #[serde(default)]
    template_arguments: Arguments,
    choices: Option<Choices>,
    #[serde(flatten)]
    sampling: Sampling,
}

impl Compare {
    /// Reads a configuration as a run's key spells it out.
    pub(super) fn of_config(config: &Value) -> Result<Self, StageError> {
        let spelt: Spelt = serde_json::from_value(config.clone())?;
        let Spelt { baseline, judge, order, template, rule, engine, sampling, .. } = spelt;
        let template = Template::for_comparison(&template)?;
        let (choices, thinking) = (spelt.choices, spelt.thinking);
        let template_arguments = spelt.template_arguments;
        Ok(Self {
            baseline,
            judge,
            order,
            template,
            rule,
            choices,
            engine,
            thinking,
            template_arguments,
            sampling,
        })
    }
}
