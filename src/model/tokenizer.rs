//! `tokenizer.json`: text to ids and back, and a byte-level one trained from text.

use std::path::Path;

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, TokenizerImpl};

use super::error::Error;
use super::folder::read;

/// Text to ids and back.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
}

impl Tokenizer {
    /// Reads a `tokenizer.json` for a model of `vocab_size` ids.
    ///
    /// # Errors
    /// Where it is not a tokenizer, or has an id that the model has not.
    pub fn open(path: &Path, vocab_size: usize) -> Result<Self, Error> {
        let fail = |reason: String| Error::Tokenizer { path: path.to_owned(), reason };
        let inner =
            tokenizers::Tokenizer::from_bytes(read(path)?).map_err(|e| fail(e.to_string()))?;
        Self::new(inner, path, vocab_size)
    }

    /// Takes the tokenizer of the file at `path`, for a model of `vocab_size` ids.
    pub(super) fn new(
        inner: tokenizers::Tokenizer,
        path: &Path,
        vocab_size: usize,
    ) -> Result<Self, Error> {
        let fail = |reason: String| Error::Tokenizer { path: path.to_owned(), reason };
        let highest = inner.get_vocab(true).into_iter().max_by_key(|(_, id)| *id);
        if let Some((token, id)) = highest
            && id as usize >= vocab_size
        {
            let reason = format!("`{token}` has the id {id}, the model ids below {vocab_size}");
            return Err(fail(reason));
        }
        Ok(Self { inner })
    }

    /// Ids of `text`. Nothing is added: a template writes its own first token.
    ///
    /// # Errors
    /// Where the tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding =
            self.inner.encode_fast(text, false).map_err(|e| Error::Encode(e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of `ids`, without special tokens.
    ///
    /// # Errors
    /// Where the tokenizer fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String, Error> {
        self.inner.decode(ids, true).map_err(|e| Error::Encode(e.to_string()))
    }

    /// The token of an id, as the tokenizer spells it.
    #[must_use]
    pub fn token_of(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The id of a token.
    #[must_use]
    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }
}

/// Trains a byte-level BPE tokenizer (Sennrich et al., 2016; Radford et al., 2019) and returns its
/// `tokenizer.json`. `special` tokens come first, then the 256 bytes: every text has ids.
///
/// # Errors
/// Where `vocab_size` has no room for those, or training fails.
pub fn train_tokenizer(
    texts: impl Iterator<Item = String> + Send,
    vocab_size: usize,
    special: &[&str],
) -> Result<String, Error> {
    let fail = |e: tokenizers::Error| Error::Encode(e.to_string());
    let least = 256 + special.len();
    if vocab_size < least {
        return Err(Error::Vocabulary { least, found: vocab_size });
    }
    let special = special.iter().map(|token| AddedToken::from(*token, true));
    let mut trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(special.collect())
        .build();
    let mut tokenizer: TokenizerImpl<
        BPE,
        tokenizers::NormalizerWrapper,
        ByteLevel,
        tokenizers::PostProcessorWrapper,
        ByteLevel,
    > = TokenizerImpl::new(BPE::default());
    tokenizer
        .with_pre_tokenizer(Some(ByteLevel::new(false, false, true)))
        .with_decoder(Some(ByteLevel::default()));
    tokenizer.train(&mut trainer, texts).map_err(fail)?;
    tokenizer.to_string(false).map_err(fail)
}
