//! Judgement-like rows: English-like texts in ever new orders, which zstd shrinks three to four
//! times, as it does what a judge says.

use mrx::records::{FinishReason, Id, Judgement};
use mrx::store::Digest;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The commonest first.
const WORDS: &str = "\
    the of and a to in is that it as was for with on be by this are or an response answer \
    question user score point points because which not but does could would more than clear \
    relevant helpful accurate complete first second third step example reader paragraph sentence \
    claim evidence reason assistant perspective expert knowledge insight quality tone style \
    structure detail context request instruction topic summary list table code number figure \
    result value error mistake omission gap assumption conclusion argument definition comparison \
    alternative constraint history source citation fact opinion advice risk benefit cost price \
    time place person reaches misses covers explains repeats contradicts supports illustrates \
    mentions ignores clarifies addresses resolves confuses improves simplifies overstates follows \
    organises presents describes suggests recommends compares calculates derives translates \
    rewrites quotes concludes opens ends brief long short verbose concise precise vague correct \
    wrong partial thorough superficial practical theoretical technical simple complex original \
    generic specific engaging polite formal casual awkward fluent logical circular sound weak \
    strong convincing useful useless basic central minor major obvious hidden early late almost \
    entirely mostly partly rarely often always never clearly barely fairly however therefore \
    moreover although while since whereas instead otherwise finally overall indeed perhaps still \
    yet also only even just rather quite very too enough between within without under over after \
    before during through against across about beyond toward water energy market garden river \
    engine school doctor patient lawyer contract climate planet orbit cell protein gene vaccine \
    recipe flour butter oven guitar melody painter novel chapter verse empire treaty election \
    senate currency interest mortgage budget tax salary invoice server database query thread \
    kernel compiler function variable array matrix vector integral derivative theorem proof lemma \
    triangle circle fraction percentage average median sample variance hypothesis experiment";

/// Rows without end, the same for the same seed, each with the score that its text gives.
pub(crate) struct Rows {
    random: ChaCha8Rng,
    words: Vec<&'static str>,
    text_bytes: usize,
    seed: u64,
    next: u64,
}

impl Rows {
    /// Starts rows whose texts have `text_bytes` bytes on average.
    pub(crate) fn new(seed: u64, text_bytes: usize) -> Self {
        let random = ChaCha8Rng::seed_from_u64(seed);
        Self { random, words: WORDS.split(' ').collect(), text_bytes, seed, next: 0 }
    }

    /// Draws by rank, as words fall in a language: the first of `WORDS` most often.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "there are few words"
    )]
    fn word(&mut self) -> &'static str {
        let rank = self.random.random::<f64>().powi(2) * self.words.len() as f64;
        self.words[rank as usize]
    }

    fn text(&mut self, verdict: &str) -> String {
        let wanted = self.random.random_range(self.text_bytes / 2..=self.text_bytes * 3 / 2);
        let mut text = String::with_capacity(wanted + 64);
        while text.len() + verdict.len() < wanted {
            text.push_str(self.word());
            text.push_str(if self.random.random_bool(0.08) { ". " } else { " " });
        }
        text.push_str(verdict);
        text
    }

    fn id<I: Id>(&self, number: u64) -> I {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.seed.to_le_bytes());
        bytes[8..].copy_from_slice(&number.to_le_bytes());
        I::from_text(format!("{}_{}", I::LETTER, &Digest::of(&bytes).to_hex()[..40]))
    }
}

impl Iterator for Rows {
    type Item = (Judgement, Option<f64>);

    /// Eleven judgements a response and seven responses a prompt, as in Meta-Rewarding.
    fn next(&mut self) -> Option<Self::Item> {
        let (number, score) = (self.next, self.random.random_range(0..=5_u8));
        self.next += 1;
        let cut = self.random.random_bool(0.02);
        let verdict = if cut { String::new() } else { format!("Score: {score}") };
        let text = self.text(&verdict);
        let judgement = Judgement {
            judgement_id: self.id(number),
            prompt_id: self.id(number / 77),
            response_id: self.id(number / 11),
            sample: i32::try_from(number % 11).unwrap_or_default(),
            seed: self.random.random(),
            text_digest: Digest::of(text.as_bytes()).to_hex(),
            prompt_tokens: self.random.random_range(400..1200),
            completion_tokens: i32::try_from(text.len() / 4).unwrap_or(i32::MAX),
            finish_reason: if cut { FinishReason::Length } else { FinishReason::Stop },
            logprob: Some(-self.random.random::<f64>() * 100.0),
            refusal: None,
            thinking: None,
            completion_ids: None,
            weighed: None,
            text,
        };
        Some((judgement, (!cut).then(|| f64::from(score))))
    }
}
