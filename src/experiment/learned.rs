//! Whether what is to be trained can be.

use crate::runner::{Node, NodeName, Plan, Source};
use crate::stages::{FromGguf, Verb, gguf_of};

/// Refuses to make nodes, all where none is named, among which one would train a GGUF file. A model that is
/// trained elsewhere may start from whatever is at hand there.
///
/// # Errors
/// Naming the file.
pub fn refuse_unlearned(plan: &Plan, wanted: &[NodeName]) -> Result<(), FromGguf> {
    let chosen = plan.nodes.iter().zip(plan.with_ancestors(wanted));
    for (node, _) in chosen.filter(|(node, chosen)| *chosen && trains(node)) {
        for input in &node.inputs {
            if let Source::Files(files) = &input.source
                && let Some(path) = gguf_of(files)
            {
                return Err(FromGguf { path: path.to_owned() });
            }
        }
    }
    Ok(())
}

fn trains(node: &Node) -> bool {
    let is_one = [Verb::Sft, Verb::Train].iter().any(|verb| verb.name() == node.name.stage());
    let config = node.stage.signature().config;
    let trainer = config.pointer("/trainer/name").and_then(|name| name.as_str());
    is_one && trainer != Some("import")
}
