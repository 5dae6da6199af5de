//! What is trained of a model, and how it is written: all weights of a network, or an adapter's tensors.

use std::io::{self, Write};

use crate::model::adapter::{ADAPTER_WEIGHTS, Adapter};
use crate::model::weights::{self, StoredTensor};
use crate::model::{Config, Error, Weights};
use crate::store::Digest;

/// The form of what is trained.
#[derive(Clone, Copy)]
pub(super) struct Form<'f> {
    pub(super) config: &'f Config,
    /// The adapter whose tensors they are, where they are not the network's.
    pub(super) adapter: Option<&'f Adapter>,
}

impl Form<'_> {
    /// The file that holds them in a model's folder.
    pub(super) const fn file(&self) -> &'static str {
        if self.adapter.is_some() { ADAPTER_WEIGHTS } else { "model.safetensors" }
    }

    /// Writes them as safetensors.
    pub(super) fn write(
        &self,
        weights: &Weights,
        to: &mut dyn Write,
        wrote: &mut dyn FnMut(StoredTensor, &[u8]),
    ) -> Result<(), Error> {
        match self.adapter {
            Some(adapter) => adapter.write(weights, self.config, to, wrote),
            None => weights::write(weights, self.config, to, wrote),
        }
    }

    /// A digest of each of them.
    pub(super) fn digests(&self, weights: &Weights) -> Result<Vec<Digest>, Error> {
        let mut digests = Vec::new();
        self.write(weights, &mut io::sink(), &mut |_, bytes| digests.push(Digest::of(bytes)))?;
        Ok(digests)
    }
}
