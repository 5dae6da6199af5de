//! What a process remembers of the objects that it hashed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::digest::Digest;
use super::stamp::Stamp;

/// Objects whose bytes were found to be those that their names promise, and how they looked then.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<BTreeMap<Digest, Stamp>>);

impl Memory {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<Digest, Stamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the object looked when it was checked; `None` where it was not.
    pub(super) fn stamp(&self, object: Digest) -> Option<Stamp> {
        self.objects().get(&object).cloned()
    }

    /// Notes that an object was checked.
    pub(super) fn learn(&self, object: Digest, stamp: Stamp) {
        self.objects().insert(object, stamp);
    }

    /// Takes over what another process noted.
    pub(super) fn recall(&self, noted: &BTreeMap<Digest, Stamp>) {
        let mut objects = self.objects();
        for (object, stamp) in noted {
            objects.entry(*object).or_insert_with(|| stamp.clone());
        }
    }
}
