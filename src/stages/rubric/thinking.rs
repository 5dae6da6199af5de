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

    /// Takes reasoning out of a text: what was thought, if any marker stands in it, and what is left.
    /// Reasoning may be nested, and come several times. One that does not end goes on to the end of the
    /// text; an end without a beginning ends what began in the prompt, so that all before it was thought.
    #[must_use]
    pub fn set_apart<'t>(&self, text: &'t str) -> (Option<String>, Cow<'t, str>) {
        if self.next_marker(text).is_none() {
            return (None, Cow::Borrowed(text));
        }
        let (mut thoughts, mut answer) = (Vec::new(), text.to_owned());
        // Where two parts of the answer meet, a marker may come about that stood in neither.
        while self.next_marker(&answer).is_some() {
            let (thought, left) = self.parts(&answer);
            thoughts.extend(thought);
            left.trim().clone_into(&mut answer);
        }
        (Some(thoughts.join("\n")), Cow::Owned(answer))
    }

    fn parts(&self, text: &str) -> (Vec<String>, String) {
        let (mut thoughts, mut answer) = (Vec::new(), String::new());
        let mut depth = 0_usize;
        let mut rest = text;
        while let Some((at, length, begins)) = self.next_marker(rest) {
            let before = &rest[..at];
            rest = &rest[at + length..];
            if begins || depth > 0 {
                if depth > 0 {
                    thoughts.push(before.to_owned());
                } else {
                    answer.push_str(before);
                }
                depth = if begins { depth + 1 } else { depth - 1 };
            } else {
                thoughts.push(std::mem::take(&mut answer) + before);
            }
        }
        if depth > 0 {
            thoughts.push(rest.to_owned());
        } else {
            answer.push_str(rest);
        }
        let trimmed = thoughts.iter().map(|thought| thought.trim().to_owned());
        (trimmed.filter(|thought| !thought.is_empty()).collect(), answer)
    }

    /// Where the next marker stands, how long it is, and whether it is a beginning.
    fn next_marker(&self, text: &str) -> Option<(usize, usize, bool)> {
        let find = |marker: &str, begins| {
            let at = text.find(marker).filter(|_| !marker.is_empty())?;
            Some((at, marker.len(), begins))
        };
        let both = [find(&self.begin, true), find(&self.end, false)];
        // Of two at one place, the longer is meant.
        both.into_iter().flatten().min_by_key(|(at, length, _)| (*at, usize::MAX - length))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reasoning_is_set_apart_however_it_stands() {
        let apart = |text: &str| {
            let (thinking, answer) = Thinking::default().set_apart(text);
            (thinking.unwrap_or_else(|| "-".to_owned()), answer.into_owned())
        };
        for (text, thinking, answer) in [
            ("Score: 4", "-", "Score: 4"),
            (" no markers \n", "-", " no markers \n"),
            ("<think>a</think>\n\nb", "a", "b"),
            ("<think></think>b", "", "b"),
            ("x <think>a</think> y <think>b</think> z", "a\nb", "x  y  z"),
            ("<think>a<think>b</think>c</think>d", "a\nb\nc", "d"),
            ("a <think>b", "b", "a"),
            ("<think>a<think>b</think>c", "a\nb\nc", ""),
            ("a</think>b", "a", "b"),
            ("a</think>b</think>c", "a\nb", "c"),
            ("a<think>b</think>c</think>d", "b\nac", "d"),
            ("<think>1</think> draft 2</think>3", "1\ndraft 2", "3"),
            ("<th<think>a</think>ink>b", "a\nb", ""),
            ("</think>", "", ""),
        ] {
            assert_eq!(apart(text), (thinking.to_owned(), answer.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_marker_that_begins_with_the_other_one_is_seen() {
        let markers = Thinking { begin: "<|x|>".to_owned(), end: "<|x|>END".to_owned() };
        let (thinking, answer) = markers.set_apart("<|x|>a<|x|>ENDb");
        assert_eq!((thinking.as_deref(), &*answer), (Some("a"), "b"));
        let none = Thinking { begin: String::new(), end: String::new() };
        assert_eq!(none.set_apart("ab"), (None, Cow::Borrowed("ab")));
    }

    proptest! {
        #[test]
        fn no_marker_is_left_and_what_has_none_is_left_alone(
            parts in prop::collection::vec("(<think>|</think>|<thi|nk>|</th|ink>|[ab \n]{0,3})", 0..12),
        ) {
            let text = parts.concat();
            let markers = Thinking::default();
            let (thinking, answer) = markers.set_apart(&text);
            prop_assert!(!answer.contains(&markers.begin) && !answer.contains(&markers.end));
            let marked = text.contains(&markers.begin) || text.contains(&markers.end);
            prop_assert_eq!(thinking.is_some(), marked);
            prop_assert!(marked || *answer == *text);
        }
    }
}
