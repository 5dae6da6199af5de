//! The columns of a drawn text, which `responses`, `judgements` and `meta_judgements` share.

use serde::{Deserialize, Serialize};

use super::id::{Id, JudgementId, MetaJudgementId, PromptId, ResponseId};
use crate::store::{Record, Version};

/// Why a draw ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended it.
    Stop,
    /// The token limit cut it.
    Length,
    /// It never began: the model does not take the prompt. `refusal` says why.
    Refused,
}

/// A verdict that there may be, and how likely it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Weighed {
    /// As it is written.
    pub verdict: String,
    /// As it is read.
    pub value: f64,
    /// Among all that there may be, nats.
    pub logprob: f64,
}

/// What verdicts that were weighed come to: the mean of their values.
#[must_use]
pub fn soft_value(weighed: &[Weighed]) -> f64 {
    weighed.iter().map(|one| one.logprob.exp() * one.value).sum()
}

/// A table whose rows are drawn texts.
pub trait DrawnRow {
    /// The type of the row's id.
    type Id: Id;

    /// The row's id.
    fn id(&self) -> &Self::Id;

    /// Why it was never drawn, where it was not.
    fn refusal(&self) -> Option<&str>;
}

/// The columns that all drawn texts have, handed to the macro `declare` before what else it is given.
macro_rules! with_columns {
    ($declare:ident! { $($given:tt)* }) => {
        $declare! {
            columns {
                /// Seed of this draw alone.
                seed: u64,
                /// The text, as decoded, without what was thought before it.
                text: String,
                /// What was thought before it.
                thinking: Option<String>,
                /// Digest of the text.
                text_digest: String,
                /// Ids of the tokens drawn, those of thinking and the end token among them.
                completion_ids: Option<Vec<u32>>,
                /// Tokens read.
                prompt_tokens: i32,
                /// Tokens drawn.
                completion_tokens: i32,
                /// Why it ended.
                finish_reason: FinishReason,
                /// Summed log-probability, nats.
                logprob: Option<f64>,
                /// Why the model did not take the prompt.
                refusal: Option<String>,
            }
            $($given)*
        }
    };
}

/// Declares a struct of the columns alone.
macro_rules! text {
    (
        columns { $($(#[$column_doc:meta])* $column:ident: $type:ty,)* }
        $(#[$doc:meta])* $name:ident
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[$column_doc])* pub $column: $type,)*
            /// Where it was not written but weighed: what it might have been.
            pub weighed: Option<Vec<Weighed>>,
        }
    };
}

/// Declares a table: its own columns, then those of a drawn text.
macro_rules! table {
    (
        columns { $($(#[$column_doc:meta])* $column:ident: $type:ty,)* }
        $(#[$doc:meta])* $row:ident in $table:literal, named by $id:ident: $id_type:ty
        { $($(#[$own_doc:meta])* $own:ident: $own_type:ty,)* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub struct $row {
            $($(#[$own_doc])* pub $own: $own_type,)*
            $($(#[$column_doc])* pub $column: $type,)*
        }

        impl From<Drawn> for $row {
            /// Lays out a row whose own columns are still to be filled.
            fn from(Drawn { $($column,)* .. }: Drawn) -> Self {
                Self { $($own: Default::default(),)* $($column),* }
            }
        }

        impl DrawnRow for $row {
            type Id = $id_type;

            fn id(&self) -> &$id_type {
                &self.$id
            }

            fn refusal(&self) -> Option<&str> {
                self.refusal.as_deref()
            }
        }

        impl Record for $row {
            const TABLE: &'static str = $table;
            const VERSION: Version = Version::new(1, 1);
            const DISTINCT: &'static [&'static str] =
                &[stringify!($id), "seed", "text", "text_digest", "thinking"];
        }
    };
}

with_columns!(text! {
    /// A drawn text.
    Drawn
});

with_columns!(table! {
    /// A row of `responses`: what the actor drew. The columns' meanings stand in
    /// `schemas/responses.sql`.
    Response in "responses", named by response_id: ResponseId {
        /// Its id.
        response_id: ResponseId,
        /// The prompt that is answered.
        prompt_id: PromptId,
        /// Which of the K draws.
        sample: i32,
    }
});

with_columns!(table! {
    /// A row of `judgements`: what the judge drew, nothing parsed. The columns' meanings stand in
    /// `schemas/judgements.sql`.
    Judgement in "judgements", named by judgement_id: JudgementId {
        /// Its id.
        judgement_id: JudgementId,
        /// The prompt that was answered.
        prompt_id: PromptId,
        /// The response that is judged.
        response_id: ResponseId,
        /// Which of the N draws.
        sample: i32,
        /// Where it was weighed: what it might have been.
        weighed: Option<Vec<Weighed>>,
    }
});

with_columns!(table! {
    /// A row of `meta_judgements`: two judgements of one response, compared in one order. The columns'
    /// meanings stand in `schemas/meta_judgements.sql`.
    MetaJudgement in "meta_judgements", named by meta_judgement_id: MetaJudgementId {
        /// Its id.
        meta_judgement_id: MetaJudgementId,
        /// The prompt that was answered.
        prompt_id: PromptId,
        /// The response both are about.
        response_id: ResponseId,
        /// Shown as A.
        first_judgement_id: JudgementId,
        /// Shown as B.
        second_judgement_id: JudgementId,
        /// Where it was weighed: what it might have been.
        weighed: Option<Vec<Weighed>>,
    }
});
