//! Lines at the end of a terminal that are written over in place.

use console::measure_text_width;

/// The lines that stand there now.
#[derive(Debug, Default)]
pub(super) struct Region {
    lines: Vec<String>,
    columns: usize,
}

/// Clears from the cursor to the end of its line, and to the end of the terminal.
const TO_LINE_END: &str = "\u{1b}[K";
const TO_END: &str = "\u{1b}[J";

impl Region {
    /// What to write so that `above` scrolls up, and `lines` stand below it in place of those before: nothing, where
    /// nothing changed. A line is written over and only then cleared behind it, so that none is seen blank in between.
    pub(super) fn frame(&mut self, above: &str, lines: Vec<String>, columns: usize) -> String {
        let is_same = lines == self.lines && (columns == self.columns || lines.is_empty());
        if above.is_empty() && is_same {
            return String::new();
        }
        let mut frame = self.to_top(columns);
        if !above.is_empty() && !self.lines.is_empty() {
            // It may take any number of rows, so all of them are cleared before.
            frame.push_str(TO_END);
        }
        for line in above.lines() {
            frame.push_str(line);
            frame.push('\n');
        }
        for (at, line) in lines.iter().enumerate() {
            if at > 0 {
                frame.push('\n');
            }
            frame.push_str(line);
            frame.push_str(TO_LINE_END);
        }
        if !self.lines.is_empty() {
            frame.push_str(TO_END);
        }
        (self.lines, self.columns) = (lines, columns);
        frame
    }

    /// What to write so that nothing of it is left.
    pub(super) fn clear(&mut self) -> String {
        if self.lines.is_empty() {
            return String::new();
        }
        let frame = self.to_top(self.columns) + TO_END;
        self.lines.clear();
        frame
    }

    /// Moves to where the first line begins. Lines that a narrower terminal has broken take more rows than one.
    fn to_top(&self, columns: usize) -> String {
        let rows = |line: &String| measure_text_width(line).div_ceil(columns.max(1)).max(1);
        let rows: usize = self.lines.iter().map(rows).sum();
        match rows {
            0 => String::new(),
            1 => "\r".to_owned(),
            rows => format!("\r\u{1b}[{}A", rows - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn lines_are_written_over_in_place_and_what_is_said_goes_above() {
        let mut region = Region::default();
        assert_eq!(region.frame("hello", Vec::new(), 80), "hello\n", "nothing is written over yet");
        let first = region.frame("", lines(&["whole", "node"]), 80);
        assert_eq!(first, "whole\u{1b}[K\nnode\u{1b}[K");
        assert_eq!(region.frame("", lines(&["whole", "node"]), 80), "", "nothing changed");
        let next = region.frame("", lines(&["whole", "next"]), 80);
        assert_eq!(next, "\r\u{1b}[1Awhole\u{1b}[K\nnext\u{1b}[K\u{1b}[J");
        let said = region.frame("made", lines(&["whole"]), 80);
        assert_eq!(said, "\r\u{1b}[1A\u{1b}[Jmade\nwhole\u{1b}[K\u{1b}[J");
        assert_eq!(region.clear(), "\r\u{1b}[J");
        assert_eq!(region.clear(), "");
        assert_eq!(region.frame("bye", Vec::new(), 80), "bye\n");
    }

    #[test]
    fn a_narrower_terminal_breaks_lines_and_all_their_rows_are_written_over() {
        let mut region = Region::default();
        region.frame("", lines(&[&"─".repeat(100), "\u{1b}[2mnode\u{1b}[0m"]), 120);
        assert!(region.frame("", lines(&["whole", "node"]), 40).starts_with("\r\u{1b}[3Awhole"));
    }
}
