//! Rows: one struct per table, one field per column; a file per table, but for those of drawn texts.
//!
//! What a column means, its unit and its range stand in `schemas/<table>.sql`, which a test holds
//! against these structs and against stored files.

mod checkpoint;
mod choice;
mod drawn;
mod estimate;
mod example;
mod id;
mod lesson;
mod metric;
mod pair;
mod prompt;
mod rating;
mod reading;
mod reference_logps;
mod verdict;

use crate::store::{Record, Version};

pub use checkpoint::CheckpointPart;
pub use choice::Choice;
pub use drawn::{
    Drawn, DrawnRow, FinishReason, Judgement, MetaJudgement, Response, Weighed, soft_value,
};
pub use estimate::Estimate;
pub use example::Example;
pub use id::{
    ExampleId, Id, JudgementId, MetaJudgementId, PairId, PromptId, ResponseId, RowId, VerdictId,
    seed_of,
};
pub use lesson::LessonRow;
pub use metric::Metric;
pub use pair::{Pair, Reason, Role};
pub use prompt::{Message, Prompt};
pub use rating::Rating;
pub use reading::{Reading, Status};
pub use reference_logps::ReferenceLogps;
pub use verdict::{Shown, Verdict};

/// Every table, and the version in which it is written and read.
pub const VERSIONS: [(&str, Version); 15] = [
    (Prompt::TABLE, Prompt::VERSION),
    (Example::TABLE, Example::VERSION),
    (Response::TABLE, Response::VERSION),
    (Judgement::TABLE, Judgement::VERSION),
    (MetaJudgement::TABLE, MetaJudgement::VERSION),
    (Reading::TABLE, Reading::VERSION),
    (Rating::TABLE, Rating::VERSION),
    (Pair::TABLE, Pair::VERSION),
    (ReferenceLogps::TABLE, ReferenceLogps::VERSION),
    (LessonRow::TABLE, LessonRow::VERSION),
    (CheckpointPart::TABLE, CheckpointPart::VERSION),
    (Metric::TABLE, Metric::VERSION),
    (Choice::TABLE, Choice::VERSION),
    (Verdict::TABLE, Verdict::VERSION),
    (Estimate::TABLE, Estimate::VERSION),
];
