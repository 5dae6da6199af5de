//! Verdicts by a judge model, which sees every game twice, once in each order.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Game, games};
use crate::model::Message;
use crate::records::{Shown, Verdict};
use crate::runner::{Io, Signature, Stage, StageError};
use crate::stages::draw::{Draft, Drawer, Drawn};
use crate::stages::live::Live;
use crate::stages::{Rule, Sampling, Template};

/// Compares answers by a judge model.
#[derive(Debug, Clone, Serialize)]
pub struct Compare {
    /// Who is played against: `m0`, or the name of ready-made answers.
    pub baseline: String,
    /// The judge, as the experiment names it.
    pub judge: String,
    /// The judge's prompt, over `prompt`, `response_a` and `response_b`.
    pub template: Template,
    /// How its verdict is read.
    pub rule: Rule,
    /// How to draw. Flat, so that the key says `temperature`, as the experiment does.
    #[serde(flatten)]
    pub sampling: Sampling,
}

impl Compare {
    /// 1: the first.
    const VERSION: u32 = 1;

    /// Games in a shard.
    const SHARD: usize = 64;

    /// Both orders: whose answer is shown first.
    const ORDERS: [Shown; 2] = [Shown::Model, Shown::Baseline];
}

impl Stage for Compare {
    fn signature(&self) -> Signature {
        Signature::of("evaluate", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let drawer = Drawer::open(io, self.sampling)?;
        let (total, games) = (io.count("responses")?, games(io)?);
        let mut live = Live::default();
        io.each_shard(total, Self::SHARD, games, |games, meter| {
            let mut drafts = Vec::new();
            for game in &games {
                let (response, baseline) =
                    (game.response.text.as_str(), game.baseline.text.as_str());
                for (order, first) in Self::ORDERS.iter().enumerate() {
                    let shown = match first {
                        Shown::Baseline => [baseline, response],
                        _ => [response, baseline],
                    };
                    let text = self.template.compare(&game.question.prompt, shown)?;
                    let subject = game.id().finish('v');
                    let id = drawer.id_of(&subject).and(self.template.digest()).and(order);
                    drafts.push(Draft { id: id.finish('v'), messages: vec![Message::user(text)] });
                }
            }
            let drawn = drawer.draw(drafts, Self::ORDERS.len(), meter)?;
            live.read(&drawn, &[self.rule]);
            meter.note(live.winners());
            let places = games.iter().flat_map(|game| Self::ORDERS.map(|first| (game, first)));
            let verdicts = places.zip(drawn);
            verdicts.map(|((game, first), drawn)| self.verdict(game, first, drawn)).collect()
        })
    }
}

/// A configuration as a run's key spells it out.
#[derive(Deserialize)]
struct Spelt {
    baseline: String,
    judge: String,
    template: String,
    rule: String,
    #[serde(flatten)]
    sampling: Sampling,
}

/// A run's key names a rule that this version does not have.
#[derive(Debug, thiserror::Error)]
#[error("there is no reading rule `{0}`")]
struct NoRule(String);

impl Compare {
    /// Reads a configuration as a run's key spells it out.
    pub(super) fn of_config(config: &Value) -> Result<Self, StageError> {
        let Spelt { baseline, judge, template, rule, sampling } =
            serde_json::from_value(config.clone())?;
        let known = [Rule::Response, Rule::Choice].into_iter().find(|known| known.name() == rule);
        let rule = known.ok_or(NoRule(rule))?;
        let template = Template::for_comparison(&template)?;
        Ok(Self { baseline, judge, template, rule, sampling })
    }

    fn verdict(&self, game: &Game, first: Shown, drawn: Drawn) -> Result<Verdict, StageError> {
        let read = self.rule.read(&drawn.text, drawn.finish_reason);
        let first_wins = read.value.map(|winner| f64::midpoint(winner, 1.0));
        let preference =
            first_wins.map(|wins| if first == Shown::Baseline { 1.0 - wins } else { wins });
        Ok(Verdict {
            verdict_id: drawn.id,
            prompt_id: game.question.prompt_id.clone(),
            response_id: Some(game.response.response_id.clone()),
            baseline_response_id: Some(game.baseline.response_id.clone()),
            baseline: self.baseline.clone(),
            judge: self.judge.clone(),
            first_shown: first,
            preference,
            status: read.status,
            text: Some(drawn.text),
            response_chars: game.response.chars()?,
            baseline_chars: game.baseline.chars()?,
        })
    }
}
