//! How much an iteration will take, as far as the file says.

use super::loop_::Loop;
use super::named::Files;
use super::settings::Iteration;

/// What an iteration takes at most. Equal answers are judged once, so there may be fewer judgements; a
/// text may end before its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Bytes of the model that is made, in f32, where the model's folder has weights to tell by.
    pub checkpoint: Option<u64>,
}

impl Scale {
    /// What iteration t takes at most, where the file says how many prompts it has.
    pub(super) fn of(all: &Loop<'_>, t: usize) -> Option<Self> {
        let prompts = all.prompts_per_iteration()?;
        let Iteration { respond, judge, meta_judge, .. } = &all.iterations[t];
        let samples = judge.samples as u64;
        let responses = prompts.saturating_mul(respond.samples as u64);
        let judgements = responses.saturating_mul(samples);
        let orders = samples.saturating_mul(samples.saturating_sub(1));
        let meta_judgements = meta_judge.as_ref().map_or(0, |_| prompts.saturating_mul(orders));
        let meta_tokens =
            meta_judge.as_ref().map_or(0, |stage| u64::from(stage.sampling.max_tokens));
        let tokens = responses
            .saturating_mul(u64::from(respond.sampling.max_tokens))
            .saturating_add(judgements.saturating_mul(u64::from(judge.sampling.max_tokens)))
            .saturating_add(meta_judgements.saturating_mul(meta_tokens));
        let checkpoint = weight_bytes(&all.model_files);
        Some(Self { prompts, responses, judgements, meta_judgements, tokens, checkpoint })
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
