//! A prompt of an iteration as it is told: every answer, every judgement of it, the judgements of judgements, and
//! what pairs became of them.

use serde::Serialize;

use super::excerpt::Excerpt;

/// A prompt of an iteration's share.
#[derive(Debug, Serialize)]
pub struct SharePrompt {
    /// Its id.
    pub id: String,
    /// What was asked.
    pub prompt: Excerpt,
    /// The right answer, where one is known; the loop does not read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Excerpt>,
    /// The source's own category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The pair of answers, or why there is none; `None` where none was looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Outcome>,
    /// The pair of judgements, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge: Option<Outcome>,
    /// Why some of its judgements or meta-judgements could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
    /// The distinct answers.
    pub answers: Vec<Answer>,
    /// Comparisons of two judgements of one answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compared: Vec<Comparison>,
}

/// What became of a candidate pair.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// `kept`, or the reason why not.
    pub became: String,
    /// Of the actor: which answer is preferred; of the judge: which answer is judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<usize>,
    /// Of the actor: the other answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<usize>,
    /// Of the judge: which judgement of that answer is preferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen_judgement: Option<usize>,
    /// Of the judge: the other judgement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected_judgement: Option<usize>,
    /// The score, or the strength, of the preferred side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_chosen: Option<f64>,
    /// The same of the other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_rejected: Option<f64>,
}

/// An answer, and what the judge says of it.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// Which of the draws said so, from 0.
    pub samples: Vec<i32>,
    /// The answer.
    pub text: Excerpt,
    /// Its length in characters.
    pub chars: i64,
    /// `stop`, `length` or `refused`.
    pub finish: String,
    /// The mean of the scores that could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The judgements.
    pub judgements: Vec<Judgement>,
}

/// A judgement.
#[derive(Debug, Serialize)]
pub struct Judgement {
    /// Its score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Why it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// Its strength among the judgements of the answer, where they were compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strength: Option<f64>,
    /// The judgement.
    pub text: Excerpt,
}

/// A meta-judgement: two judgements of one answer in one order.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Which answer both judge.
    pub answer: usize,
    /// Which judgement was shown first.
    pub first: usize,
    /// Which second.
    pub second: usize,
    /// 1 where the first wins, -1 where the second does, 0 for a tie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub winner: Option<f64>,
    /// Why it has no winner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// The comparison.
    pub text: Excerpt,
}

/// The prompts of one model's share that are shown, in the order in which they are chosen.
#[derive(Debug, Serialize)]
pub struct Share {
    /// The model that answered them.
    pub model: String,
    /// How many there are.
    pub of: i64,
    /// Those that are shown.
    pub shown: Vec<SharePrompt>,
}
