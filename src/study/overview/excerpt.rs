//! A text as far as it is shown.

use serde::{Serialize, Serializer};

/// A text, or its beginning and its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    head: String,
    /// The end, and how many characters stand before it that are left out.
    tail: Option<(String, usize)>,
}

impl Excerpt {
    /// Takes a text of at most so many characters whole; of a longer one two thirds of them from its beginning and
    /// the others from its end, for that is where verdicts stand.
    pub(super) fn of(text: String, most: usize) -> Self {
        let count = if text.len() <= most { 0 } else { text.chars().count() };
        if count <= most {
            return Self { head: text, tail: None };
        }
        let from_end = most / 3;
        let head = text.chars().take(most - from_end).collect();
        let tail = text.chars().skip(count - from_end).collect();
        Self { head, tail: Some((tail, count - most)) }
    }

    /// Whether it is all of this text.
    pub(super) fn is(&self, text: &str) -> bool {
        self.tail.is_none() && self.head == text
    }
}

/// A whole text is a JSON string; of another there are its beginning, how many characters are left out, and its end.
impl Serialize for Excerpt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.tail {
            None => self.head.serialize(serializer),
            Some((tail, left_out)) => (&self.head, left_out, tail).serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_keeps_its_beginning_and_its_end() {
        let said = |text: &str| serde_json::json!(Excerpt::of(text.to_owned(), 6)).to_string();
        assert_eq!(said("äöüäöü"), "\"äöüäöü\"");
        assert_eq!(said("äbcdefghij"), "[\"äbcd\",4,\"ij\"]");
        assert_eq!(said(""), "\"\"");
    }
}
