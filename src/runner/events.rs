//! Events: the engine's only exit. A display, a JSON stream and a test are listeners alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::figure::{self, Figure};
use super::name::NodeName;
use crate::store::Digest;

/// Something that happened while a plan ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The plan is known.
    Planned {
        /// The experiment.
        experiment: String,
        /// How many nodes are wanted.
        nodes: usize,
    },
    /// Finished nodes that were recorded for the experiment are no longer part of its plan.
    Replaced {
        /// The experiment.
        experiment: String,
        /// How many finished nodes.
        nodes: usize,
    },
    /// Another process is making this very run.
    Waiting {
        /// The node.
        node: NodeName,
    },
    /// Work on a node begins, or goes on.
    Started {
        /// The node.
        node: NodeName,
        /// Its run.
        run: Digest,
        /// Rows that an earlier attempt left safe.
        resumed_rows: u64,
    },
    /// A node got further.
    Progress {
        /// The node.
        node: NodeName,
        /// Units of work done, of earlier attempts too.
        done: u64,
        /// Units in all.
        total: u64,
        /// Units that this attempt found done already: no rate can be read from them.
        resumed: u64,
        /// What matters of the rows so far; as JSON, in words.
        #[serde(
            rename = "note",
            serialize_with = "figure::in_words",
            skip_serializing_if = "Vec::is_empty"
        )]
        figures: Vec<Figure>,
    },
    /// Something a person should know, that stops nothing.
    Warned {
        /// The node.
        node: NodeName,
        /// What.
        text: String,
        /// Of which kind it is, where most of its rows go wrong.
        #[serde(skip_serializing_if = "Option::is_none")]
        fault: Option<Fault>,
    },
    /// A finished run of the same key was found.
    Reused {
        /// The node.
        node: NodeName,
        /// Its run.
        run: Digest,
        /// Rows in its tables.
        rows: u64,
    },
    /// A node was made and committed.
    Finished {
        /// The node.
        node: NodeName,
        /// Its run.
        run: Digest,
        /// Rows in its tables.
        rows: u64,
        /// Seconds of work, over all attempts.
        seconds: f64,
    },
    /// A node failed. What it had made safe stays safe.
    Failed {
        /// The node.
        node: NodeName,
        /// The error and its causes.
        error: String,
    },
    /// A node cannot run because one that it reads from failed.
    Skipped {
        /// The node.
        node: NodeName,
        /// The one that failed.
        because: NodeName,
    },
}

/// What goes wrong with a node while it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing can be read out of most texts.
    Unreadable,
    /// The token limit cuts most texts.
    Truncated,
    /// Most texts are empty.
    Empty,
    /// The loss rises.
    Rising,
}

/// Hears every event, in order.
pub trait Listener {
    /// Takes note of one event.
    fn hear(&self, event: &Event);
}

/// A request to hand out nothing new, and to stop once what is under way is safe.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks for a stop.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether a stop was asked for.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The run stopped because it was asked to. Everything it made is safe.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// What a stage fails with: the runner only records it and shows it.
pub type StageError = Box<dyn std::error::Error + Send + Sync>;
