//! Lines of a text with a part of it marked, safe to print on a terminal.

use std::ops::Range;

use console::measure_text_width;

/// The characters that are shown on either side of a part.
const AROUND: usize = 40;

/// The lines that a part of a text touches, numbered from 1, each with carets below the part.
pub(super) fn marked_lines(text: &str, part: &Range<usize>) -> Vec<String> {
    const LINES: usize = 6;
    let mut start = 0;
    let placed = text.split_inclusive('\n').map(|line| {
        let from = start;
        start += line.len();
        (from, line.trim_end_matches(['\r', '\n']))
    });
    let touched = |(_, (from, line)): &(usize, (usize, &str))| {
        part.start <= from + line.len() && (part.end > *from || part.start == *from)
    };
    let lines: Vec<_> = (1..).zip(placed).filter(touched).collect();
    let mut shown: Vec<String> = lines.iter().take(LINES).flat_map(|l| marked(*l, part)).collect();
    if lines.len() > LINES {
        shown.push(format!("  … and {} more lines", lines.len() - LINES));
    }
    shown
}

/// One line, which begins at a place in the text, and the carets below it.
fn marked((number, (from, line)): (usize, (usize, &str)), part: &Range<usize>) -> Vec<String> {
    let inside = |at: usize| at.saturating_sub(from).min(line.len());
    let (begin, end) = (inside(part.start), inside(part.end));
    let before = visible(&last(&line[..begin]));
    let within = visible(&first(&line[begin..end]));
    let after = visible(&first(&line[end..]));
    let mut lines = vec![format!("{number:>4} | {before}{within}{after}").trim_end().to_owned()];
    let indent = " ".repeat(measure_text_width(&before));
    let carets = "^".repeat(measure_text_width(&within));
    if !carets.is_empty() {
        lines.push(format!("     | {indent}{carets}"));
    }
    lines
}

/// The beginning of a text, on one line.
pub(super) fn excerpt(text: &str) -> String {
    visible(&first(&text.split_whitespace().collect::<Vec<_>>().join(" ")))
}

fn first(text: &str) -> String {
    match text.char_indices().nth(AROUND) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn last(text: &str) -> String {
    match text.char_indices().rev().nth(AROUND) {
        Some((at, c)) => format!("…{}", &text[at + c.len_utf8()..]),
        None => text.to_owned(),
    }
}

/// Writes characters that would move the cursor, or change the order of others, as escapes.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => shown.extend(c.escape_default()),
            '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marked_part(text: &str, part: &str) -> String {
        let at = text.find(part).unwrap();
        marked_lines(text, &(at..at + part.len())).join("\n")
    }

    #[test]
    fn carets_stand_below_the_part() {
        assert_eq!(
            marked_part("Good.\r\nScore: 4, really\r\n", "Score: 4"),
            "   2 | Score: 4, really\n     | ^^^^^^^^"
        );
        assert_eq!(
            marked_part("a\n\nScore:\n\n4\n5", "Score:\n\n4"),
            "   3 | Score:\n     | ^^^^^^\n   4 |\n   5 | 4\n     | ^"
        );
        assert_eq!(
            marked_part("得分 [[9]]", "[[9]]"),
            "   1 | 得分 [[9]]\n     |      ^^^^^",
            "wide characters take two places"
        );
        assert_eq!(
            marked_part("\u{1b}[31m\tScore: 3\u{202e}", "Score: 3"),
            "   1 | \\u{1b}[31m\\tScore: 3\\u{202e}\n     |             ^^^^^^^^"
        );
    }

    #[test]
    fn long_lines_and_long_parts_are_cut() {
        let text = format!("{}[[9]]{}", "a".repeat(500), "b".repeat(500));
        let (a, b) = ("a".repeat(AROUND), "b".repeat(AROUND));
        let carets = format!("     | {}^^^^^", " ".repeat(AROUND + 1));
        assert_eq!(marked_part(&text, "[[9]]"), format!("   1 | …{a}[[9]]{b}…\n{carets}"));
        let text = "{\n".repeat(9);
        assert!(marked_part(&text, &text).ends_with("  … and 3 more lines"));
        assert_eq!(excerpt("a\n b"), "a b");
    }

    proptest! {
        #[test]
        fn what_is_printed_moves_no_cursor(
            text in "(\\PC|[\r\n\t\u{1b}\u{7f}\u{202e}é字]){0,40}",
            from in 0_usize..40,
            length in 0_usize..40,
        ) {
            let starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            let starts: Vec<usize> = starts.collect();
            let at = |nth: usize| starts[nth.min(starts.len() - 1)];
            for line in marked_lines(&text, &(at(from)..at(from + length))) {
                prop_assert!(!line.contains(char::is_control), "{line:?}");
            }
        }
    }
}
