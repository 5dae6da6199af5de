//! `read`: what each judgement or meta-judgement says. Cheap: reading again never generates.

use serde::{Deserialize, Serialize};

use super::rubric::{ReadVerdict, Rule, Thinking};
use crate::records::{FinishReason, JudgementId, MetaJudgementId, Reading, Weighed, soft_value};
use crate::runner::{Io, Signature, Stage, StageError};

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Subject {
    /// Scores of judgements.
    Judgements,
    /// Winners of meta-judgements.
    MetaJudgements,
}

/// Reads verdicts back: row i of `readings` is the reading of row i of the table that is read.
#[derive(Debug, Clone, Serialize)]
pub struct Read {
    subject: Subject,
    rule: Rule,
    /// What is reasoning, where it was not set apart when it was drawn.
    #[serde(skip_serializing_if = "Thinking::is_default")]
    thinking: Thinking,
}

impl Read {
    /// 1: the first. A change of what is read from a text is a new rule, not a new version. 2: what verdicts
    /// that were weighed come to. 3: reasoning is set apart in older tables, too.
    const VERSION: u32 = 3;

    /// Reads the scores of judgements.
    #[must_use]
    pub const fn scores(rule: Rule, thinking: Thinking) -> Self {
        Self { subject: Subject::Judgements, rule, thinking }
    }

    /// Reads the winners of meta-judgements.
    #[must_use]
    pub const fn winners(rule: Rule, thinking: Thinking) -> Self {
        Self { subject: Subject::MetaJudgements, rule, thinking }
    }
}

#[derive(Deserialize)]
struct Judged {
    judgement_id: JudgementId,
    text: String,
    finish_reason: FinishReason,
    weighed: Option<Vec<Weighed>>,
}

#[derive(Deserialize)]
struct Compared {
    meta_judgement_id: MetaJudgementId,
    text: String,
    finish_reason: FinishReason,
    weighed: Option<Vec<Weighed>>,
}

impl Stage for Read {
    fn signature(&self) -> Signature {
        Signature::of("read", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let Self { rule, thinking, .. } = self;
        match self.subject {
            Subject::Judgements => {
                let rows = io.rows::<Judged>("judgements")?;
                io.write(rows.map(|row| {
                    let Judged { judgement_id, text, finish_reason, weighed } = row?;
                    let verdict = rule.explain(&text, finish_reason, thinking).verdict;
                    let soft_value = weighed.as_deref().map(soft_value);
                    let judgement_id = Some(judgement_id);
                    Ok(Reading { judgement_id, soft_value, ..reading(verdict, rule) })
                }))
            }
            Subject::MetaJudgements => {
                let rows = io.rows::<Compared>("meta_judgements")?;
                io.write(rows.map(|row| {
                    let Compared { meta_judgement_id, text, finish_reason, weighed } = row?;
                    let verdict = rule.explain(&text, finish_reason, thinking).verdict;
                    let soft_value = weighed.as_deref().map(soft_value);
                    let meta_judgement_id = Some(meta_judgement_id);
                    Ok(Reading { meta_judgement_id, soft_value, ..reading(verdict, rule) })
                }))
            }
        }
    }
}

fn reading(ReadVerdict { value, status }: ReadVerdict, rule: &Rule) -> Reading {
    let rule = rule.name();
    Reading { judgement_id: None, meta_judgement_id: None, value, soft_value: None, status, rule }
}
