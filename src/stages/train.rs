//! `train`: the next model, from this iteration's pairs. A scripted model learns nothing: it is
//! copied, so that everything around training can run in seconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::draw::model_files;
use crate::model;
use crate::records::{CheckpointPart, Reason};
use crate::runner::{Io, Signature, Stage, StageError};

/// Makes the next model.
#[derive(Debug, Clone, Serialize)]
pub struct Train {}

impl Train {
    /// 1: the first.
    const VERSION: u32 = 1;
}

/// There is nothing to train on. Says what became of every candidate.
#[derive(Debug, thiserror::Error)]
#[error("no pairs to train on; dropped: {}", counted(.0))]
pub struct NoPairs(BTreeMap<&'static str, u64>);

fn counted(dropped: &BTreeMap<&'static str, u64>) -> String {
    let counts: Vec<String> = dropped.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    if counts.is_empty() {
        "none, for there were no candidates".to_owned()
    } else {
        counts.join(", ")
    }
}

#[derive(Deserialize)]
struct Candidate {
    kept: bool,
    reason: Option<Reason>,
}

impl Stage for Train {
    fn signature(&self) -> Signature {
        Signature::of("train", Self::VERSION, self)
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        refuse_no_pairs(io)?;
        let files = model_files(io)?;
        model::open(&files, &model::Device::Cpu)?;
        let mut parts = Vec::with_capacity(files.len());
        for (file, path) in files {
            let (object, bytes) = io.keep_file(&file, &path)?;
            let object = object.to_hex();
            parts.push(CheckpointPart {
                file,
                tensor: None,
                dtype: None,
                shape: None,
                offset: 0,
                bytes,
                digest: object.clone(),
                object,
            });
        }
        io.check_unchanged("model")?;
        io.write(parts.into_iter().map(Ok))
    }
}

fn refuse_no_pairs(io: &Io<'_>) -> Result<(), StageError> {
    let mut dropped: BTreeMap<&'static str, u64> = BTreeMap::new();
    for candidate in io.rows::<Candidate>("pairs")? {
        let candidate = candidate?;
        if candidate.kept {
            return Ok(());
        }
        if let Some(reason) = candidate.reason {
            *dropped.entry(reason.as_str()).or_default() += 1;
        }
    }
    Err(NoPairs(dropped).into())
}
