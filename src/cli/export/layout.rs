//! How benchmarks lay out answers and verdicts: which file holds which rows.

use std::path::PathBuf;

use crate::cli::outputs::file_name;
use crate::query::{Format, quote};

/// A benchmark whose files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    AlpacaEval,
    ArenaHard,
    MtBench,
}

/// What is written of a model, or of all.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'m> {
    Questions,
    /// The answers of a model, as `m1`.
    Answers(&'m str),
    /// Those of the baseline, which may be no model.
    BaselineAnswers,
    /// The games of a model.
    Verdicts(&'m str),
    /// The games of all.
    AllVerdicts,
    /// What a model makes of the panel.
    Grades(&'m str),
}

/// What the names of files are made of.
pub(super) struct Names<'n> {
    pub(super) experiment: &'n str,
    /// The baseline and the judge, where there were games.
    pub(super) baseline: Option<&'n str>,
    pub(super) judge: Option<&'n str>,
    /// Whether the judge tells five levels apart.
    pub(super) by_levels: bool,
}

/// A file of rows.
pub(super) struct Rows {
    pub(super) name: PathBuf,
    /// The query, after what all stand on.
    pub(super) query: &'static str,
    /// What is put into it.
    pub(super) values: Vec<(&'static str, String)>,
    /// `None` where each row is a line already.
    pub(super) format: Option<Format>,
}

/// Who wins by how much, as five levels and as three.
const LEVELS: [&str; 2] = [
    "CASE WHEN first_wins > 0.5 THEN 'A>B' WHEN first_wins = 0.5 THEN 'A=B' WHEN first_wins < 0.5 THEN 'B>A' END",
    "CASE WHEN first_wins >= 0.875 THEN 'A>>B' WHEN first_wins >= 0.625 THEN 'A>B' \
     WHEN first_wins > 0.375 THEN 'A=B' WHEN first_wins > 0.125 THEN 'B>A' WHEN first_wins >= 0 THEN 'B>>A' END",
];

impl Layout {
    /// The file of a part; `None` where the benchmark has none.
    pub(super) fn file(self, part: Part<'_>, names: &Names<'_>) -> Option<Rows> {
        let Names { experiment, baseline, judge, by_levels } = names;
        let full = |model: &str| file_name(&format!("{experiment}-{model}"));
        let of = |table: &str, model: &str| {
            format!("(SELECT * FROM {table} WHERE model = {})", quote(model))
        };
        let (place, source) = match part {
            Part::Questions => (String::new(), String::new()),
            Part::Answers(model) => (full(model), of("own", model)),
            Part::BaselineAnswers => (file_name((*baseline)?), "theirs".to_owned()),
            Part::Verdicts(model) => (full(model), of("played", model)),
            Part::AllVerdicts => (String::new(), "played".to_owned()),
            Part::Grades(model) => (full(model), format!("j.model = {}", quote(model))),
        };
        let (name, query, format) = match self {
            Self::AlpacaEval => alpaca_eval(part, &place, *judge)?,
            Self::ArenaHard => arena_hard(part, &place, *judge)?,
            Self::MtBench => mt_bench(part, &place, *judge)?,
        };
        let level = LEVELS[usize::from(*by_levels)].to_owned();
        let sources = ["answers", "games", "graded"].map(|name| (name, source.clone()));
        let values = sources.into_iter().chain([("level", level)]).collect();
        Some(Rows { name: name.into(), query, values, format })
    }
}

type Found = Option<(String, &'static str, Option<Format>)>;

fn alpaca_eval(part: Part<'_>, place: &str, judge: Option<&str>) -> Found {
    let json = Some(Format::Json);
    match part {
        Part::Answers(_) | Part::BaselineAnswers => Some((
            format!("{place}/model_outputs.json"),
            include_str!("sql/alpaca_outputs.sql"),
            json,
        )),
        Part::Verdicts(_) => Some((
            format!("{place}/{}/annotations.json", file_name(judge?)),
            include_str!("sql/alpaca_annotations.sql"),
            json,
        )),
        _ => None,
    }
}

fn arena_hard(part: Part<'_>, place: &str, judge: Option<&str>) -> Found {
    let jsonl = Some(Format::Jsonl);
    match part {
        Part::Questions => {
            Some(("question.jsonl".to_owned(), include_str!("sql/arena_questions.sql"), jsonl))
        }
        Part::Answers(_) | Part::BaselineAnswers => Some((
            format!("model_answer/{place}.jsonl"),
            include_str!("sql/arena_answers.sql"),
            None,
        )),
        Part::Verdicts(_) => Some((
            format!("model_judgment/{}/{place}.jsonl", file_name(judge?)),
            include_str!("sql/arena_judgements.sql"),
            jsonl,
        )),
        _ => None,
    }
}

fn mt_bench(part: Part<'_>, place: &str, judge: Option<&str>) -> Found {
    let (name, query) = match part {
        Part::Questions => {
            ("question.jsonl".to_owned(), include_str!("sql/mt_bench_questions.sql"))
        }
        Part::Answers(_) | Part::BaselineAnswers => {
            (format!("model_answer/{place}.jsonl"), include_str!("sql/mt_bench_answers.sql"))
        }
        Part::AllVerdicts => (
            format!("model_judgment/{}_pair.jsonl", file_name(judge?)),
            include_str!("sql/mt_bench_pairs.sql"),
        ),
        Part::Grades(_) => (
            format!("model_judgment/{place}_single.jsonl"),
            include_str!("sql/mt_bench_grades.sql"),
        ),
        Part::Verdicts(_) => return None,
    };
    Some((name, query, Some(Format::Jsonl)))
}

impl Layout {
    /// Its name on the command line.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AlpacaEval => "alpaca-eval",
            Self::ArenaHard => "arena-hard",
            Self::MtBench => "mt-bench",
        }
    }

    /// What is said of verdicts that could not be read.
    pub(super) const fn unreadable(self) -> &'static str {
        match self {
            Self::AlpacaEval => {
                "verdicts could not be read: their preference is null, and AlpacaEval leaves them out"
            }
            Self::ArenaHard => {
                "verdicts could not be read: their score is null, and Arena-Hard leaves out their questions"
            }
            Self::MtBench => {
                "verdicts could not be read: their winner is `error`, and FastChat leaves out both games"
            }
        }
    }
}
