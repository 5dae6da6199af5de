//! Words on a line that ends where the terminal does: what matters stands first, and what has no room is left out.

use console::{measure_text_width, truncate_str};

use crate::cli::ui::{seconds, thousands};

/// Where names begin, as in the lines of nodes that are made; and where what is said of one does.
pub(super) const INDENT: &str = "       ";
pub(super) const NAME: usize = 16;

/// Cuts a line to so many columns.
pub(super) fn cut(line: &str, columns: usize) -> String {
    if columns == 0 { String::new() } else { truncate_str(line, columns, "…").into_owned() }
}

/// As many of the parts as there is room for, from the first on; the first is cut where even that is too long.
pub(super) fn fitting(head: &str, parts: &[String], columns: usize) -> String {
    const GAP: &str = "  ";
    let mut line = head.to_owned();
    for (at, part) in parts.iter().filter(|part| !part.is_empty()).enumerate() {
        let longer = if at == 0 { format!("{line}{part}") } else { format!("{line}{GAP}{part}") };
        if measure_text_width(&longer) > columns {
            return if at == 0 { cut(&longer, columns) } else { line };
        }
        line = longer;
    }
    cut(&line, columns)
}

/// A bar of which `share` is done, in so many columns: the part that is done, and the part that is not.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "columns of a terminal"
)]
pub(super) fn bar(share: f64, columns: usize) -> [String; 2] {
    let done = ((share.clamp(0.0, 1.0) * columns as f64) as usize).min(columns);
    ["━".repeat(done), "╌".repeat(columns - done)]
}

/// A rate as a person says it: `0.42`, `7.5`, `412`, `9,120`, `41k`, `1.2M`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands")]
pub(super) fn rate(value: f64) -> String {
    match value {
        1e6.. => format!("{:.1}M", value / 1e6),
        1e4.. => format!("{:.0}k", value / 1e3),
        1e3.. => thousands(value as u64),
        10.0.. => format!("{value:.0}"),
        1.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Seconds by a clock that shows no part of one.
pub(super) fn clock(spent: f64) -> String {
    if spent < 10.0 { format!("{:.0}s", spent.floor()) } else { seconds(spent) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_left_out_as_a_whole() {
        let parts = ["score 3.41", "", "unreadable 0.4 %", "tokens/s 41k"].map(str::to_owned);
        let at = |columns| fitting("    ", &parts, columns);
        assert_eq!(at(80), "    score 3.41  unreadable 0.4 %  tokens/s 41k");
        assert_eq!(at(40), "    score 3.41  unreadable 0.4 %");
        assert_eq!(at(12), "    score 3…");
        assert_eq!(at(3), "  …");
        assert_eq!(at(0), "");
        assert_eq!(fitting("名前", &["得点 3".to_owned()], 8), "名前得…", "wide letters take two");
    }

    #[test]
    fn a_bar_is_as_long_as_it_is_told() {
        assert_eq!(bar(0.5, 8).concat(), "━━━━╌╌╌╌");
        assert_eq!(bar(f64::NAN, 3).concat(), "╌╌╌");
        assert_eq!(bar(7.0, 3).concat(), "━━━");
    }

    #[test]
    fn rates_have_few_digits() {
        let said = [0.42, 7.5, 412.4, 9120.2, 41_234.0, 1_234_567.0].map(rate);
        assert_eq!(said, ["0.42", "7.5", "412", "9,120", "41k", "1.2M"]);
    }
}
