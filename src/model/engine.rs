//! Which engine ran a model: part of the key of every run that draws or trains, so that rows of another
//! engine, or of other arithmetic, never pass for its own.

use serde::{Deserialize, Serialize};

/// An engine, and what it computes with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// `local` is the one in this program, for scripted models too.
    pub name: String,
    /// Raised when the same request would give another text.
    pub version: u32,
    /// The type of numbers; and the kind of device, where its arithmetic is not a CPU's.
    pub compute: String,
}

impl Engine {
    /// 1: the first.
    const VERSION: u32 = 1;

    /// The engine in this program, on a device by name: `cpu`, `cuda:1`, `metal`.
    #[must_use]
    pub fn local(device: &str) -> Self {
        let compute = match device.split(':').next() {
            None | Some("cpu") => "f32".to_owned(),
            Some(kind) => format!("f32 on {kind}"),
        };
        Self { name: "local".to_owned(), version: Self::VERSION, compute }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::local("cpu")
    }
}
