//! The state between two steps, as one safetensors file: weights, running means, the number of the
//! step, and a digest of what the run was made from.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor, Var};

use super::Error;
use super::adamw::Moments;
use crate::model::weights::write_tensors;

/// A state that was read.
pub(super) struct Saved {
    pub(super) done: usize,
    tensors: HashMap<String, Tensor>,
}

pub(super) fn save<'s>(
    path: &Path,
    done: usize,
    fingerprint: &[u8; 32],
    weights: impl Iterator<Item = (&'s str, &'s Var, &'s Moments)>,
) -> Result<(), Error> {
    let device = &Device::Cpu;
    let step = i64::try_from(done).unwrap_or(i64::MAX);
    let mut tensors = vec![
        ("step".to_owned(), Tensor::new(&[step], device)?),
        ("run".to_owned(), Tensor::new(fingerprint.as_slice(), device)?),
    ];
    for (name, var, Moments { mean, square }) in weights {
        let moment = |numbers: &Vec<f32>| Tensor::from_slice(numbers, var.shape(), device);
        tensors.push((format!("weight.{name}"), var.as_detached_tensor()));
        tensors.push((format!("mean.{name}"), moment(mean)?));
        tensors.push((format!("square.{name}"), moment(square)?));
    }
    Ok(write_tensors(tensors, path)?)
}

/// Reads what [`save`] wrote.
pub(super) fn load(path: &Path, fingerprint: &[u8; 32]) -> Result<Saved, Error> {
    let fail = |reason: String| Error::State { path: path.to_owned(), reason };
    let mut tensors =
        candle_core::safetensors::load(path, &Device::Cpu).map_err(|e| fail(e.to_string()))?;
    let mut take =
        |name: &str| tensors.remove(name).ok_or_else(|| fail(format!("it has no `{name}`")));
    let found = take("run")?.to_vec1::<u8>()?;
    if found != fingerprint {
        return Err(fail("it is of a run with other settings or other examples".to_owned()));
    }
    let step = take("step")?.to_vec1::<i64>()?;
    let done = step.first().and_then(|step| usize::try_from(*step).ok());
    let done = done.ok_or_else(|| fail("its step is not a number".to_owned()))?;
    Ok(Saved { done, tensors })
}

impl Saved {
    /// The weight of a name and its running means.
    pub(super) fn take(
        &mut self,
        path: &Path,
        name: &str,
        like: &Var,
    ) -> Result<(Tensor, Moments), Error> {
        let mut get = |kind: &str| {
            let name = format!("{kind}.{name}");
            match self.tensors.remove(&name) {
                Some(tensor) if tensor.shape() == like.shape() => Ok(tensor),
                _ => Err(Error::State {
                    path: path.to_owned(),
                    reason: format!("it has no `{name}` of the shape {:?}", like.dims()),
                }),
            }
        };
        let (weight, mean, square) = (get("weight")?, get("mean")?, get("square")?);
        let numbers = |tensor: Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let moments = Moments { mean: numbers(mean)?, square: numbers(square)? };
        Ok((weight.to_device(like.device())?, moments))
    }
}
