//! How much an iteration will take, as far as the file says.

use super::loop_::Loop;
use super::named::Files;
use super::settings::Iteration;
use crate::stages::remote::Prices;
use crate::stages::{Choices, Compare, Engine, Sampling, Template};

/// What an iteration takes at most. Equal answers are judged once, so there may be fewer judgements; a
/// text may end before its limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// Prompts of its share.
    pub prompts: u64,
    /// K for each.
    pub responses: u64,
    /// N for each response.
    pub judgements: u64,
    /// Both orders of each pair of one response's judgements; 0 where the judge is not trained.
    pub meta_judgements: u64,
    /// Tokens drawn for all of them, at their limits.
    pub tokens: u64,
    /// Bytes of the model that is made, after each epoch that is kept, in f32, where the model's folder has weights to tell by.
    pub checkpoint: Option<u64>,
    /// What is asked of models, role by role.
    pub asked: Vec<Load>,
    /// What is asked of them besides for each validation prompt, where the best of several epochs is chosen.
    pub validation: Vec<Load>,
}

/// What a role asks its model, at most.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// The engine that is asked.
    pub engine: String,
    /// Texts that are drawn.
    pub calls: u64,
    /// Tokens read beside the prompts themselves: templates, answers and judgements, at their limits.
    pub prompt_tokens: u64,
    /// Tokens drawn, at their limits.
    pub completion_tokens: u64,
    /// What tokens cost, where they have prices.
    pub prices: Option<Prices>,
}

impl Load {
    /// Tokens read, where a prompt has so many.
    #[must_use]
    pub const fn read(&self, per_prompt: u64) -> u64 {
        self.prompt_tokens.saturating_add(self.calls.saturating_mul(per_prompt))
    }

    /// As much for each of several prompts.
    #[must_use]
    pub fn times(&self, prompts: u64) -> Self {
        Self {
            calls: self.calls.saturating_mul(prompts),
            prompt_tokens: self.prompt_tokens.saturating_mul(prompts),
            completion_tokens: self.completion_tokens.saturating_mul(prompts),
            ..self.clone()
        }
    }

    /// What deciding some games takes, between answers of so many tokens.
    pub(super) fn of_games(compare: &Compare, games: u64, answer: u32) -> Self {
        let read = tokens_of(&compare.template) + 2 * u64::from(answer);
        let drawn = at_most(compare.choices.as_ref(), &compare.sampling);
        Self::of(&compare.engine, games, (read, drawn))
    }

    pub(super) fn of(engine: &Engine, calls: u64, (read, drawn): (u64, u32)) -> Self {
        Self {
            engine: engine.name.clone(),
            calls,
            prompt_tokens: calls.saturating_mul(read),
            completion_tokens: calls.saturating_mul(u64::from(drawn)),
            prices: engine.how.calls().and_then(|calls| calls.prices),
        }
    }
}

/// A token is about so many bytes of text.
const BYTES_PER_TOKEN: u64 = 4;

fn tokens_of(template: &Template) -> u64 {
    template.text().len() as u64 / BYTES_PER_TOKEN
}

/// Tokens of a verdict, which draws none where it is weighed.
fn at_most(choices: Option<&Choices>, sampling: &Sampling) -> u32 {
    if choices.is_some() { 0 } else { sampling.max_tokens }
}

impl Scale {
    /// What iteration t takes at most, where the file says how many prompts it has.
    pub(super) fn of(all: &Loop<'_>, t: usize) -> Option<Self> {
        let prompts = all.prompts_per_iteration()?;
        let Iteration { respond, judge, meta_judge, train, choice, .. } = &all.iterations[t];
        let samples = judge.samples as u64;
        let responses = prompts.saturating_mul(respond.samples as u64);
        let judgements = responses.saturating_mul(samples);
        let orders = samples.saturating_mul(samples.saturating_sub(1));
        let meta_judgements = meta_judge.as_ref().map_or(0, |_| prompts.saturating_mul(orders));
        let answer = respond.sampling.max_tokens;
        let verdict = at_most(judge.choices.as_ref(), &judge.sampling);
        let judged = tokens_of(&judge.template) + u64::from(answer);
        let mut asked = vec![
            Load::of(&respond.engine, responses, (0, answer)),
            Load::of(&judge.engine, judgements, (judged, verdict)),
        ];
        asked.extend(meta_judge.as_ref().map(|stage| {
            let read = tokens_of(&stage.template) + u64::from(answer) + 2 * u64::from(verdict);
            let drawn = at_most(stage.choices.as_ref(), &stage.sampling);
            Load::of(&stage.engine, meta_judgements, (read, drawn))
        }));
        let drawn = asked.iter().map(|load| load.completion_tokens);
        let tokens = drawn.fold(0, u64::saturating_add);
        let kept = choice.map_or(1, |_| train.settings.epochs as u64);
        let checkpoint = weight_bytes(&all.model_files).map(|bytes| bytes.saturating_mul(kept));
        Some(Self {
            prompts,
            responses,
            judgements,
            meta_judgements,
            tokens,
            checkpoint,
            asked,
            validation: Vec::new(),
        })
    }
}

/// The size of a model's weights in f32: that of its files, twice where they hold half precision.
fn weight_bytes(files: &Files) -> Option<u64> {
    let weights = files.iter().filter(|(name, _)| name.ends_with(".safetensors"));
    let sizes: Option<Vec<u64>> =
        weights.map(|(_, path)| Some(path.metadata().ok()?.len())).collect();
    let bytes: u64 = sizes?.into_iter().sum();
    let config = std::fs::read_to_string(files.get("config.json")?).ok()?;
    let config: serde_json::Value = serde_json::from_str(&config).ok()?;
    let dtype = config.get("dtype").or_else(|| config.get("torch_dtype"));
    let half = dtype.and_then(|name| name.as_str()).is_some_and(|name| name.ends_with("16"));
    (bytes > 0).then(|| if half { bytes.saturating_mul(2) } else { bytes })
}
