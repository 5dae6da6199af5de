//! `read`: what each judgement or meta-judgement says. Cheap: reading again never generates.

use serde::{Deserialize, Serialize};

use super::rubric::{ReadVerdict, Rule};
use crate::records::{FinishReason, JudgementId, MetaJudgementId, Reading};
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
}

impl Read {
    /// 1: the first. A change of what is read from a text is a new rule, not a new version.
    const VERSION: u32 = 1;

    /// Reads the scores of judgements.
    #[must_use]
    pub const fn scores(rule: Rule) -> Self {
        Self { subject: Subject::Judgements, rule }
    }

    /// Reads the winners of meta-judgements.
    #[must_use]
    pub const fn winners() -> Self {
        Self { subject: Subject::MetaJudgements, rule: Rule::Winner }
    }
}

#[derive(Deserialize)]
struct Judged {
    judgement_id: JudgementId,
    text: String,
    finish_reason: FinishReason,
}

#[derive(Deserialize)]
struct Compared {
    meta_judgement_id: MetaJudgementId,
    text: String,
    finish_reason: FinishReason,
}

impl Stage for Read {
    fn signature(&self) -> Signature {
        Signature::of("read", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let rule = self.rule;
        match self.subject {
            Subject::Judgements => {
                let rows = io.rows::<Judged>("judgements")?;
                io.write(rows.map(|row| {
                    let Judged { judgement_id, text, finish_reason } = row?;
                    let verdict = rule.read(&text, finish_reason);
                    Ok(reading(Some(judgement_id), None, verdict, rule))
                }))
            }
            Subject::MetaJudgements => {
                let rows = io.rows::<Compared>("meta_judgements")?;
                io.write(rows.map(|row| {
                    let Compared { meta_judgement_id, text, finish_reason } = row?;
                    let verdict = rule.read(&text, finish_reason);
                    Ok(reading(None, Some(meta_judgement_id), verdict, rule))
                }))
            }
        }
    }
}

fn reading(
    judgement_id: Option<JudgementId>,
    meta_judgement_id: Option<MetaJudgementId>,
    ReadVerdict { value, status }: ReadVerdict,
    rule: Rule,
) -> Reading {
    Reading { judgement_id, meta_judgement_id, value, status, rule: rule.name().to_owned() }
}
