//! What a person wants to know of texts while they are drawn. None of it is kept.

use super::rubric::Rule;
use crate::records::{Drawn, FinishReason};

/// What the texts of a stage came to so far.
#[derive(Default)]
pub(super) struct Live {
    texts: f64,
    tokens: f64,
    cut: f64,
    refused: f64,
    read: f64,
    sum: f64,
}

impl Live {
    /// Takes a text that only has a length.
    pub(super) fn count(&mut self, drawn: &Drawn) {
        self.texts += 1.0;
        self.tokens += f64::from(drawn.completion_tokens);
        self.cut += f64::from(u8::from(drawn.finish_reason == FinishReason::Length));
        self.refused += f64::from(u8::from(drawn.finish_reason == FinishReason::Refused));
    }

    /// Takes a text that says something by a rule.
    pub(super) fn read(&mut self, drawn: &Drawn, rule: &Rule) {
        self.count(drawn);
        if let Some(value) = rule.read(&drawn.text, drawn.finish_reason).value {
            self.read += 1.0;
            self.sum += value;
        }
    }

    fn share(&self, of: f64) -> f64 {
        100.0 * of / self.texts.max(1.0)
    }

    /// `212 tokens each, 1.2 % cut`.
    pub(super) fn lengths(&self) -> String {
        let each = self.tokens / self.texts.max(1.0);
        let cut = self.share(self.cut);
        format!("{each:.0} tokens each, {cut:.1} % cut{}", self.refused())
    }

    /// `, 0.3 % refused`, where any was.
    fn refused(&self) -> String {
        if self.refused > 0.0 {
            format!(", {:.1} % refused", self.share(self.refused))
        } else {
            String::new()
        }
    }

    /// `mean score 3.41, 0.4 % unreadable`.
    pub(super) fn scores(&self) -> String {
        let mean = self.sum / self.read.max(1.0);
        format!("mean score {mean:.2}, {}", self.unreadable())
    }

    /// `first wins 48.2 %, 0.4 % unreadable`.
    pub(super) fn winners(&self) -> String {
        let first = 50.0 * (1.0 + self.sum / self.read.max(1.0));
        format!("first wins {first:.1} %, {}", self.unreadable())
    }

    fn unreadable(&self) -> String {
        format!("{:.1} % unreadable", self.share(self.texts - self.read))
    }
}
