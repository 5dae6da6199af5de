//! The state between two steps, as one safetensors file: weights, running means, the number of the
//! step, and a digest of what the run was made from.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use candle_core::{DType, Device, Tensor};

use super::adamw::Moments;
use super::error::Error;
use crate::model::Weights;
use crate::model::weights::{Pending, write_tensors};

/// A state that was read.
pub(super) struct Saved {
    path: PathBuf,
    tensors: HashMap<String, Tensor>,
}

/// All that the next steps depend on, as it is after some step. It shares its memory with the trainer, whose
/// next step goes on beside it but moves no weight before this is dropped.
pub struct Snapshot {
    pub(super) done: usize,
    pub(super) fingerprint: [u8; 32],
    pub(super) trained: Vec<(String, Tensor, Moments)>,
    /// Its end tells the trainer that this was dropped.
    pub(super) _held: Sender<()>,
}

impl Snapshot {
    /// Writes it, one tensor at a time.
    ///
    /// # Errors
    /// Where `to` cannot be written.
    pub fn write(&self, to: &mut dyn Write) -> Result<(), Error> {
        let (device, fingerprint) = (&Device::Cpu, self.fingerprint);
        let step = i64::try_from(self.done).unwrap_or(i64::MAX);
        let mut pending = vec![
            Pending::new("step".to_owned(), (DType::I64, &[1]), move || {
                Tensor::new(&[step], device)
            }),
            Pending::new("run".to_owned(), (DType::U8, &[fingerprint.len()]), move || {
                Tensor::new(&fingerprint, device)
            }),
        ];
        for (name, weight, Moments { mean, square }) in &self.trained {
            for (kind, tensor) in [("weight", weight), ("mean", mean), ("square", square)] {
                let numbers = || Ok::<_, candle_core::Error>(tensor.clone());
                let like = (tensor.dtype(), tensor.dims());
                pending.push(Pending::new(format!("{kind}.{name}"), like, numbers));
            }
        }
        Ok(write_tensors(pending, to, &mut |_, _| {})?)
    }

    /// The weights in it.
    #[must_use]
    pub fn weights(&self) -> Weights {
        self.trained.iter().map(|(name, weight, _)| (name.clone(), weight.clone())).collect()
    }
}

/// Reads what [`Snapshot::write`] wrote after `done` steps.
pub(super) fn load(path: &Path, done: usize, fingerprint: [u8; 32]) -> Result<Saved, Error> {
    let fail = |reason: String| Error::State { path: path.to_owned(), reason };
    let mut tensors =
        candle_core::safetensors::load(path, &Device::Cpu).map_err(|e| fail(e.to_string()))?;
    let mut take =
        |name: &str| tensors.remove(name).ok_or_else(|| fail(format!("it has no `{name}`")));
    let unlike = |e: candle_core::Error| fail(e.to_string());
    if take("run")?.to_vec1::<u8>().map_err(unlike)? != fingerprint {
        return Err(fail("it is of a run with other settings or other examples".to_owned()));
    }
    match take("step")?.to_vec1::<i64>().map_err(unlike)?[..] {
        [step] if usize::try_from(step) == Ok(done) => {}
        ref steps => {
            return Err(fail(format!("expected a state after step {done}, found {steps:?}")));
        }
    }
    Ok(Saved { path: path.to_owned(), tensors })
}

impl Saved {
    /// The weight of a name and its running means.
    pub(super) fn take(&mut self, name: &str, like: &Tensor) -> Result<(Tensor, Moments), Error> {
        let mut get = |kind: &str| {
            let name = format!("{kind}.{name}");
            match self.tensors.remove(&name) {
                Some(tensor)
                    if tensor.shape() == like.shape() && tensor.dtype() == like.dtype() =>
                {
                    Ok(tensor)
                }
                _ => Err(Error::State {
                    path: self.path.clone(),
                    reason: format!("it has no `{name}` of the shape {:?}", like.dims()),
                }),
            }
        };
        let mut get = |kind: &str| Ok::<_, Error>(get(kind)?.to_device(like.device())?);
        let (weight, mean, square) = (get("weight")?, get("mean")?, get("square")?);
        Ok((weight, Moments { mean, square }))
    }
}
