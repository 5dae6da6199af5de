//! Which engine ran a model: part of the key of every run that draws or trains, so that rows of another
//! engine, or of other arithmetic, never pass for its own. How the engine is reached goes with it, and is
//! in no key.

use serde::{Deserialize, Serialize};

use super::remote::{How, Protocol};

/// An engine, and what it computes with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Engine {
    /// `local` is the one in this program, for scripted models too.
    pub name: String,
    /// Which it is.
    pub version: Version,
    /// The type of numbers; and the kind of device, where its arithmetic is not a CPU's. Of another
    /// program, what it was told that decides its numbers.
    pub compute: String,
    /// How it is spoken to, where it is another program.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// How it is reached. It decides nothing.
    #[serde(skip)]
    pub how: How,
}

/// A version: ours is a number, raised when the same request would give another text; others' are as they
/// report them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Version {
    /// Of this program's own engine.
    Number(u32),
    /// Of another program.
    Text(String),
}

impl Version {
    /// What stands for the version of a program that does not report it.
    const UNREPORTED: &str = "unreported";

    /// As a program reports it, where it does.
    #[must_use]
    pub fn reported(version: Option<String>) -> Self {
        Self::Text(version.unwrap_or_else(|| Self::UNREPORTED.to_owned()))
    }

    /// Whether nobody reported it.
    #[must_use]
    pub fn is_unreported(&self) -> bool {
        matches!(self, Self::Text(text) if text == Self::UNREPORTED)
    }
}

impl Engine {
    /// 1: the first. 2: a draw goes through the ids in their order where nothing is cut, weights are f32, and
    /// products and attention sum along their inputs in order. 3: products are those of a processor's matrix
    /// units where it has some, which the manifest tells.
    const VERSION: u32 = 3;

    /// The engine in this program, on a device by name: `cpu`, `cuda:1`, `metal`.
    #[must_use]
    pub fn local(device: &str) -> Self {
        let compute = match device.split(':').next() {
            None | Some("cpu") => "f32".to_owned(),
            Some(kind) => format!("f32 on {kind}"),
        };
        Self {
            name: Self::LOCAL.to_owned(),
            version: Version::Number(Self::VERSION),
            compute,
            protocol: None,
            how: How::Local,
        }
    }

    const LOCAL: &str = "local";

    /// Whether it is the one in this program.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.name == Self::LOCAL
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::local("cpu")
    }
}
