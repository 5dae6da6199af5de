//! The tags of a Jinja template, as they stand in its text: for tags that mrx knows and minijinja does not.

use std::ops::Range;

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Where it stands, its signs included.
    pub at: Range<usize>,
    /// Where its words stand, without signs and space.
    pub words: Range<usize>,
}

/// Finds the tags of a template; those in comments, strings and raw blocks are none.
#[must_use]
pub fn tags(template: &str) -> Vec<Tag> {
    let mut found = Vec::new();
    let (mut at, mut raw) = (0, false);
    while let Some(next) = template[at..].find('{') {
        at += next;
        let rest = &template[at..];
        let length = match rest.as_bytes().get(1) {
            Some(b'%') => {
                let length = through(rest, "%}", true);
                let tag = tag(template, at..at + length);
                let words = tag.as_ref().map(|tag| &template[tag.words.clone()]);
                match (raw, words) {
                    (true, Some("endraw")) => raw = false,
                    (false, Some("raw")) => raw = true,
                    (false, Some(_)) => found.extend(tag),
                    _ => {}
                }
                if raw { 2 } else { length }
            }
            Some(b'#') if !raw => through(rest, "#}", false),
            Some(b'{') if !raw => through(rest, "}}", true),
            _ => 1,
        };
        at += length;
    }
    found
}

/// The tag at a place, if it has an end.
fn tag(template: &str, at: Range<usize>) -> Option<Tag> {
    let inner = template[at.clone()].strip_prefix("{%")?.strip_suffix("%}")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let words = inner.strip_suffix(['-', '+']).unwrap_or(inner).trim();
    let start = at.start + template[at.clone()].find(words)?;
    Some(Tag { at, words: start..start + words.len() })
}

/// The length up to the end of a sign, or of the text: past strings, where those may hold it.
fn through(text: &str, sign: &str, strings: bool) -> usize {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in text.char_indices() {
        match quote {
            None if text[at..].starts_with(sign) => return at + sign.len(),
            None if strings && (c == '"' || c == '\'') => quote = Some(c),
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            _ => {}
        }
    }
    text.len()
}

/// Puts other words in the place of a tag's.
#[must_use]
pub fn reworded<'w>(
    template: &str,
    changes: impl IntoIterator<Item = (&'w Tag, &'w str)>,
) -> String {
    let (mut written, mut at) = (String::with_capacity(template.len()), 0);
    for (tag, words) in changes {
        written.push_str(&template[at..tag.words.start]);
        written.push_str(words);
        at = tag.words.end;
    }
    written + &template[at..]
}
