//! `{% system %}` … `{% endsystem %}` in a template: what it renders is the system message, and the rest is
//! the user's.

use minijinja::State;

use crate::model::{Message, reworded, tags};

/// Where the system message is kept while the rest is rendered.
const KEPT: &str = "mrx_system_message";

/// Why a system message does not stand as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSystem {
    /// There are two or more.
    #[error("it has more than one `{{% system %}}`")]
    Several,
    /// It is not at the top.
    #[error("its `{{% system %}}` stands inside another block; expected it at the top")]
    Nested,
    /// It has no end, or none in the same block.
    #[error("its `{{% system %}}` has no `{{% endsystem %}}` beside it")]
    Open,
    /// There is only its end.
    #[error("its `{{% endsystem %}}` ends no `{{% system %}}`")]
    OnlyEnd,
    /// A probe has one.
    #[error("it has a `{{% system %}}`, and a probe is an answer: nothing is asked with it")]
    InProbe,
}

/// Puts tags that keep the system message in the place of its own; `None` where there is none.
pub(super) fn set_apart(template: &str) -> Result<Option<String>, BadSystem> {
    let found = tags(template);
    let keep = format!("set {KEPT}");
    let mut changes = Vec::new();
    let mut depth = 0_usize;
    for tag in &found {
        let words = &template[tag.words.clone()];
        match words {
            "system" if depth > 0 || changes.len() == 1 => return Err(BadSystem::Nested),
            "system" if changes.len() > 1 => return Err(BadSystem::Several),
            "system" => changes.push((tag, keep.as_str())),
            "endsystem" if changes.len() != 1 => return Err(BadSystem::OnlyEnd),
            "endsystem" if depth > 0 => return Err(BadSystem::Open),
            "endsystem" => changes.push((tag, "endset")),
            words if words.starts_with("end") => depth = depth.saturating_sub(1),
            words => depth += usize::from(opens(words)),
        }
    }
    match changes.len() {
        0 => Ok(None),
        1 => Err(BadSystem::Open),
        _ => Ok(Some(reworded(template, changes))),
    }
}

/// Whether a tag of these words has an end of its own.
fn opens(words: &str) -> bool {
    const BLOCKS: [&str; 8] =
        ["if", "for", "macro", "call", "filter", "with", "block", "autoescape"];
    let first = words.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    BLOCKS.contains(&first) || (first == "set" && !words.contains('='))
}

/// The system message of a rendering, unless there is nothing in it.
pub(super) fn message(state: &State<'_, '_>) -> Option<Message> {
    let content = state.lookup(KEPT)?.to_string();
    let content = content.trim();
    (!content.is_empty())
        .then(|| Message { role: "system".to_owned(), content: content.to_owned() })
}
