//! Setting reasoning apart from what it leads to.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The markers that reasoning stands between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thinking {
    /// Where it begins.
    pub begin: String,
    /// Where it ends.
    pub end: String,
}

impl Default for Thinking {
    /// As Qwen3, DeepSeek-R1 and many others write it.
    fn default() -> Self {
        Self { begin: "<think>".to_owned(), end: "</think>".to_owned() }
    }
}

impl Thinking {
    /// Whether the markers are the usual ones: keys leave those out.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Takes reasoning out of a text: what was thought, if anything was, and what is left. Reasoning may
    /// be nested; one that does not end goes on to the end of the text, and one that has no beginning
    /// began in the prompt.
    #[must_use]
    pub fn set_apart<'t>(&self, text: &'t str) -> (Option<String>, Cow<'t, str>) {
        let (mut thoughts, mut rest) = (Vec::new(), String::new());
        let (mut depth, mut from) = (0_usize, 0);
        let mut found = false;
        while let Some((at, marker)) = self.next_marker(text, from) {
            let before = &text[from..at];
            from = at + marker.len();
            if marker == self.begin {
                if depth == 0 {
                    rest.push_str(before);
                } else {
                    thoughts.push(before.trim());
                }
                depth += 1;
            } else {
                if depth == 0 && !found {
                    thoughts.push(before.trim());
                } else if depth == 0 {
                    rest.push_str(before);
                } else {
                    thoughts.push(before.trim());
                }
                depth = depth.saturating_sub(1);
            }
            found = true;
        }
        if !found {
            return (None, Cow::Borrowed(text));
        }
        if depth == 0 {
            rest.push_str(&text[from..]);
        } else {
            thoughts.push(text[from..].trim());
        }
        thoughts.retain(|thought| !thought.is_empty());
        (Some(thoughts.join("\n")), Cow::Owned(rest.trim().to_owned()))
    }

    /// The next marker from a place on, and where it stands.
    fn next_marker(&self, text: &str, from: usize) -> Option<(usize, &str)> {
        let at = |marker: &str| text[from..].find(marker).map(|at| from + at);
        let (begin, end) = (at(&self.begin), at(&self.end));
        match (begin, end) {
            (Some(begin), Some(end)) if end < begin => Some((end, self.end.as_str())),
            (Some(begin), _) => Some((begin, self.begin.as_str())),
            (None, Some(end)) => Some((end, self.end.as_str())),
            (None, None) => None,
        }
    }
}
