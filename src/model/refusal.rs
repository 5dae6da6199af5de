//! Why a model does not take a prompt.

/// Why a model does not take a prompt. Others go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has no token.
    #[error("the prompt is empty")]
    Empty,
    /// It leaves no room for a text.
    #[error("{tokens} tokens do not fit a context of {context}")]
    TooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens that the model takes.
        context: usize,
    },
    /// The chat template raises an error, or the tokenizer does.
    #[error("{0}")]
    Unwritten(String),
    /// The server that has the model does not take it, in its own words.
    #[error("{0}")]
    ByServer(String),
}
