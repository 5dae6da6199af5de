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
    /// nothing changed. Each line is written over and only then cleared behind, so that none is ever seen blank.
    pub(super) fn frame(&mut self, above: &str, lines: Vec<String>, columns: usize) -> String {
        if above.is_empty() && lines == self.lines && columns == self.columns {
            return String::new();
        }
        let mut frame = self.to_top(columns);
        for line in above.lines() {
            frame.push_str(line);
            frame.push_str(TO_LINE_END);
            frame.push_str("\r\n");
        }
        for (at, line) in lines.iter().enumerate() {
            if at > 0 {
                frame.push_str("\r\n");
            }
            frame.push_str(line);
            frame.push_str(TO_LINE_END);
        }
        frame.push_str(TO_END);
        (self.lines, self.columns) = (lines, columns);
        frame
    }

    /// What to write so that nothing of it is left.
    pub(super) fn clear(&mut self) -> String {
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() {
            return String::new();
        }
        self.lines = lines;
        let frame = self.to_top(self.columns) + TO_END;
        self.lines.clear();
        frame
    }

    /// Moves to where the first line begins. Lines that a narrower terminal has broken take more rows than one.
    fn to_top(&self, columns: usize) -> String {
        let rows = |line: &String| measure_text_width(line).div_ceil(columns.max(1)).max(1);
        let rows: usize = self.lines.iter().map(rows).sum();
        match rows {
            0 | 1 => "\r".to_owned(),
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
        let first = region.frame("", lines(&["whole", "node"]), 80);
        assert_eq!(first, "\rwhole\u{1b}[K\r\nnode\u{1b}[K\u{1b}[J");
        assert_eq!(region.frame("", lines(&["whole", "node"]), 80), "", "nothing changed");
        let said = region.frame("made", lines(&["whole"]), 80);
        assert_eq!(said, "\r\u{1b}[1Amade\u{1b}[K\r\nwhole\u{1b}[K\u{1b}[J");
        assert_eq!(region.clear(), "\r\u{1b}[J");
        assert_eq!(region.clear(), "");
        assert_eq!(region.frame("made", Vec::new(), 80), "\rmade\u{1b}[K\r\n\u{1b}[J");
    }

    #[test]
    fn a_narrower_terminal_breaks_lines_and_all_their_rows_are_written_over() {
        let mut region = Region::default();
        region.frame("", lines(&[&"─".repeat(100), "\u{1b}[2mnode\u{1b}[0m"]), 120);
        assert!(region.frame("", lines(&["whole", "node"]), 40).starts_with("\r\u{1b}[3Awhole"));
    }
}
