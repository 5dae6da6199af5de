//! Manifests: what one run read, wrote and cost.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use rayon::prelude::*;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::digest::Digest;
use super::error::Error;
use super::file::{self, name_of};
use super::key::Key;
use super::layout::Store;
use super::sealed;

/// What one run read, wrote and cost. Written last: where there is a manifest, all of it is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`super::FORMAT`] at the time of writing.
    pub format: u32,
    /// The digest of `key`, and the manifest's file name.
    pub run: Digest,
    /// The node that the run was first made for, as `judge.m1`.
    pub node: String,
    /// The experiment that the run was first made for.
    pub experiment: String,
    /// Everything that decided the result, readable.
    pub key: Key,
    /// The tables it made, by name.
    pub tables: BTreeMap<String, StoredTable>,
    /// Other objects that its tables speak of (the files of a checkpoint), by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub objects: BTreeMap<String, StoredObject>,
    /// What it cost.
    pub cost: Cost,
    /// Who made it, and where. Manifests of version 0.1.0 do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<MadeBy>,
}

/// Who made a run, and where. None of it is in the key: the same rows may come from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeBy {
    /// The version of mrx.
    pub mrx: String,
    /// Where models computed: `cpu`, `cuda:0`, `metal`.
    pub device: String,
    /// Where other programs were that models were asked in: addresses, or a command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reached: Vec<String>,
    /// Where it was taken from, where it was made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    /// The machine.
    pub host: Host,
}

/// What was made elsewhere, and taken as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The folder that it lay in.
    pub folder: String,
    /// Who made it, and with what, in the words of whoever imported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.by {
            Some(by) => write!(f, "{}, made by {by}", self.folder),
            None => f.write_str(&self.folder),
        }
    }
}

/// A machine, as far as speed and rounding may follow from it. It has no name: stores are shared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// As `linux`.
    pub os: String,
    /// As `x86_64`.
    pub arch: String,
    /// The processor's own words, empty where it has none.
    pub cpu: String,
    /// Cores that mrx may use.
    pub cores: u32,
}

/// One table of a run: a Parquet object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTable {
    /// The object.
    pub object: Digest,
    /// Its rows.
    pub rows: u64,
    /// Its bytes on disk.
    pub bytes: u64,
}

/// A file that a run made beside its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredObject {
    /// The object.
    pub object: Digest,
    /// Its bytes on disk. Manifests of version 0.1.0 do not say.
    pub bytes: Option<u64>,
}

impl Serialize for StoredObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(bytes) = self.bytes else { return self.object.serialize(serializer) };
        let mut fields = serializer.serialize_struct("StoredObject", 2)?;
        fields.serialize_field("object", &self.object)?;
        fields.serialize_field("bytes", &bytes)?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for StoredObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizedOrBare)
    }
}

/// Reads `{ object, bytes }`, and the bare digest that version 0.1.0 wrote.
struct SizedOrBare;

impl<'de> Visitor<'de> for SizedOrBare {
    type Value = StoredObject;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object's digest and its bytes")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<StoredObject, E> {
        let object = text.parse().map_err(E::custom)?;
        Ok(StoredObject { object, bytes: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StoredObject, A::Error> {
        #[derive(Deserialize)]
        struct Sized {
            object: Digest,
            bytes: u64,
        }
        let Sized { object, bytes } = Sized::deserialize(MapAccessDeserializer::new(map))?;
        Ok(StoredObject { object, bytes: Some(bytes) })
    }
}

/// What a run cost. Costs never live in a table: the same rows must have the same digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// When it started, RFC 3339, UTC.
    pub started: String,
    /// Seconds of work, summed over the processes that a kill or an interruption divided it into.
    pub seconds: f64,
    /// How many processes worked on it: more than one where it was resumed.
    pub attempts: u32,
    /// Tokens and money. Manifests of version 0.1.0 do not say.
    #[serde(default, skip_serializing_if = "Spent::is_nothing")]
    pub spent: Spent,
}

/// Tokens that models read and drew, and what they cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens drawn.
    pub completion_tokens: u64,
    /// Money, in the currency of the prices; `None` where tokens have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<f64>,
}

impl Spent {
    /// Adds what another draw cost.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let money = match (self.money, other.money) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        Self {
            prompt_tokens: self.prompt_tokens + other.prompt_tokens,
            completion_tokens: self.completion_tokens + other.completion_tokens,
            money,
        }
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Store {
    /// Returns where the manifest of a run is, or would be.
    #[must_use]
    pub fn run_path(&self, run: Digest) -> PathBuf {
        self.runs_folder().join(format!("{run}.json"))
    }

    /// Returns the folder of manifests.
    #[must_use]
    pub fn runs_folder(&self) -> PathBuf {
        self.root().join("runs")
    }

    /// Reads the manifest of a run; `None` where the run never finished.
    ///
    /// # Errors
    /// [`Error::Newer`] for a manifest from the future, [`Error::Unreadable`] for a damaged one.
    pub fn manifest(&self, run: Digest) -> Result<Option<Manifest>, Error> {
        let path = self.run_path(run);
        let manifest: Option<Manifest> = sealed::read(&path)?;
        match manifest {
            Some(other) if other.run != run => {
                let reason = format!("it says that it is run {}", other.run.short());
                Err(Error::unreadable(&path, reason))
            }
            manifest => Ok(manifest),
        }
    }

    /// Writes the manifest of a finished run: the last step of a commit.
    ///
    /// # Errors
    /// [`Error::Write`] where the store cannot be written.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), Error> {
        self.write_sealed(&self.run_path(manifest.run), manifest)
    }

    /// Lists the keys of every finished run.
    ///
    /// # Errors
    /// [`Error::Read`] where the folder cannot be listed.
    pub fn run_keys(&self) -> Result<Vec<Digest>, Error> {
        let files = file::list(&self.runs_folder())?;
        Ok(files
            .iter()
            .filter_map(|path| name_of(path).strip_suffix(".json")?.parse().ok())
            .collect())
    }

    /// Reads every manifest.
    ///
    /// # Errors
    /// As [`Store::manifest`].
    pub fn manifests(&self) -> Result<Vec<Manifest>, Error> {
        let runs = self.run_keys()?.into_par_iter();
        runs.filter_map(|run| self.manifest(run).transpose()).collect()
    }
}
