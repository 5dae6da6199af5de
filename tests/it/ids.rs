//! What was drawn is what is trained on: the ids themselves, whatever the tokenizer makes of their text.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Device;
use mrx::model::{self, Config, Local, Message, Prompt, Tokenised, weights};
use proptest::prelude::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::model::files;

const EXPERIMENT: &str = r#"
name = "odd"
iterations = 1
seed = 5

[model]
path = "model"

[prompts]
sql = "prompts.sql"

[respond]
samples = 5
max_tokens = 12

[judge]
template = "judge.jinja"
samples = 5
max_tokens = 150

[meta_judge]
template = "meta_judge.jinja"
max_tokens = 150

[train]
epochs = 1
batch = 100000
learning_rate = 1e-4
"#;

/// An answer is trimmed, and one that was not drawn would be put before it: what a template makes of
/// answers must not matter.
const TEMPLATE: &str = "{% for m in messages %}<s>{{ m.role }}: \
    {% if m.role == 'assistant' %}<think>bad</think>{{ m.content | trim }}{% else %}{{ m.content }}{% endif %}</s>\
    {% endfor %}{% if add_generation_prompt %}<s>assistant: {% endif %}";

const SPECIAL: [&str; 3] = ["<unk>", "<s>", "</s>"];

/// The three kinds of tokenizers that there are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Bytes, a space with the word after it.
    ByteLevel,
    /// A space before the first word, whether or not it was there.
    Prepended,
    /// Lower case, and spaces that are not kept.
    Normalised,
}

const KINDS: [Kind; 3] = [Kind::ByteLevel, Kind::Prepended, Kind::Normalised];

/// What is joined to longer pieces, in that order; by any other seed than 0 it is random.
fn joined(seed: u64) -> [[String; 2]; 5] {
    if seed == 0 {
        return [["a", "b"], ["b", "a"], ["ab", "c"], ["d", "e"], ["f", "g"]]
            .map(|p| p.map(String::from));
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut pairs: Vec<[String; 2]> = Vec::new();
    while pairs.len() < 5 {
        let mut letter = || char::from(random.random_range(b'a'..=b'h')).to_string();
        // The third joins the first one to a letter more.
        let left = if pairs.len() == 2 { pairs[0].concat() } else { letter() };
        let pair = [left, letter()];
        if pairs.iter().all(|known| known.concat() != pair.concat()) {
            pairs.push(pair);
        }
    }
    pairs.try_into().unwrap()
}

impl Kind {
    /// Pieces that overlap, so that a text has many ids, of which the tokenizer gives one.
    fn pieces(self, seed: u64) -> Vec<String> {
        let letters = ('a'..='h').map(String::from);
        let joined = joined(seed).map(|[left, right]| left + &right);
        let verdicts = ["0", "1", "2", "3", "4", "5", "A", "B"].map(ToOwned::to_owned);
        let words: Vec<String> = letters.chain(joined).chain(verdicts).collect();
        let with = |mark: &'static str| words.iter().map(move |word| format!("{mark}{word}"));
        let space = |mark: &str| [mark.to_owned(), ":".to_owned()];
        match self {
            Self::ByteLevel => with("").chain(with("Ġ")).chain(space("Ġ")).collect(),
            Self::Prepended => with("").chain(with("▁")).chain(space("▁")).collect(),
            Self::Normalised => with("").chain(with("##")).chain(space("##:")).collect(),
        }
    }

    /// All tokens: special ones, pieces, and whole verdicts, so that a random model gives some.
    fn tokens(self, seed: u64) -> Vec<String> {
        let scores = (0..6).map(|score| format!("Score: {score}\n"));
        let winners = ["A", "B"].map(|letter| format!("Winner: Judgement {letter}\n"));
        let special = SPECIAL.map(ToOwned::to_owned).into_iter();
        special.chain(self.pieces(seed)).chain(scores).chain(winners).collect()
    }

    fn model(self, vocabulary: &BTreeMap<&String, usize>, seed: u64) -> Value {
        let space = match self {
            Self::ByteLevel => "Ġ",
            Self::Prepended => "▁",
            Self::Normalised => {
                return json!({
                    "type": "WordPiece", "vocab": vocabulary, "unk_token": "<unk>",
                    "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                });
            }
        };
        let plain = joined(seed).map(|[left, right]| format!("{left} {right}"));
        let spaced: Vec<String> = ('a'..='h').map(|letter| format!("{space} {letter}")).collect();
        let merges = [&plain[..], &spaced[..]].concat();
        json!({
            "type": "BPE", "vocab": vocabulary, "merges": merges,
            "unk_token": "<unk>", "fuse_unk": false, "byte_fallback": false, "dropout": null,
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "ignore_merges": false,
        })
    }

    fn tokenizer(self, seed: u64) -> Value {
        let tokens = self.tokens(seed);
        let vocabulary: BTreeMap<&String, usize> = tokens.iter().zip(0..).collect();
        let verdicts = tokens.iter().enumerate().skip(tokens.len() - 8);
        let special = tokens.iter().enumerate().take(SPECIAL.len());
        let added: Vec<Value> = special
            .chain(verdicts)
            .map(|(id, content)| {
                json!({
                    "id": id, "content": content, "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": id < SPECIAL.len(),
                })
            })
            .collect();
        let byte_level = json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
        });
        let replace = |from: &str, to: &str| json!({ "type": "Replace", "pattern": { "String": from }, "content": to });
        let (normalizer, splitter, decoder) = match self {
            Self::ByteLevel => (Value::Null, byte_level.clone(), byte_level),
            Self::Prepended => (
                json!({ "type": "Sequence", "normalizers": [
                    { "type": "Prepend", "prepend": "▁" }, replace(" ", "▁"),
                ]}),
                Value::Null,
                json!({ "type": "Sequence", "decoders": [
                    replace("▁", " "), { "type": "Fuse" },
                    { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
                ]}),
            ),
            Self::Normalised => (
                json!({ "type": "Lowercase" }),
                json!({ "type": "BertPreTokenizer" }),
                json!({ "type": "WordPiece", "prefix": "##", "cleanup": true }),
            ),
        };
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": normalizer, "pre_tokenizer": splitter, "post_processor": null,
            "decoder": decoder, "model": self.model(&vocabulary, seed),
        })
    }

    /// Writes a folder with a random model of these tokens.
    pub(crate) fn write(self, folder: &Path, seed: u64) {
        let config = json!({
            "architectures": ["LlamaForCausalLM"], "hidden_size": 16, "intermediate_size": 32,
            "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": self.tokens(seed).len(),
            "max_position_embeddings": 1024, "rms_norm_eps": 1e-5, "tie_word_embeddings": false,
            "initializer_range": 0.05, "eos_token_id": 2,
        });
        let config = Config::of(config.as_object().unwrap().clone()).unwrap();
        let weights = weights::initialise(&config, 11, &Device::Cpu).unwrap();
        model::save(folder, &config, &weights, &BTreeMap::new()).unwrap();
        std::fs::write(folder.join("tokenizer.json"), self.tokenizer(seed).to_string()).unwrap();
        std::fs::write(folder.join("chat_template.jinja"), TEMPLATE).unwrap();
    }

    pub(crate) fn open(self, seed: u64) -> Local {
        let folder = tempfile::tempdir().unwrap();
        self.write(folder.path(), seed);
        Local::open(&files(folder.path()), &Device::Cpu).unwrap()
    }
}

pub(crate) fn lab(kind: Kind, seed: u64) -> Lab {
    let lab = Lab::new();
    lab.write("odd/experiment.toml", EXPERIMENT);
    lab.write("odd/prompts.sql", "SELECT 'abc ' || chr((97 + i % 8)::INTEGER) || ' de' || repeat(' ab', i::INTEGER) AS prompt FROM range(60) t(i)");
    lab.write("odd/judge.jinja", "a {{ prompt }} : {{ response }}");
    lab.write(
        "odd/meta_judge.jinja",
        "{{ prompt }} {{ response }} {{ judgement_a }} : {{ judgement_b }}",
    );
    std::fs::create_dir_all(lab.path.join("odd/model")).unwrap();
    kind.write(&lab.path.join("odd/model"), seed);
    lab
}

/// What the model gave an answer when it drew it, and what the reference gives the side of the pair: the
/// same, but for rounding, only where prompt and ids are the same.
#[test]
fn whatever_the_tokenizer_the_ids_that_were_drawn_are_trained_on() {
    for (kind, seed) in KINDS.into_iter().flat_map(|kind| [0, 1, 2].map(|seed| (kind, seed))) {
        let lab = lab(kind, seed);
        lab.mrx(&["run", "odd"]).success();
        let sides = "WITH drawn AS (
                FROM responses SELECT response_id AS id, completion_ids AS ids, logprob
                UNION ALL FROM judgements SELECT judgement_id, completion_ids, logprob),
             sides AS (
                FROM pairs JOIN reference_logps USING (pair_id)
                SELECT role, coalesce(chosen_judgement_id, chosen_response_id) AS id,
                    chosen_ids AS ids, ref_chosen_logps AS logp, chosen_tokens AS tokens
                UNION ALL FROM pairs JOIN reference_logps USING (pair_id)
                SELECT role, coalesce(rejected_judgement_id, rejected_response_id), rejected_ids,
                    ref_rejected_logps, rejected_tokens) ";
        for role in ["actor", "judge"] {
            let each =
                "SELECT count(*) > 5, bool_and(sides.ids = drawn.ids AND tokens = len(drawn.ids)),
                    max(abs(logp - logprob)) < 1e-3
                 FROM sides JOIN drawn USING (id)";
            let found = lab.ask(&format!("{sides}{each} WHERE role = '{role}'"));
            assert_eq!(found, "true,true,true", "{kind:?} {seed}: {role}");
        }
        // The first step is taken on all pairs at once, before anything has moved.
        let first = "SELECT abs(avg(logp) - (SELECT value FROM metrics WHERE metric = 'logps/chosen' AND step = 1)) < 1e-3
             FROM (FROM pairs JOIN reference_logps USING (pair_id) SELECT ref_chosen_logps AS logp)";
        assert_eq!(lab.ask(first), "true", "{kind:?}");
        let end = "SELECT bool_and((finish_reason = 'stop') = list_contains(completion_ids, 2)),
                count(*) FILTER (finish_reason = 'length') > 20 FROM responses";
        assert_eq!(lab.ask(end), "true,true", "{kind:?}: no end where none was drawn");
        let cut = "SELECT count(*) FROM pairs JOIN responses ON chosen_response_id = response_id
             WHERE kept AND role = 'actor' AND finish_reason = 'length'";
        assert_eq!(lab.ask(cut), "0", "what was cut is not chosen");
        let dropped = "SELECT count(*) > 0 FROM pairs WHERE reason = 'cut'";
        assert_eq!(lab.ask(dropped), "true", "{kind:?}");
        lab.mrx(&["run", "odd", "pair.m0", "--set", "pairs.actor.cut=keep"]).success();
        assert_ne!(lab.ask(cut), "0", "unless it is asked for");
    }
}

/// The ids of any text: those of its whole conversation, or a word that says they cannot be had.
#[test]
fn a_text_is_tokenised_together_with_its_prompt() {
    for kind in KINDS {
        let model = kind.open(0);
        let chat = [Message::user("ab de")];
        let prompt = model.tokens(&Prompt::Messages(chat.to_vec())).unwrap();
        for answer in ["de fg", " de", "ba", "abc\n", ""] {
            let found = model.tokenised(&chat, answer).unwrap();
            assert_eq!(found.prompt, prompt, "{kind:?}");
            assert_eq!(found.target.last(), Some(&2), "an answer ends");
            assert!(!found.apart, "{kind:?}: a space ends the prompt: nothing joins over it");
        }
    }
    // With no space between them, the last letter of the prompt and the first one of the answer are one
    // piece: the prompt would not be what the model is asked with.
    let folder = tempfile::tempdir().unwrap();
    Kind::ByteLevel.write(folder.path(), 0);
    let bare = "{{ messages[0].content }}";
    std::fs::write(folder.path().join("chat_template.jinja"), bare).unwrap();
    let model = Local::open(&files(folder.path()), &Device::Cpu).unwrap();
    let Tokenised { prompt, target, apart } =
        model.tokenised(&[Message::user("da")], "ba").unwrap();
    assert!(apart);
    assert_eq!((prompt.len(), target.len()), (2, 2));
}

/// A Llama-like tokenizer puts a space before what it takes for the first word: on its own, an answer has
/// other ids than in its conversation.
#[test]
fn an_answer_has_the_ids_that_it_has_in_its_conversation() {
    let model = Kind::Prepended.open(0);
    let tokens = Kind::Prepended.tokens(0);
    let Tokenised { target, .. } = model.tokenised(&[Message::user("ab")], "de").unwrap();
    let pieces: Vec<&str> = target.iter().map(|id| tokens[*id as usize].as_str()).collect();
    assert_eq!(pieces, ["de", "</s>"], "not `▁de`");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What was thought is cut off before the first id of the answer, and nothing else is.
    #[test]
    fn the_ids_of_an_answer_are_the_end_of_what_was_drawn(
        thought in prop::collection::vec(3..25_u32, 0..12),
        answer in prop::collection::vec(3..25_u32, 1..12),
        ended: bool,
        seed in 0..20_u64,
    ) {
        let model = Kind::ByteLevel.open(seed);
        let end: &[u32] = if ended { &[2] } else { &[] };
        let drawn = [&thought[..], &answer, end].concat();
        let text = model.text(&answer).unwrap();
        let text = text.trim();
        let found = model.language().ids_of_answer(&drawn, text).unwrap();
        let found = found.expect("the answer is there");
        prop_assert!(drawn.ends_with(found));
        let written = model.text(found).unwrap();
        prop_assert_eq!(written.trim(), text);
    }
}
