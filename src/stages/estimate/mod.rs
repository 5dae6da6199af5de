//! `estimate`: numbers with intervals, over the rows of any query.
//!
//! A query gives rows, one per game, judgement or comparison, and the prompt that each belongs to: what SQL
//! can do stays in SQL. A [`Measure`] says what is computed from them, for each group apart.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

mod games;
mod measure;
mod numbers;
mod raters;

pub use measure::Measure;
use numbers::Numbers;

use super::columns::{Known, check};
use crate::query::{Inputs, TableFiles};
use crate::records;
use crate::runner::{Io, Signature, Stage, StageError};
use crate::stats::{Bootstrap, Clusters};

/// Estimates one measure.
#[derive(Debug, Clone, Serialize)]
pub struct Estimate {
    /// What its rows are called: the first number by this name, the rest by `name/part`.
    pub name: String,
    /// Which measure.
    pub measure: Measure,
    /// The query; see [`Inputs`] for what it may do.
    pub sql: String,
    /// Bootstrap resamples.
    pub resamples: usize,
    /// Nominal coverage of the intervals, in `(0, 1)`.
    pub level: f64,
    /// What resampling starts from.
    pub seed: u64,
    /// What the measure may want to know besides.
    pub options: Options,
}

/// Settings that only some measures have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Options {
    /// Who is compared with: a player of a tournament, or the first of two models.
    pub baseline: Option<String>,
    /// λ of a tournament's Gaussian prior, at least 0.
    pub prior: f64,
    /// Whether a tournament has an effect of order.
    pub order_effect: bool,
    /// C of length control's L1 penalty, above 0.
    pub inverse_penalty: Option<f64>,
    /// The category that stands for a tie.
    pub tie: Option<String>,
}

impl Estimate {
    /// 1: the first.
    const VERSION: u32 = 1;

    /// The tables of the loop that a query may name, and the tables that each takes.
    pub const TABLES: [(&'static str, &'static [&'static str]); 6] = [
        ("prompts", &["prompts"]),
        ("responses", &["responses"]),
        ("judgements", &["judgements", "readings"]),
        ("meta_judgements", &["meta_judgements", "meta_readings"]),
        ("ratings", &["ratings"]),
        ("pairs", &["pairs"]),
    ];

    /// Tells which of the loop's tables a query names.
    #[must_use]
    pub fn tables_in(sql: &str) -> Vec<&'static str> {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let words: BTreeSet<String> = sql.split(|c| !is_name(c)).map(str::to_lowercase).collect();
        let tables = Self::TABLES.into_iter().map(|(table, _)| table);
        tables.filter(|table| words.contains(*table)).collect()
    }
}

/// A row as the query gives it; each measure has its own columns among these.
#[derive(Debug, Clone, Deserialize)]
struct Row {
    group: Option<String>,
    prompt: Option<String>,
    model: Option<String>,
    item: Option<String>,
    order: Option<String>,
    first: Option<String>,
    second: Option<String>,
    value: Option<f64>,
    weight: Option<f64>,
    x: Option<f64>,
    y: Option<f64>,
    response_chars: Option<f64>,
    baseline_chars: Option<f64>,
    difficulty: Option<f64>,
    gamed_length: Option<f64>,
}

impl Row {
    /// Text that was checked to be there.
    fn text(text: Option<&String>) -> String {
        text.cloned().unwrap_or_default()
    }

    fn clusters(rows: &[&Self]) -> Clusters {
        Clusters::of(rows.iter().map(|row| row.prompt.as_deref()))
    }

    fn weights(rows: &[&Self]) -> Vec<f64> {
        rows.iter().map(|row| row.weight.unwrap_or(1.0)).collect()
    }
}

/// Every column of [`Row`], with its type; `preference` and `outcome` are other names of `value`.
const COLUMNS: [(&str, &str); 15] = [
    ("group", "VARCHAR"),
    ("prompt", "VARCHAR"),
    ("model", "VARCHAR"),
    ("item", "VARCHAR"),
    ("order", "VARCHAR"),
    ("first", "VARCHAR"),
    ("second", "VARCHAR"),
    ("value", "DOUBLE"),
    ("weight", "DOUBLE"),
    ("x", "DOUBLE"),
    ("y", "DOUBLE"),
    ("response_chars", "DOUBLE"),
    ("baseline_chars", "DOUBLE"),
    ("difficulty", "DOUBLE"),
    ("gamed_length", "DOUBLE"),
];

/// Why rows cannot be estimated from. Rows are counted from 1, as the query gives them.
#[derive(Debug, thiserror::Error)]
enum BadRows {
    #[error("the query gives no rows")]
    None,
    #[error("row {row} has no `{column}`: it is NULL")]
    Null { row: usize, column: &'static str },
    #[error("row {row}: `{column}` is {found}; expected {expected}")]
    Range { row: usize, column: &'static str, found: f64, expected: &'static str },
}

impl Stage for Estimate {
    fn signature(&self) -> Signature {
        Signature::of("estimate", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let files = io.files("files")?.unwrap_or_default();
        let mut tables = Vec::new();
        for table in Self::tables_in(&self.sql) {
            let object = |name: &str| io.object(io.digest(name)?);
            let readings = match table {
                "judgements" => Some(object("readings")?),
                "meta_judgements" => Some(object("meta_readings")?),
                _ => None,
            };
            tables.push(TableFiles { table, rows: object(table)?, readings });
        }
        let inputs = Inputs::open(&self.sql, &files, &tables)?;
        let rows: Vec<Row> = inputs.rows(&self.selection(&inputs)?)?;
        io.check_unchanged("files")?;
        self.check(&rows)?;
        let mut groups = BTreeMap::<&str, Vec<&Row>>::new();
        for row in &rows {
            groups.entry(row.group.as_deref().unwrap_or("all")).or_default().push(row);
        }
        let mut estimates = self.estimate(groups)?;
        self.measure.correct(&mut estimates);
        for estimate in estimates.iter().filter(|estimate| estimate.value.is_none()) {
            let records::Estimate { name, group, method, .. } = estimate;
            io.warn(format!("there is no {name} of {group}: {method}"));
        }
        io.write(estimates.into_iter().map(Ok))
    }
}

impl Estimate {
    /// Says how the query's columns become those of [`Row`].
    fn selection(&self, inputs: &Inputs) -> Result<String, StageError> {
        let found = inputs.columns()?;
        let known = self.measure.columns().iter();
        let known: Vec<Known> =
            known.map(|(name, needed)| Known { name, kind: "", needed: *needed }).collect();
        check(&found, &known, self.measure.rows_are())?;
        let select = COLUMNS.iter().map(|(column, kind)| {
            let name = if *column == "value" { self.measure.value_column() } else { column };
            if found.iter().any(|found| found.name == name) {
                format!("\"{name}\"::{kind} AS \"{column}\"")
            } else {
                format!("NULL::{kind} AS \"{column}\"")
            }
        });
        Ok(select.collect::<Vec<_>>().join(", "))
    }

    /// Checks every row before any is used: what is needed is there, and numbers are in their range.
    fn check(&self, rows: &[Row]) -> Result<(), BadRows> {
        if rows.is_empty() {
            return Err(BadRows::None);
        }
        for (number, row) in (1..).zip(rows) {
            if let Some(column) = self.measure.missing_in(row) {
                return Err(BadRows::Null { row: number, column });
            }
            let out = |column, found: Option<f64>, right: fn(f64) -> bool, expected| {
                let wrong = found.filter(|found| !right(*found));
                let wrong =
                    wrong.map(|found| BadRows::Range { row: number, column, found, expected });
                wrong.map_or(Ok(()), Err)
            };
            let share = |x: f64| (0.0..=1.0).contains(&x);
            let column = self.measure.value_column();
            if self.measure.is_of_shares() {
                out(column, row.value, share, "a number from 0 to 1")?;
            }
            out(column, row.value, f64::is_finite, "a finite number")?;
            out("weight", row.weight, |x| x >= 0.0 && x.is_finite(), "a number of at least 0")?;
            for (column, found) in [
                ("x", row.x),
                ("y", row.y),
                ("response_chars", row.response_chars),
                ("baseline_chars", row.baseline_chars),
                ("difficulty", row.difficulty),
                ("gamed_length", row.gamed_length),
            ] {
                out(column, found, f64::is_finite, "a finite number")?;
            }
        }
        Ok(())
    }

    fn estimate(
        &self,
        groups: BTreeMap<&str, Vec<&Row>>,
    ) -> Result<Vec<records::Estimate>, StageError> {
        let bootstrap = Bootstrap { resamples: self.resamples, seed: self.seed, level: self.level };
        let mut estimates = Vec::new();
        for (group, rows) in groups {
            let mut numbers = Numbers::new(&self.name, group.to_owned(), bootstrap);
            self.measure.of(&rows, &self.options, &mut numbers)?;
            estimates.extend(numbers.into_estimates());
        }
        Ok(estimates)
    }
}
