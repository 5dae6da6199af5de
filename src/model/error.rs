//! What can go wrong with a model: one error for its folder, its network and its texts.

use std::path::PathBuf;

use super::refusal::Refusal;
use super::remote;

/// What can go wrong with a model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the model's folder is not there.
    #[error("the model has no `{0}`")]
    NoFile(String),
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration is not what it should be.
    #[error("{} is not a model's configuration: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The architecture is not one that mrx knows.
    #[error(
        "{} names the architecture `{found}`; these are run: {}",
        path.display(),
        known.join(", ")
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it names.
        found: String,
        /// What is run.
        known: Vec<&'static str>,
    },
    /// A GGUF file cannot be read, or asks for what is not computed.
    #[error("{} is not a GGUF file of a model that is run: {reason}", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A template failed.
    #[error("template `{name}`: {reason}")]
    Template {
        /// The template's file.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A tokenizer is not one, or does not fit the model.
    #[error("{} is not this model's tokenizer: {reason}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The tokenizer failed on a text.
    #[error("the tokenizer failed: {0}")]
    Encode(String),
    /// A vocabulary is too small for a byte-level tokenizer.
    #[error("a byte-level vocabulary takes at least {least} ids, not {found}")]
    Vocabulary {
        /// Special tokens and bytes.
        least: usize,
        /// What was asked.
        found: usize,
    },
    /// A file of weights is damaged.
    #[error("{} does not hold weights: {reason}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A weight is not there.
    #[error("the model has no tensor `{name}`, which its configuration asks for")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// A weight has another shape.
    #[error("tensor `{name}` has the shape {found:?}, its configuration says {expected:?}")]
    TensorShape {
        /// Its name.
        name: String,
        /// What the configuration says.
        expected: Vec<usize>,
        /// What the file says.
        found: Vec<usize>,
    },
    /// A weight that the configuration does not know.
    #[error("{} holds the tensor `{name}`, which its configuration does not know", path.display())]
    UnknownTensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        name: String,
    },
    /// A checkpoint that is not of the network that it should be of.
    #[error(
        "{} is of another network than the model that training starts from: `{field}` is {found}, expected \
         {expected}",
        path.display()
    )]
    OtherNetwork {
        /// The configuration.
        path: PathBuf,
        /// What differs.
        field: &'static str,
        /// As the start has it.
        expected: String,
        /// As it is here.
        found: String,
    },
    /// A weight that is infinite or not a number.
    #[error("{}: the tensor `{name}` has numbers that are not finite", path.display())]
    TensorNotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        name: String,
    },
    /// A checkpoint that is a GGUF file.
    #[error("{} is a GGUF file: a checkpoint is a folder, as transformers saves it", .0.display())]
    GgufCheckpoint(PathBuf),
    /// An adapter without the model that it changes.
    #[error("{} is of an adapter, and its folder has no weights of a model", path.display())]
    AdapterAlone {
        /// The adapter's configuration.
        path: PathBuf,
    },
    /// An adapter that cannot be used.
    #[error("{}", path.display())]
    Adapter {
        /// Its configuration, or its weights.
        path: PathBuf,
        /// What is wrong.
        #[source]
        why: BadAdapter,
    },
    /// Random weights cannot be drawn.
    #[error("`initializer_range` is {0}: it should be a standard deviation")]
    Range(f64),
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Weights cannot be written to where they are sent.
    #[error("cannot write the weights")]
    WriteWeights(#[source] std::io::Error),
    /// A device cannot be opened.
    #[error("cannot compute on `{name}`: {reason}")]
    Device {
        /// What was asked.
        name: String,
        /// Why.
        reason: String,
    },
    /// The machine has no thread left.
    #[error("cannot start a thread: {0}")]
    Threads(String),
    /// A prompt that the model does not take.
    #[error("request {request}: {refusal}")]
    Refused {
        /// Its place in the list.
        request: usize,
        /// Why.
        refusal: Refusal,
    },
    /// Logits that are not finite: the weights are not, or are too large.
    #[error("request {request}: the model's logits are not finite")]
    NotFinite {
        /// Its place in the list.
        request: usize,
    },
    /// No token ends a text.
    #[error(
        "the model names no token that ends a text: no `eos_token_id` in generation_config.json or \
         config.json"
    )]
    NoEnd,
    /// The token that ends a text is not in the vocabulary.
    #[error("`eos_token_id` {id} is not below the vocabulary's {vocabulary}")]
    EndOutside {
        /// The id.
        id: u32,
        /// Ids that there are.
        vocabulary: usize,
    },
    /// No chat template.
    #[error(
        "the model has no `chat_template.jinja`, nor a `chat_template` in tokenizer_config.json"
    )]
    NoTemplate,
    /// An id outside the vocabulary.
    #[error("request {request}: token {id} is not below the vocabulary's {vocabulary}")]
    NoSuchToken {
        /// Its place in the list.
        request: usize,
        /// The id.
        id: u32,
        /// Ids that there are.
        vocabulary: usize,
    },
    /// The cache of keys and values is too small for one text.
    #[error(
        "a prompt and the text after it may take {needed} tokens, and the cache holds {places}"
    )]
    CacheFull {
        /// Tokens.
        needed: usize,
        /// Tokens that the cache holds.
        places: usize,
    },
    /// The model cannot do this.
    #[error("a scripted model cannot {0}")]
    Scripted(&'static str),
    /// The model is in another program, and cannot be asked there.
    #[error(transparent)]
    Remote(#[from] remote::Error),
    /// The network failed.
    #[error("the network failed")]
    Network(#[from] candle_core::Error),
}

impl Error {
    /// Finds what is wrong with a model in another program in what a stage failed with.
    #[must_use]
    pub fn remote<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e remote::Error> {
        match error.downcast_ref() {
            Some(Self::Remote(remote)) => Some(remote),
            _ => error.downcast_ref(),
        }
    }

    /// The place in the list of the request that is at fault, where it is one.
    #[must_use]
    pub const fn request(&self) -> Option<usize> {
        match self {
            Self::Refused { request, .. }
            | Self::NotFinite { request }
            | Self::NoSuchToken { request, .. } => Some(*request),
            _ => None,
        }
    }
}

/// An adapter that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadAdapter {
    /// Its configuration asks for what is not supported.
    #[error("`{field}` is {found}: expected {expected}")]
    Setting {
        /// The field.
        field: String,
        /// What it says.
        found: String,
        /// What it may say.
        expected: &'static str,
    },
    /// It names a module that the model does not have.
    #[error("the model has no projection `{module}`; it has {}", known.join(", "))]
    NoSuchModule {
        /// The module.
        module: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// A tensor is not there.
    #[error("the tensor `{0}` is missing")]
    Missing(String),
    /// A tensor belongs to nothing.
    #[error("the tensor `{0}` belongs to no projection that is adapted")]
    Unknown(String),
    /// A tensor has another shape.
    #[error("the tensor `{name}` is {found:?}: expected {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// What it should be.
        expected: Vec<usize>,
    },
}
