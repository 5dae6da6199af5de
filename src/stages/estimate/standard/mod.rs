//! The estimates that every iteration gets: how good its answers are, and what its judge is like.
//!
//! Each is a measure over a query, as a user's own: what stands here can be asked again with other words.
//! Rows are counted together by prompt before they leave SQL, so that hundreds of thousands of
//! judgements come as some thousands of rows.

use serde::Serialize;

use super::{Estimate, Measure, Options, tables_of};
use crate::query::Inputs;
use crate::records;
use crate::runner::{Io, Signature, Stage, StageError};
use crate::stages::evaluate::scored_by;

/// Makes several estimates over the same tables.
#[derive(Debug, Clone, Serialize)]
pub struct Standard {
    /// [`Estimate::VERSION`]: numbers that are computed in another way are other numbers.
    estimate_version: u32,
    estimates: Vec<Estimate>,
    /// The tables that the queries name.
    tables: Vec<&'static str>,
}

/// How a model's answers are evaluated.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// The query that scores answers, where there is one.
    pub oracle: Option<String>,
    /// Whether there are verdicts: not where the baseline would play itself.
    pub has_verdicts: bool,
    /// Whether a judge saw the answers in an order: both, or one by a coin.
    pub has_orders: bool,
    /// This model, and the one before it where that has verdicts, too.
    pub models: Option<[String; 2]>,
}

/// A measure over a query, by its name.
macro_rules! asked {
    ($measure:ident, $name:literal) => {
        ($name, Measure::$measure, include_str!(concat!($name, ".sql")).to_owned())
    };
}

/// A name, a measure and its query.
type Asked = (&'static str, Measure, String);

/// The comparisons that a meta-judge decided, with which of both judgements scores higher.
const COMPARED: &str = include_str!("compared.sql");

/// What a prompt takes: texts, and tokens read and drawn for them.
const COSTS: [(&str, &str); 3] = [
    ("calls", "count(*)"),
    ("prompt_tokens", "sum(prompt_tokens)"),
    ("completion_tokens", "sum(completion_tokens)"),
];

/// Asks what a prompt takes in each of some tables.
fn cost_of(tables: &[&str], cost: &str) -> String {
    let of =
        |table: &&str| include_str!("cost.sql").replace("{table}", table).replace("{cost}", cost);
    tables.iter().map(of).collect::<Vec<_>>().join("UNION ALL\n") + "ORDER BY ALL"
}

/// How many texts could be read, and why the others could not.
const STATUS: &str = include_str!("status.sql");

impl Standard {
    /// 1: the first.
    const VERSION: u32 = 1;

    /// How good a model's answers to held-out prompts are. Reads `prompts`, `responses` and, where there
    /// are some, `verdicts` and `previous_verdicts`.
    #[must_use]
    pub fn of_answers(evaluated: &Evaluated, seed: u64) -> Self {
        let Evaluated { oracle, has_verdicts, has_orders, models } = evaluated;
        let mut all = Vec::new();
        if *has_verdicts {
            all.push(asked!(WinRate, "win_rate"));
            all.push(asked!(LengthControlledWinRate, "length_controlled_win_rate"));
        }
        if *has_verdicts && *has_orders {
            all.push(asked!(PositionBias, "position_bias"));
        }
        if let Some([before, after]) = models {
            let (name, measure, sql) = asked!(Difference, "gain");
            all.push((name, measure, sql.replace("{before}", before).replace("{after}", after)));
        }
        if let Some(oracle) = oracle {
            let (name, measure, sql) = asked!(Mean, "oracle_score");
            all.push((name, measure, scored_by(oracle, "responses") + &sql));
        }
        all.push(asked!(Mean, "response_chars"));
        all.push(asked!(Share, "responses_cut"));
        let mut tables = vec!["prompts", "responses"];
        tables.extend(has_verdicts.then_some("verdicts"));
        tables.extend(models.is_some().then_some("previous_verdicts"));
        let standard = Self::new(all, tables, seed);
        match models {
            Some([before, _]) => standard.beside(before),
            None => standard,
        }
    }

    /// Lists what is estimated, by the names of the first numbers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.estimates.iter().map(|estimate| estimate.name.as_str())
    }

    /// How much better the second of two models is than the first, where it played against it. Reads
    /// `verdicts`.
    #[must_use]
    pub fn of_games([first, second]: [&str; 2], seed: u64) -> Self {
        let (name, measure, gain) = asked!(Difference, "gain_of_second");
        let (of_chars, mean, chars) = asked!(Mean, "chars");
        let named = |sql: String| {
            let text = |name: &str| name.replace('\'', "''");
            sql.replace("{first}", &text(first)).replace("{second}", &text(second))
        };
        let all = vec![
            asked!(WinRate, "win_rate"),
            asked!(LengthControlledWinRate, "length_controlled_win_rate"),
            (name, measure, named(gain)),
            (of_chars, mean, named(chars)),
        ];
        Self::new(all, vec!["verdicts"], seed).beside(first)
    }

    /// What a judge makes of the panel. Reads `prompts`, the panel as `responses`, and `judgements`.
    #[must_use]
    pub fn of_panel(oracle: Option<&str>, probes: &[String], seed: u64) -> Self {
        let mut all = Vec::new();
        if let Some(oracle) = oracle {
            let scored = scored_by(oracle, "(SELECT * FROM responses WHERE sample = 0)");
            let both =
                [asked!(Agreement, "judge_agreement"), asked!(Correlation, "judge_correlation")];
            all.extend(both.map(|(name, measure, sql)| (name, measure, format!("{scored}{sql}"))));
        }
        if !probes.is_empty() {
            let text = |name: &String| format!("'{}'", name.replace('\'', "''"));
            let names = probes.iter().map(text).collect::<Vec<_>>().join(", ");
            let (name, measure, sql) = asked!(Mean, "probe_gain");
            all.push((name, measure, sql.replace("{probes}", &names)));
        }
        Self::new(all, vec!["prompts", "responses", "judgements"], seed)
    }

    /// What a judge, and a meta-judge where there is one, did in an iteration. Reads `responses`,
    /// `judgements`, `pairs` and, with a meta-judge, `meta_judgements` and `ratings`.
    #[must_use]
    pub fn of_judging(has_meta_judge: bool, top_score: f64, seed: u64) -> Self {
        let (name, measure, saturation) = asked!(Share, "judge_saturation");
        let status = |name, table| (name, Measure::Share, STATUS.replace("{table}", table));
        let mut all = vec![
            status("judge_status", "judgements"),
            asked!(Mean, "judge_score"),
            (name, measure, saturation.replace("{top_score}", &top_score.to_string())),
            asked!(Share, "judge_score_histogram"),
            asked!(Mean, "judge_score_spread"),
            asked!(Mean, "judge_length_slope"),
        ];
        let mut tables = vec!["responses", "judgements", "pairs"];
        if has_meta_judge {
            let compared = [
                asked!(Share, "meta_judge_first_wins"),
                asked!(Share, "meta_judge_higher_score_wins"),
            ];
            all.push(status("meta_judge_status", "meta_judgements"));
            all.extend(
                compared.map(|(name, measure, sql)| (name, measure, format!("{COMPARED}{sql}"))),
            );
            all.push(asked!(Mean, "omega_first"));
            all.push(asked!(Mean, "rating_standard_error"));
            tables.extend(["meta_judgements", "ratings"]);
        }
        all.push(asked!(Share, "pairs"));
        all.push(asked!(Mean, "pair_chars"));
        let drawn = ["responses", "judgements", "meta_judgements"];
        let drawn = &drawn[..if has_meta_judge { 3 } else { 2 }];
        all.extend(COSTS.map(|(name, cost)| (name, Measure::Mean, cost_of(drawn, cost))));
        Self::new(all, tables, seed)
    }

    /// Says whom differences are taken from.
    fn beside(mut self, baseline: &str) -> Self {
        for estimate in &mut self.estimates {
            if estimate.measure == Measure::Difference {
                estimate.options.baseline = Some(baseline.to_owned());
            }
        }
        self
    }

    fn new(asked: Vec<Asked>, tables: Vec<&'static str>, seed: u64) -> Self {
        let estimate = |(name, measure, sql): Asked| Estimate {
            name: name.to_owned(),
            measure,
            sql,
            resamples: 1000,
            level: 0.95,
            seed,
            options: Options::default(),
        };
        let estimates = asked.into_iter().map(estimate).collect();
        Self { estimate_version: Estimate::VERSION, estimates, tables }
    }
}

impl Stage for Standard {
    fn signature(&self) -> Signature {
        Signature::of("estimate", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let files = io.files("files")?.unwrap_or_default();
        let tables = tables_of(io, &self.tables)?;
        let mut estimates = Vec::new();
        let queries: Vec<&str> = self.estimates.iter().map(|e| e.sql.as_str()).collect();
        let inputs = Inputs::open_each(&queries, &files, &tables, &[])?;
        for (estimate, inputs) in self.estimates.iter().zip(inputs) {
            let found = estimate.estimates(&inputs)?;
            estimates.extend(found.unwrap_or_else(|| vec![nothing(&estimate.name)]));
        }
        io.check_unchanged("files")?;
        warn_of_probes(io, &estimates);
        io.write(estimates.into_iter().map(Ok))
    }
}

/// What is said where a query gives no rows.
fn nothing(name: &str) -> records::Estimate {
    records::Estimate {
        name: name.to_owned(),
        group: "all".to_owned(),
        value: None,
        low: None,
        high: None,
        level: None,
        n: 0,
        method: "none: there are no rows".to_owned(),
        seed: None,
    }
}

/// A judge that scores a probe higher than real answers can be gamed, and says so before an actor learns
/// to.
fn warn_of_probes(io: &Io<'_>, estimates: &[records::Estimate]) {
    for probe in estimates.iter().filter(|estimate| estimate.name == "probe_gain") {
        if let (Some(value), Some(low)) = (probe.value, probe.low)
            && low > 0.0
        {
            let name = &probe.group;
            io.warn(format!(
                "the judge scores the probe `{name}` {value:.2} points above real answers"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_computed_in_another_way_are_made_again() {
        let key = serde_json::json!(Standard::of_games(["m0", "m1"], 0));
        assert_eq!(key["estimate_version"], serde_json::json!(Estimate::VERSION));
    }
}
