//! A comparison as a person, a pull request or a program reads it.

use std::fmt::Write as _;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cli::failure::Failure;
use crate::cli::tables::print_rows;
use crate::cli::ui::{Ui, seconds, thousands};
use crate::query::Format;
use crate::records::Id as _;
use crate::study::{ChangedSetting, Compared, Comparison, Flipped};

/// Prompts whose ids are named where their texts are not asked for.
const NAMED: usize = 8;

/// Settings that are listed.
const LISTED: usize = 30;

pub(super) fn print(
    comparison: &Comparison,
    rows: Option<usize>,
    format: Format,
    ui: &Ui,
) -> Result<(), Failure> {
    match format {
        Format::Json => ui.print(&serde_json::to_string_pretty(comparison)?),
        Format::Csv => print_rows(ui, format, &comparison.lines),
        _ => Text { comparison, format, ui }.print(rows),
    }
}

struct Text<'a> {
    comparison: &'a Comparison,
    format: Format,
    ui: &'a Ui,
}

/// A number of both models, as it is printed.
#[derive(Serialize, Deserialize)]
struct Both {
    number: String,
    first: Option<String>,
    second: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Changed {
    node: String,
    what: String,
}

#[derive(Serialize, Deserialize)]
struct Shown {
    prompt: String,
    reference: Option<String>,
    first: String,
    second: String,
    better: String,
}

impl Text<'_> {
    fn print(&self, rows: Option<usize>) -> Result<(), Failure> {
        let [first, second] = &self.comparison.names;
        self.heading(&format!("{second} against {first}"))?;
        self.games()?;
        self.flipped(rows)?;
        for (part, title) in [("answers", "Answers"), ("judge", "Judge"), ("cost", "Cost")] {
            let lines = self.comparison.lines.iter().filter(|line| line.part == part);
            let both: Vec<Both> = lines.map(both).collect();
            self.section(&format!("{title}, first {first} and second {second}"), &both)?;
        }
        let settings = &self.comparison.settings;
        let change = |setting: &ChangedSetting| Changed {
            node: setting.node.clone(),
            what: setting.change.clone(),
        };
        let changed: Vec<Changed> = settings.iter().take(LISTED).map(change).collect();
        self.section("What differed", &changed)?;
        if settings.len() > LISTED {
            self.ui.say(&format!("({} more; --format json has all)", settings.len() - LISTED));
        }
        Ok(())
    }

    fn heading(&self, title: &str) -> Result<(), Failure> {
        let mark = if self.format == Format::Markdown { "## " } else { "" };
        self.ui.print(&format!("{mark}{title}"))
    }

    fn section<T: Serialize + DeserializeOwned>(
        &self,
        title: &str,
        rows: &[T],
    ) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        self.ui.print("")?;
        self.heading(title)?;
        if self.format == Format::Markdown {
            self.ui.print("")?;
        }
        print_rows(self.ui, self.format, rows)
    }

    fn games(&self) -> Result<(), Failure> {
        let Comparison { lines, judge, prompts, equal, flipped, .. } = self.comparison;
        let Some(judge) = judge else {
            return self
                .ui
                .print("\nNo games: the experiment has no `[evaluate]` that says who decides.");
        };
        let find = |name: &str| lines.iter().find(|l| l.part == "games" && l.name == name);
        let said = |line: &Compared| {
            let rate = |share: f64| format!("{:.1}", 100.0 * share);
            match (line.second, line.second_low, line.second_high) {
                (Some(value), Some(low), Some(high)) => {
                    format!("{} % [{}, {}]", rate(value), rate(low), rate(high))
                }
                (Some(value), ..) => format!("{} %", rate(value)),
                _ => line.method.clone().unwrap_or_default(),
            }
        };
        let mut text = format!("\nOver {prompts} prompts, decided by {judge}:\n\n");
        for (name, title) in
            [("win_rate", "win rate"), ("length_controlled_win_rate", "length-controlled")]
        {
            if let Some(line) = find(name) {
                let _ = writeln!(text, "  {title:<18} {}", said(line));
            }
        }
        if let Some(probability) = find("p_better").and_then(|line| line.second) {
            let _ = writeln!(text, "  {:<18} {probability:.3}", "P(better)");
        }
        let better = flipped.iter().filter(|flipped| flipped.preference > 0.5).count();
        let worse = flipped.len() - better;
        let _ = write!(
            text,
            "  {:<18} better on {better}, worse on {worse}, equal on {equal}",
            "prompts"
        );
        self.ui.print(&text)
    }

    fn flipped(&self, rows: Option<usize>) -> Result<(), Failure> {
        let flipped = &self.comparison.flipped;
        if let Some(rows) = rows {
            let rows = if rows == 0 { usize::MAX } else { rows };
            let shown: Vec<Shown> = flipped.iter().take(rows).map(|f| self.shown(f)).collect();
            return self.section("Flipped prompts, losses first", &shown);
        }
        let lost: Vec<&str> = flipped
            .iter()
            .filter(|flipped| flipped.preference < 0.5)
            .map(|flipped| flipped.prompt_id.as_str().get(..12).unwrap_or_default())
            .collect();
        if lost.is_empty() {
            return Ok(());
        }
        let more = if lost.len() > NAMED { ", …" } else { "" };
        let ids = lost.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        self.ui.print(&format!(
            "  {:<18} {ids}{more}  (--rows 20 shows them side by side)",
            "worse on"
        ))
    }

    fn shown(&self, flipped: &Flipped) -> Shown {
        let [first, second] = &self.comparison.names;
        let better = if flipped.preference > 0.5 { second } else { first };
        Shown {
            prompt: flipped.prompt.clone(),
            reference: flipped.reference.clone(),
            first: flipped.first.clone(),
            second: flipped.second.clone(),
            better: better.clone(),
        }
    }
}

fn both(line: &Compared) -> Both {
    let number = match line.group.as_str() {
        "all" => line.name.clone(),
        group => format!("{} ({group})", line.name),
    };
    let said = |value: Option<f64>, low: Option<f64>, high: Option<f64>| {
        let value = value?;
        Some(match (line.name.as_str(), low, high) {
            ("seconds", ..) => seconds(value),
            (_, Some(low), Some(high)) => format!("{value:.3} [{low:.3}, {high:.3}]"),
            _ if line.part == "cost" => thousands(whole(value)),
            _ => format!("{value:.3}"),
        })
    };
    Both {
        number,
        first: said(line.first, line.first_low, line.first_high),
        second: said(line.second, line.second_low, line.second_high),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of calls and tokens"
)]
fn whole(count: f64) -> u64 {
    count as u64
}
