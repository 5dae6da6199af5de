//! The tokens of a GGUF file: a tokenizer, and what its chat template may print.
//!
//! Such a file keeps the tokens of a tokenizer, how they merge, and the name of the way in which a text is cut
//! before that. Ways that are known here give the ids of the `tokenizer.json` that they were taken from.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::Value;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::prepend::Prepend;
use tokenizers::normalizers::replace::Replace;
use tokenizers::normalizers::unicode::NFC;
use tokenizers::normalizers::utils::Sequence as Normalizers;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, NormalizerWrapper, SplitDelimiterBehavior, Tokenizer};

use super::metadata::{Gguf, whole};
use crate::model::error::Error;

/// Kinds of tokens, as llama.cpp counts them.
const NORMAL: u64 = 1;
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;
const UNUSED: u64 = 5;

const MERGES: &str = "tokenizer.ggml.merges";
/// What stands for a space in a token that is text.
const SPACE: &str = "▁";

/// Ways to cut a text before it is merged from bytes.
const WAYS: [&str; 6] = ["smollm", "llama-bpe", "llama3", "llama-v3", "qwen2", "gpt-2"];

/// How Llama 3 cuts a text, and, but for its digits, Qwen 2.
const WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

type Made = Result<Tokenizer, Box<dyn std::error::Error + Send + Sync>>;

/// A chat template, and the tokens that it may print, by name.
pub(in crate::model) type Template<'g> = (&'g str, Vec<(String, String)>);

/// Every token with its kind, by its id.
type Tokens<'g> = Vec<(&'g str, u64)>;

impl Gguf {
    /// Its tokenizer.
    ///
    /// # Errors
    /// Where it has none, or cuts a text in a way that is not known.
    pub(in crate::model) fn tokenizer(&self) -> Result<Tokenizer, Error> {
        let Some(kind) = self.text("tokenizer.ggml.model") else {
            return Err(self.refused("it has no tokenizer: no `tokenizer.ggml.model`"));
        };
        let texts = self.texts("tokenizer.ggml.tokens")?;
        let kinds = self.list("tokenizer.ggml.token_type", whole, "kinds of tokens")?;
        if texts.len() != kinds.len() {
            let (tokens, kinds) = (texts.len(), kinds.len());
            return Err(self.refused(format!("it has {tokens} tokens, and kinds of {kinds}")));
        }
        let tokens: Tokens<'_> = texts.into_iter().zip(kinds).collect();
        let made = match kind {
            "gpt2" => self.of_bytes(&tokens, self.way()?)?,
            "llama" => self.of_text(&tokens)?,
            other => {
                let reason = format!("its tokenizer is `{other}`; these are read: gpt2, llama");
                return Err(self.refused(reason));
            }
        };
        made.and_then(|tokenizer| with_added(tokenizer, &tokens))
            .map_err(|error| self.refused(format!("its tokenizer: {error}")))
    }

    /// In which of the known ways it cuts a text.
    fn way(&self) -> Result<&str, Error> {
        let known = format!("these are known: {}", WAYS.join(", "));
        match self.text("tokenizer.ggml.pre") {
            Some(way) if WAYS.contains(&way) => Ok(way),
            Some(way) => Err(self.refused(format!("its tokenizer cuts texts as `{way}`; {known}"))),
            None => Err(self.refused(format!(
                "it does not say how its tokenizer cuts texts: no `tokenizer.ggml.pre`; {known}"
            ))),
        }
    }

    /// Byte-level BPE.
    fn of_bytes(&self, tokens: &Tokens<'_>, way: &str) -> Result<Made, Error> {
        let mut merges = Vec::new();
        for merge in self.texts(MERGES)? {
            let Some((left, right)) = merge.split_once(' ') else {
                return Err(self.refused(format!("`{MERGES}`: `{merge}` is not two parts")));
            };
            merges.push((left.to_owned(), right.to_owned()));
        }
        let bpe = BPE::builder()
            .vocab_and_merges(vocabulary(tokens), merges)
            .ignore_merges(WAYS[1..4].contains(&way))
            .build();
        let set_up = |bpe: BPE| {
            let mut tokenizer = Tokenizer::new(bpe);
            tokenizer.with_pre_tokenizer(Some(cut(way)?));
            tokenizer.with_decoder(Some(ByteLevel::default()));
            if way == "qwen2" {
                tokenizer.with_normalizer(Some(NFC))?;
            }
            Ok(tokenizer)
        };
        Ok(bpe.and_then(set_up))
    }

    /// BPE of text, with bytes where there is no token: that of `SentencePiece`, whose merges are ordered by the scores of
    /// what they make.
    fn of_text(&self, tokens: &Tokens<'_>) -> Result<Made, Error> {
        const SCORES: &str = "tokenizer.ggml.scores";
        let score = |value: &Value| match value {
            Value::F32(score) => Some(*score),
            _ => None,
        };
        let scores = self.list(SCORES, score, "numbers in f32")?;
        if scores.len() != tokens.len() {
            let (tokens, scores) = (tokens.len(), scores.len());
            return Err(self.refused(format!("it has {tokens} tokens, and scores of {scores}")));
        }
        let prefixed =
            !matches!(self.value("tokenizer.ggml.add_space_prefix"), Some(Value::Bool(false)));
        let unknown = tokens.iter().find(|(_, kind)| *kind == UNKNOWN).map(|(text, _)| *text);
        let mut bpe = BPE::builder()
            .vocab_and_merges(vocabulary(tokens), merges_by_score(tokens, &scores))
            .fuse_unk(true)
            .byte_fallback(true);
        if let Some(unknown) = unknown {
            bpe = bpe.unk_token(unknown.to_owned());
        }
        let set_up = |bpe: BPE| {
            let mut tokenizer = Tokenizer::new(bpe);
            let mut normalizers: Vec<NormalizerWrapper> = vec![Replace::new(" ", SPACE)?.into()];
            let mut decoders: Vec<DecoderWrapper> = vec![
                Replace::new(SPACE, " ")?.into(),
                ByteFallback::new().into(),
                Fuse::new().into(),
            ];
            if prefixed {
                normalizers.insert(0, Prepend::new(SPACE.to_owned()).into());
                decoders.push(Strip::new(' ', 1, 0).into());
            }
            tokenizer.with_normalizer(Some(Normalizers::new(normalizers)))?;
            tokenizer.with_decoder(Some(Decoders::new(decoders)));
            Ok(tokenizer)
        };
        Ok(bpe.build().and_then(set_up))
    }

    /// Its chat template, and the tokens that it may print, by name.
    ///
    /// # Errors
    /// Where it has none.
    pub(in crate::model) fn chat_template(&self) -> Result<Template<'_>, Error> {
        let template = self.text("tokenizer.chat_template");
        let none = || self.refused("it has no `tokenizer.chat_template`");
        let template = template.ok_or_else(none)?;
        let tokens = self.texts("tokenizer.ggml.tokens")?;
        // The padding has two spellings.
        let named = [
            ("bos", "bos"),
            ("eos", "eos"),
            ("unknown", "unk"),
            ("padding", "pad"),
            ("pad", "pad"),
        ];
        let token = |(there, here): (&str, &str)| {
            let id = self.whole(&format!("tokenizer.ggml.{there}_token_id"))?;
            let token = tokens.get(usize::try_from(id).ok()?)?;
            Some((format!("{here}_token"), (*token).to_owned()))
        };
        Ok((template, named.into_iter().filter_map(token).collect()))
    }
}

/// Ids by token, but for places that no token has.
fn vocabulary(tokens: &Tokens<'_>) -> Vocab {
    let used = (0..).zip(tokens).filter(|(_, (_, kind))| *kind != UNUSED);
    used.map(|(id, (text, _))| ((*text).to_owned(), id)).collect()
}

/// How a text is cut.
fn cut(way: &str) -> tokenizers::Result<PreTokenizerWrapper> {
    let split = |pattern: String| {
        Split::new(SplitPattern::Regex(pattern), SplitDelimiterBehavior::Isolated, false)
    };
    let words: PreTokenizerWrapper = match way {
        "gpt-2" => return Ok(ByteLevel::new(false, true, true).into()),
        "smollm" => {
            let level = ByteLevel::new(false, true, true);
            return Ok(Sequence::new(vec![Digits::new(true).into(), level.into()]).into());
        }
        "qwen2" => split(WORDS.replace("{1,3}", ""))?.into(),
        _ => split(WORDS.to_owned())?.into(),
    };
    Ok(Sequence::new(vec![words, ByteLevel::new(false, true, false).into()]).into())
}

/// Every pair of tokens that makes a token, the best token first; as transformers orders them.
fn merges_by_score(tokens: &Tokens<'_>, scores: &[f32]) -> Vec<(String, String)> {
    let ids: HashMap<&str, usize> = tokens.iter().map(|(text, _)| *text).zip(0..).collect();
    let mut merges = Vec::new();
    for ((text, kind), score) in tokens.iter().zip(scores) {
        if *kind != NORMAL {
            continue;
        }
        let cuts = text.char_indices().skip(1).map(|(at, _)| text.split_at(at));
        let known = |(left, right)| Some(((left, right), (*ids.get(left)?, *ids.get(right)?)));
        let mut parts: Vec<_> = cuts.filter_map(known).collect();
        parts.sort_by_key(|(_, ids)| *ids);
        merges.extend(parts.into_iter().map(|((left, right), _)| (left, right, *score)));
    }
    let lengths =
        |(left, right, _): &(&str, &str, f32)| (left.chars().count(), right.chars().count());
    merges.sort_by(|a, b| b.2.total_cmp(&a.2).then_with(|| lengths(b).cmp(&lengths(a))));
    merges.into_iter().map(|(left, right, _)| (left.to_owned(), right.to_owned())).collect()
}

/// Adds the tokens that are found in a text before it is cut; those that steer are special.
fn with_added(mut tokenizer: Tokenizer, tokens: &Tokens<'_>) -> Made {
    let added = |wanted: fn(u64) -> bool, special: bool| {
        let those = tokens.iter().filter(move |(_, kind)| wanted(*kind));
        those.map(move |(text, _)| AddedToken::from(*text, special).normalized(false))
    };
    let special: Vec<_> = added(|kind| matches!(kind, CONTROL | UNKNOWN), true).collect();
    let plain: Vec<_> = added(|kind| kind == USER_DEFINED, false).collect();
    tokenizer.add_special_tokens(special)?;
    tokenizer.add_tokens(plain)?;
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;

    use super::*;

    /// llama.cpp's own: a vocabulary, texts, and the ids that its tokenizer of Hugging Face gives them.
    #[test]
    fn vocabularies_of_llama_cpp_give_the_ids_of_their_tokenizers() {
        const VARIABLE: &str = "LLAMA_CPP_MODELS";
        let Some(folder) = std::env::var_os(VARIABLE) else {
            let skipped =
                format!("\nSKIPPED: {VARIABLE} names no folder of llama.cpp's vocabularies\n");
            std::io::stderr().write_all(skipped.as_bytes()).unwrap();
            return;
        };
        for name in ["llama-bpe", "qwen2", "gpt-2", "llama-spm", "phi-3"] {
            let path = Path::new(&folder).join(format!("ggml-vocab-{name}.gguf"));
            let beside = |end: &str| {
                let path = format!("{}{end}", path.display());
                std::fs::read_to_string(path).unwrap()
            };
            let tokenizer = Gguf::open(&path).unwrap().tokenizer().unwrap();
            let (texts, ids) = (beside(".inp"), beside(".out"));
            let texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect();
            let mut compared = 0;
            for (text, ids) in texts.iter().zip(ids.lines()) {
                let ids: Vec<u32> = ids.split_whitespace().map(|id| id.parse().unwrap()).collect();
                let found = tokenizer.encode_fast(*text, false).unwrap();
                assert_eq!(found.get_ids(), ids, "{name}: {text:?}");
                compared += 1;
            }
            assert!(compared > 40, "{name}: {compared} texts");
        }
    }
}
