//! What a person wants to know of texts while they are drawn, and whether most of them go wrong. None of it is
//! kept, and none of it decides anything.

use std::collections::BTreeMap;

use super::rubric::ReadVerdict;
use crate::records::{Drawn, FinishReason, Status};
use crate::runner::{Fault, Figure, Measure};
use crate::stats::wilson;

/// Texts that tell nothing yet.
const LEAST: f64 = 24.0;

/// What the texts of a stage came to so far, in this attempt.
#[derive(Default)]
pub(super) struct Live {
    texts: f64,
    tokens: f64,
    refused: f64,
    cut: f64,
    empty: f64,
    unread: f64,
    /// Those that could not be read, by what stands in the way.
    by_status: BTreeMap<Status, f64>,
    sum: f64,
    /// What was read of the last one.
    last: Option<f64>,
    /// The last that went wrong, shortened, until that is told.
    example: String,
    told: bool,
}

/// What a model was asked so far, in the order of the rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Conversations. The texts that answer one are much alike.
    pub(super) units: usize,
    /// Texts, of which some are still under way.
    pub(super) texts: usize,
}

impl Live {
    /// Takes an answer, which only has a length.
    pub(super) fn answer(&mut self, drawn: &Drawn) {
        self.count(drawn);
        let is_empty = drawn.finish_reason == FinishReason::Stop && drawn.text.trim().is_empty();
        self.empty += f64::from(u8::from(is_empty));
        if is_empty || drawn.finish_reason == FinishReason::Length {
            self.keep(&drawn.text);
        }
    }

    /// Takes a text, and what the stage's rule reads in it.
    pub(super) fn read(&mut self, drawn: &Drawn, verdict: ReadVerdict) {
        self.count(drawn);
        self.last = verdict.value;
        match verdict.value {
            Some(value) => self.sum += value,
            None if drawn.finish_reason == FinishReason::Refused => {}
            None => {
                self.unread += 1.0;
                *self.by_status.entry(verdict.status).or_default() += 1.0;
                self.keep(&drawn.text);
            }
        }
    }

    fn count(&mut self, drawn: &Drawn) {
        self.texts += 1.0;
        self.tokens += f64::from(drawn.completion_tokens);
        self.cut += f64::from(u8::from(drawn.finish_reason == FinishReason::Length));
        self.refused += f64::from(u8::from(drawn.finish_reason == FinishReason::Refused));
    }

    fn keep(&mut self, text: &str) {
        if !self.told {
            self.example = shortened(text);
        }
    }

    /// How long answers are, and how many are cut, empty or refused.
    pub(super) fn lengths(&self) -> Vec<Figure> {
        let each = Figure::level("tokens each", self.tokens / self.texts.max(1.0)).lately(None);
        let mut figures = vec![self.tokens(), each, self.share("cut", self.cut)];
        if self.empty > 0.0 {
            figures.push(self.share("empty", self.empty));
        }
        figures.extend(self.refusals());
        figures
    }

    /// The mean score, and how many have none.
    pub(super) fn scores(&self) -> Vec<Figure> {
        let score = self.mean().map(|mean| Figure::level("score", mean).lately(self.last));
        self.verdicts(score)
    }

    /// How often the first wins, and how many name no winner.
    pub(super) fn winners(&self) -> Vec<Figure> {
        let wins = |winner: f64| f64::midpoint(winner, 1.0);
        let first = |mean| Figure::of("first wins", Measure::Share, wins(mean));
        self.verdicts(self.mean().map(|mean| first(mean).lately(self.last.map(wins))))
    }

    fn verdicts(&self, first: Option<Figure>) -> Vec<Figure> {
        let others = [self.share("unreadable", self.unread), self.tokens()];
        let mut figures = Vec::with_capacity(4);
        figures.extend(first.into_iter().chain(others).chain(self.refusals()));
        figures
    }

    /// Of what could be read.
    fn mean(&self) -> Option<f64> {
        let read = self.texts - self.refused - self.unread;
        (read > 0.0).then(|| self.sum / read)
    }

    fn tokens(&self) -> Figure {
        Figure::of("tokens", Measure::Total, self.tokens)
    }

    fn refusals(&self) -> Option<Figure> {
        (self.refused > 0.0).then(|| self.share("refused", self.refused))
    }

    fn share(&self, name: &'static str, of: f64) -> Figure {
        Figure::of(name, Measure::Share, of / self.texts.max(1.0))
    }

    /// Says once that most texts go wrong, as soon as that is plain: how, how many, and the last of them.
    pub(super) fn fault(&mut self, rows: &str, asked: Asked) -> Option<(Fault, String)> {
        let taken = self.texts - self.refused;
        let (fault, bad) = self.worst();
        let is_enough = !self.told && taken >= LEAST && 2.0 * bad > taken;
        if !is_enough || !is_plain(bad, self.refused, asked) {
            return None;
        }
        self.told = true;
        let what = match fault {
            _ if self.unread > 0.0 => format!("cannot be read ({})", self.statuses()),
            Fault::Empty => "are empty".to_owned(),
            _ => "are cut at the token limit".to_owned(),
        };
        let (rows, example) = (rows.replace('_', "-"), std::mem::take(&mut self.example));
        let text = format!("{bad} of {taken} {rows} so far {what}, the last of them {example:?}");
        Some((fault, text))
    }

    /// What goes wrong most, and with how many texts.
    fn worst(&self) -> (Fault, f64) {
        let Self { unread, empty, cut, .. } = *self;
        let cut_verdicts = self.by_status.get(&Status::Truncated).copied().unwrap_or_default();
        if unread > 0.0 {
            let cut = cut_verdicts > unread / 2.0;
            return (if cut { Fault::Truncated } else { Fault::Unreadable }, unread);
        }
        if empty > cut { (Fault::Empty, empty) } else { (Fault::Truncated, cut) }
    }

    /// `30 missing, 2 truncated`: as the readings will say.
    fn statuses(&self) -> String {
        let said = self.by_status.iter().map(|(status, n)| format!("{n} {}", status.as_str()));
        said.collect::<Vec<_>>().join(", ")
    }
}

/// Whether it is plain that more than half of all texts are bad. Short texts come first, and are bad more often than
/// others, so all that are still under way count as good ones.
#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
fn is_plain(bad: f64, refused: f64, Asked { units, texts }: Asked) -> bool {
    const LEVEL: f64 = 0.99;
    let share = bad / (texts as f64 - refused).max(bad);
    wilson(share, units as f64, LEVEL).low > 0.5
}

/// The beginning of a text and its end, where verdicts stand, on one line.
fn shortened(text: &str) -> String {
    const EACH: usize = 40;
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let count = text.chars().count();
    if count <= 2 * EACH {
        return words(text);
    }
    let head: String = text.chars().take(EACH).collect();
    let tail: String = text.chars().skip(count - EACH).collect();
    // A word that is cut says nothing.
    let head = head.rsplit_once(char::is_whitespace).map_or(&*head, |(whole, _)| whole);
    let tail = tail.split_once(char::is_whitespace).map_or(&*tail, |(_, whole)| whole);
    format!("{} … {}", words(head), words(tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str, finish_reason: FinishReason) -> Drawn {
        Drawn {
            seed: 0,
            text: text.to_owned(),
            thinking: None,
            text_digest: String::new(),
            completion_ids: None,
            prompt_tokens: 1,
            completion_tokens: 10,
            finish_reason,
            logprob: None,
            refusal: None,
            weighed: None,
        }
    }

    type Told = Vec<(Fault, String)>;

    /// What judgements come to, each of another answer, while so many more are under way.
    fn judged(texts: impl IntoIterator<Item = &'static str>, under_way: usize) -> (Live, Told) {
        let rule = crate::stages::Rule::from(crate::stages::BuiltIn::Score);
        let (mut live, mut told) = (Live::default(), Vec::new());
        for (before, text) in texts.into_iter().enumerate() {
            let cut = if text.ends_with('…') { FinishReason::Length } else { FinishReason::Stop };
            let drawn = drawn(text, cut);
            live.read(&drawn, rule.read(&drawn.text, cut));
            let asked = Asked { units: before + 1, texts: before + 1 + under_way };
            told.extend(live.fault("judgements", asked));
        }
        (live, told)
    }

    fn said(figures: &[Figure]) -> String {
        figures.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn most_judgements_that_cannot_be_read_are_told_of_once_and_soon() {
        let (live, told) = judged(["Splendid.\u{1b}[2J"; 192], 0);
        let text = r#"24 of 24 judgements so far cannot be read (24 missing), the last of them "Splendid.\u{1b}[2J""#;
        assert_eq!(told, [(Fault::Unreadable, text.to_owned())]);
        assert_eq!(said(&live.scores()), "unreadable 100.0 %, tokens 1920");
    }

    #[test]
    fn some_that_cannot_be_read_are_a_figure_and_no_warning() {
        let texts = ["Score: 4", "none", "Score: 3", "Score: 2"];
        let (live, told) = judged(texts.into_iter().cycle().take(400), 0);
        assert_eq!(told, []);
        assert_eq!(said(&live.scores()), "score 3.00, unreadable 25.0 %, tokens 4000");
        let half = ["Score: 4", "none"].into_iter().cycle().take(4000);
        assert_eq!(judged(half, 0).1, [], "half is not most");
    }

    #[test]
    fn texts_under_way_may_all_be_good_ones_for_short_ones_come_first() {
        assert_eq!(judged(["none"; 100], 400).1, []);
        let (_, told) = judged(["none"; 600], 200);
        assert!(told[0].1.starts_with("274 of 274 judgements"), "{}", told[0].1);
    }

    #[test]
    fn texts_of_a_few_answers_tell_little_however_many_they_are() {
        let mut live = Live::default();
        for n in 1..=600_usize {
            live.read(
                &drawn("none", FinishReason::Stop),
                ReadVerdict { value: None, status: Status::Missing },
            );
            assert_eq!(live.fault("judgements", Asked { units: n.div_ceil(100), texts: n }), None);
        }
    }

    #[test]
    fn judgements_that_the_token_limit_cuts_are_another_fault() {
        let (_, told) = judged(["It is a good answer, for…"; 24], 0);
        assert_eq!(told[0].0, Fault::Truncated);
        assert!(told[0].1.starts_with("24 of 24 judgements so far cannot be read (24 truncated)"));
    }

    #[test]
    fn answers_that_are_empty_or_cut_are_told_of_and_refusals_are_not() {
        let told = |text: &str, finish| {
            let mut live = Live::default();
            let mut told = Vec::new();
            for n in 1..=30 {
                live.answer(&drawn(text, finish));
                told.extend(live.fault("responses", Asked { units: n, texts: n }));
            }
            (told, said(&live.lengths()))
        };
        let (empty, figures) = told(" \n", FinishReason::Stop);
        let text = r#"24 of 24 responses so far are empty, the last of them """#;
        assert_eq!(empty, [(Fault::Empty, text.to_owned())]);
        assert_eq!(figures, "tokens 300, tokens each 10.0, cut 0.0 %, empty 100.0 %");
        let (cut, _) = told(&"so ".repeat(100), FinishReason::Length);
        let so = ["so"; 13].join(" ");
        let text = format!(
            "24 of 24 responses so far are cut at the token limit, the last of them \"{so} … {so}\""
        );
        assert_eq!(cut, [(Fault::Truncated, text)]);
        let (refused, figures) = told("", FinishReason::Refused);
        assert_eq!(refused, []);
        assert_eq!(figures, "tokens 300, tokens each 10.0, cut 0.0 %, refused 100.0 %");
    }
}
