//! `estimate`: numbers with intervals, over the rows of any query.
//!
//! A query gives rows, one per game, judgement or comparison, and the prompt that each belongs to: what SQL
//! can do stays in SQL. A [`Measure`] says what is computed from them, for each group apart.

mod games;
mod measure;
mod numbers;
mod raters;
mod rows;
mod standard;

use std::collections::BTreeMap;

use serde::Serialize;

pub use measure::Measure;
use numbers::Numbers;
pub use rows::Options;
use rows::{COLUMNS, Row};
pub use standard::{Evaluated, Standard};

use super::columns::{self, check, find};
use crate::query::{Column, Inputs, InputsError, TableFiles, tables_named};
use crate::records;
use crate::runner::{Io, Signature, Stage, StageError};
use crate::stats::Bootstrap;

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

impl Estimate {
    /// 1: the first. 2: time zones are UTC's, not the machine's; `read_text` says no place and no time.
    pub(super) const VERSION: u32 = 2;

    /// The tables of the loop that a query may name.
    const TABLES: [&'static str; 7] =
        ["prompts", "responses", "judgements", "meta_judgements", "ratings", "pairs", "verdicts"];

    /// Tells which of the loop's tables a query names.
    ///
    /// # Errors
    /// Where it does not parse, or is not one query.
    pub fn tables_in(sql: &str) -> Result<Vec<&'static str>, InputsError> {
        let named = tables_named(sql)?;
        Ok(Self::TABLES.into_iter().filter(|table| named.contains(*table)).collect())
    }
}

/// Why rows cannot be estimated from. Rows are counted from 1, as the query gives them.
#[derive(Debug, thiserror::Error)]
enum BadRows {
    #[error("the query gives no rows")]
    None,
    #[error("column `{column}` is {kind}; expected a number")]
    Kind { column: &'static str, kind: String },
    #[error("row {row} has no `{column}`: it is NULL")]
    Null { row: usize, column: &'static str },
    #[error("row {row}: `{column}` is {found}; expected {expected}")]
    Range { row: usize, column: &'static str, found: f64, expected: &'static str },
}

/// Rows of one group that cannot be estimated from.
#[derive(Debug, thiserror::Error)]
#[error("group `{group}`")]
struct BadGroup {
    group: String,
    source: StageError,
}

impl Stage for Estimate {
    fn signature(&self) -> Signature {
        Signature::of("estimate", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let files = io.files("files")?.unwrap_or_default();
        let tables = tables_of(io, &Self::tables_in(&self.sql)?)?;
        let estimates = self.estimates(&Inputs::open(&self.sql, &files, &tables, &[])?)?;
        io.check_unchanged("files")?;
        let estimates = estimates.ok_or(BadRows::None)?;
        for estimate in estimates.iter().filter(|estimate| estimate.value.is_none()) {
            let records::Estimate { name, group, method, .. } = estimate;
            io.warn(format!("there is no {name} of {group}: {method}"));
        }
        io.write(estimates.into_iter().map(Ok))
    }
}

/// Where the tables are that a query names, each with what was read out of it.
fn tables_of(io: &Io<'_>, tables: &[&'static str]) -> Result<Vec<TableFiles>, StageError> {
    let object = |name: &str| io.object(io.digest(name)?);
    let files = |table: &&'static str| {
        let readings = match *table {
            "judgements" => Some(object("readings")?),
            "meta_judgements" => Some(object("meta_readings")?),
            _ => None,
        };
        Ok(TableFiles { table, rows: object(table)?, readings })
    };
    tables.iter().map(files).collect()
}

/// Whether a type, in DuckDB's spelling, is one of numbers, or of NULL alone.
fn is_number(kind: &str) -> bool {
    const NUMBERS: [&str; 8] =
        ["INT", "TINYINT", "SMALLINT", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL"];
    let kind = kind.strip_prefix('U').unwrap_or(kind);
    NUMBERS.iter().any(|number| kind.starts_with(number))
        && !kind.ends_with(']')
        && kind != "INTERVAL"
        || ["BOOLEAN", "\"NULL\"", "NULL"].contains(&kind)
}

impl Estimate {
    /// Says how the query's columns become those of [`Row`].
    fn selection(&self, inputs: &Inputs) -> Result<String, StageError> {
        let found = inputs.columns()?;
        let Self { measure, .. } = self;
        check(&found, measure.needed(), measure.optional(), measure.rows_are())?;
        let mut select = Vec::with_capacity(COLUMNS.len());
        for (name, kind) in COLUMNS {
            let column = if name == "value" { measure.value_column() } else { name };
            match find(&found, column) {
                Some(Column { kind: found, .. }) if kind == "DOUBLE" && !is_number(found) => {
                    return Err(BadRows::Kind { column, kind: found.clone() }.into());
                }
                _ => select.push(columns::select(&found, column, kind, name)),
            }
        }
        Ok(select.join(", "))
    }

    /// Estimates from the query's rows; `None` where it gives none.
    fn estimates(&self, inputs: &Inputs) -> Result<Option<Vec<records::Estimate>>, StageError> {
        let rows: Vec<Row> = inputs.rows(&self.selection(inputs)?)?;
        if rows.is_empty() {
            return Ok(None);
        }
        self.check(&rows)?;
        let mut groups = BTreeMap::<Option<&str>, Vec<&Row>>::new();
        for row in &rows {
            groups.entry(row.group.as_deref()).or_default().push(row);
        }
        let mut estimates = self.estimate(groups)?;
        self.measure.correct(&mut estimates);
        Ok(Some(estimates))
    }

    /// Checks every row before any is used: what is needed is there, and numbers are in their range.
    fn check(&self, rows: &[Row]) -> Result<(), BadRows> {
        let grouped = rows.iter().any(|row| row.group.is_some());
        for (number, row) in (1..).zip(rows) {
            let missing = self.measure.missing_in(row);
            let missing = missing.or((grouped && row.group.is_none()).then_some("group"));
            if let Some(column) = missing {
                return Err(BadRows::Null { row: number, column });
            }
            self.check_range(number, row)?;
        }
        Ok(())
    }

    fn check_range(&self, number: usize, row: &Row) -> Result<(), BadRows> {
        let check = |column, found: Option<f64>, right: fn(f64) -> bool, expected| {
            let wrong = found.filter(|found| !right(*found));
            let wrong = wrong.map(|found| BadRows::Range { row: number, column, found, expected });
            wrong.map_or(Ok(()), Err)
        };
        // Squares, and sums of many, have to stay numbers too.
        let plain: fn(f64) -> bool = |x| x.abs() <= 1e100;
        let (column, any) = (self.measure.value_column(), "a number within ±1e100");
        if self.measure.is_of_shares() {
            let share = |x: f64| (0.0..=1.0).contains(&x);
            check(column, row.value, share, "a number from 0 to 1")?;
        }
        let weight = |x: f64| x == 0.0 || (1e-12..=1e12).contains(&x);
        check("weight", row.weight, weight, "0, or a number from 1e-12 to 1e12")?;
        for (column, found) in [
            (column, row.value),
            ("x", row.x),
            ("y", row.y),
            ("response_chars", row.response_chars),
            ("baseline_chars", row.baseline_chars),
            ("difficulty", row.difficulty),
            ("gamed_length", row.gamed_length),
        ] {
            check(column, found, plain, any)?;
        }
        Ok(())
    }

    fn estimate(
        &self,
        groups: BTreeMap<Option<&str>, Vec<&Row>>,
    ) -> Result<Vec<records::Estimate>, StageError> {
        let bootstrap = Bootstrap { resamples: self.resamples, seed: self.seed, level: self.level };
        let mut estimates = Vec::new();
        for (group, rows) in groups {
            let mut numbers = Numbers::new(&self.name, group.map(ToOwned::to_owned), bootstrap);
            let found = self.measure.of(&rows, &self.options, &mut numbers);
            found.map_err(|source| match group {
                Some(group) => BadGroup { group: group.to_owned(), source }.into(),
                None => source,
            })?;
            estimates.extend(numbers.into_estimates());
        }
        Ok(estimates)
    }
}
