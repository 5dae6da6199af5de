//! Every byte goes through here: stdout is data, stderr is talk.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use console::{Style, Term};

use super::failure::{Failure, Kind};
use crate::query::TableText;

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

/// What a piece of talk is; only this file knows how each looks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Label {
    Error,
    Warning,
    Hint,
    Good,
    Dim,
    Strong,
    Bar,
}

/// How talk is dressed: in colour, or not at all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    pub(super) color: bool,
}

impl Paint {
    /// Dresses text for stderr.
    pub(super) fn label(self, label: Label, text: &str) -> String {
        let style = match label {
            Label::Error => Style::new().red().bold(),
            Label::Warning => Style::new().yellow().bold(),
            Label::Hint => Style::new().cyan().bold(),
            Label::Good => Style::new().green(),
            Label::Dim => Style::new().dim(),
            Label::Strong => Style::new().bold(),
            Label::Bar => Style::new().cyan(),
        };
        style.force_styling(self.color).apply_to(text).to_string()
    }
}

/// The way to a person, and to the program behind the pipe.
pub(super) struct Ui {
    pub(super) paint: Paint,
    quiet: bool,
    /// Whether lines may be written over: a person looks at stderr, and wants more than plain lines.
    pub(super) is_live: bool,
    columns: usize,
}

impl Ui {
    pub(super) fn new(color: Color, quiet: bool) -> Self {
        let talks_to_terminal = io::stderr().is_terminal();
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let no_color = is_set("NO_COLOR");
        let is_plain =
            no_color || is_set("CI") || std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        let is_live = talks_to_terminal && !is_plain && !quiet;
        let color = match color {
            Color::Auto => talks_to_terminal && !no_color,
            Color::Always => true,
            Color::Never => false,
        };
        let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let measured = || io::stdout().is_terminal().then(|| usize::from(Term::stdout().size().1));
        let columns = asked.or_else(measured).unwrap_or(120);
        Self { paint: Paint { color }, quiet, is_live, columns }
    }

    /// Dresses text for stderr.
    pub(super) fn paint(&self, label: Label, text: &str) -> String {
        self.paint.label(label, text)
    }

    /// Says something on stderr, unless told to be quiet.
    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            talk(text);
        }
    }

    pub(super) fn warn(&self, text: &str) {
        self.say(&self.warning(text));
    }

    /// A warning, as it is said.
    pub(super) fn warning(&self, text: &str) -> String {
        format!("{} {text}", self.paint(Label::Warning, "warning:"))
    }

    pub(super) fn error(&self, text: &str) {
        talk(&format!("{} {text}", self.paint(Label::Error, "error:")));
    }

    pub(super) fn hint(&self, text: &str) {
        self.say(&self.hinted(text));
    }

    /// A hint, as it is said.
    pub(super) fn hinted(&self, text: &str) -> String {
        format!("{} {text}", self.paint(Label::Hint, "hint:"))
    }

    /// Prints an error, its causes, then hints after a blank line.
    pub(super) fn failure(&self, failure: &Failure) {
        if matches!(failure.kind, Kind::BrokenPipe) {
            return;
        }
        let mut said = failure.error.to_string();
        self.error(&said);
        let first = failure.error.source();
        for cause in std::iter::successors(first, |cause| cause.source()) {
            let cause = cause.to_string();
            if !said.contains(&cause) {
                talk(&format!("  caused by: {cause}"));
            }
            said = cause;
        }
        if !failure.hints.is_empty() && !self.quiet {
            talk("");
        }
        failure.hints.iter().for_each(|hint| self.hint(hint));
    }

    /// Writes data.
    pub(super) fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = self.out();
        out.write_all(text.as_bytes())?;
        out.write_all(b"\n")?;
        Ok(out.flush()?)
    }

    /// The way out for data.
    #[expect(clippy::unused_self, reason = "every byte leaves through the Ui")]
    pub(super) fn out(&self) -> Box<dyn Write + Send> {
        Box::new(io::BufWriter::with_capacity(1 << 16, io::stdout()))
    }

    /// How much of a table to show: a table is for a person, wherever it goes.
    pub(super) fn layout(&self, rows: Option<usize>) -> TableText {
        const SCREENFUL: usize = 50;
        let rows = match rows {
            Some(0) => usize::MAX,
            Some(rows) => rows,
            None => SCREENFUL,
        };
        TableText { width: self.columns, rows }
    }
}

/// A closed stderr must not end the work.
pub(super) fn talk(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes over lines of a terminal, in one go.
pub(super) fn draw(frame: &str) {
    if !frame.is_empty() {
        let _ = io::stderr().write_all(frame.as_bytes());
    }
}

/// Writes 1234567 as `1,234,567`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes seconds as a person says them: `214 ms`, `42s`, `3m 05s`, `2h 10m`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "durations are small")]
pub(super) fn seconds(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0 => format!("{:.0} ms", seconds.max(0.0) * 1000.0),
        1..=9 => format!("{seconds:.1}s"),
        10..=59 => format!("{whole}s"),
        60..=3599 => format!("{}m {:02}s", whole / 60, whole % 60),
        _ => format!("{}h {:02}m", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_a_person_writes_them() {
        let said = [0, 999, 1000, 1_234_567].map(thousands);
        assert_eq!(said, ["0", "999", "1,000", "1,234,567"]);
        let said = [0.214, 42.0, 185.0, 7800.0].map(seconds);
        assert_eq!(said, ["214 ms", "42s", "3m 05s", "2h 10m"]);
    }
}
