//! A reply as it came: read leniently, for what is missing in it is what is looked for.

use std::time::Duration;

use serde_json::Value;

/// A reply as it came.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    body: Value,
    /// How long it took.
    pub(super) took: Duration,
}

/// The log-probability of a token, and that of the likeliest one and the next likeliest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct First {
    pub(super) drawn: f64,
    pub(super) best: f64,
    pub(super) second: f64,
}

impl Heard {
    /// Reads a reply.
    ///
    /// # Errors
    /// Where it is not JSON with texts in it, in words.
    pub(super) fn read(bytes: &[u8], took: Duration) -> Result<Self, String> {
        const SHOWN: usize = 60;
        let start = || String::from_utf8_lossy(bytes).chars().take(SHOWN).collect::<String>();
        let body: Value = serde_json::from_slice(bytes)
            .map_err(|error| format!("a reply that is no JSON ({error}): `{}`", start()))?;
        let heard = Self { body, took };
        if heard.choices().is_empty() {
            return Err(format!("a reply without a text: `{}`", start()));
        }
        Ok(heard)
    }

    pub(super) fn choices(&self) -> &[Value] {
        self.body.get("choices").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Which model replied, where it says.
    pub(super) fn model(&self) -> Option<&str> {
        self.body.get("model")?.as_str()
    }

    /// A count of its usage.
    pub(super) fn usage(&self, field: &str) -> Option<u64> {
        self.body.get("usage")?.get(field)?.as_u64()
    }

    /// The text of the first choice.
    pub(super) fn text(&self) -> String {
        self.choices().first().map(text).unwrap_or_default()
    }

    /// The ids of the first choice, where they are told.
    pub(super) fn ids(&self) -> Option<Vec<u32>> {
        ids(self.choices().first()?)
    }

    /// The log-probability of the first token, and those of the likeliest that are told beside it.
    pub(super) fn first(&self) -> Option<First> {
        let told = self.choices().first()?.get("logprobs")?;
        let by_name = told.pointer("/top_logprobs/0").and_then(Value::as_object);
        let mut top: Vec<f64> = if let Some(top) = by_name {
            top.values().filter_map(Value::as_f64).collect()
        } else {
            let top = told.pointer("/content/0/top_logprobs")?.as_array()?;
            top.iter().filter_map(|one| one.get("logprob")?.as_f64()).collect()
        };
        let drawn = *logprobs(self.choices().first()?)?.first()?;
        top.sort_by(|a, b| b.total_cmp(a));
        let best = *top.first()?;
        Some(First { drawn, best, second: top.get(1).copied().unwrap_or(f64::NEG_INFINITY) })
    }
}

/// The text of a choice: what was thought before it is part of what was drawn.
pub(super) fn text(choice: &Value) -> String {
    let message = choice.get("message");
    let of = |field: &str| message?.get(field)?.as_str();
    let plain = choice.get("text").and_then(Value::as_str).or_else(|| of("content"));
    let thought = of("reasoning").or_else(|| of("reasoning_content"));
    format!("{}{}", thought.unwrap_or_default(), plain.unwrap_or_default())
}

/// The ids of a choice, where they are told.
pub(super) fn ids(choice: &Value) -> Option<Vec<u32>> {
    let id = |id: &Value| u32::try_from(id.as_u64()?).ok();
    choice.get("token_ids")?.as_array()?.iter().map(id).collect()
}

/// The log-probabilities of a choice's tokens, where they are told; what is no number is not one here
/// either.
pub(super) fn logprobs(choice: &Value) -> Option<Vec<f64>> {
    let told = choice.get("logprobs")?;
    let number = |value: Option<&Value>| value.and_then(Value::as_f64).unwrap_or(f64::NAN);
    if let Some(tokens) = told.get("token_logprobs").and_then(Value::as_array) {
        return Some(tokens.iter().map(|token| number(Some(token))).collect());
    }
    let tokens = told.get("content")?.as_array()?;
    Some(tokens.iter().map(|token| number(token.get("logprob"))).collect())
}

/// Whether a text ended by itself.
pub(super) fn ended(choice: &Value) -> bool {
    choice.get("finish_reason").and_then(Value::as_str) != Some("length")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn heard(choice: &Value) -> Heard {
        let body = json!({ "choices": [choice] }).to_string();
        Heard::read(body.as_bytes(), Duration::ZERO).unwrap()
    }

    #[test]
    fn both_forms_of_log_probabilities_are_read() {
        let top = json!([{ "x": -0.5, "y": -1.0 }]);
        let plain = json!({ "logprobs": { "token_logprobs": [-1.0, null], "top_logprobs": top } });
        let first = First { drawn: -1.0, best: -0.5, second: -1.0 };
        assert_eq!(heard(&plain).first(), Some(first));
        assert!(logprobs(&plain).unwrap()[1].is_nan());
        let one =
            json!({ "logprob": -1.0, "top_logprobs": [{ "logprob": -1.0 }, { "logprob": -0.5 }] });
        assert_eq!(heard(&json!({ "logprobs": { "content": [one] } })).first(), Some(first));
        assert_eq!(heard(&json!({ "logprobs": null })).first(), None);
    }

    #[test]
    fn what_has_no_text_is_no_reply() {
        let said = |text: &str| Heard::read(text.as_bytes(), Duration::ZERO).unwrap_err();
        assert!(said("<html>").contains("no JSON"));
        assert!(said("{\"choices\": []}").contains("without a text"));
    }
}
