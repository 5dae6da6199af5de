//! Which objects were hashed already, so that each is hashed once.
//!
//! A process remembers every object that it checked. For questions, big objects are remembered on disk too:
//! while one's length, time and inode stay, its bytes are taken to stay; `verify` hashes them all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::error::Error;
use super::file::WORTH_REMEMBERING;
use super::format::FORMAT;
use super::layout::Store;
use super::sealed;
use super::stamp::Stamp;

/// What is remembered on disk.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    format: u32,
    objects: BTreeMap<Digest, Stamp>,
}

impl Store {
    fn checked_list(&self) -> PathBuf {
        self.root().join("checked.json")
    }

    /// Reads the list of objects that were checked.
    fn read_checked(&self) -> Result<Kept, Error> {
        Ok(sealed::read(&self.checked_list())?.unwrap_or_default())
    }

    /// Checks that the list is what was written.
    pub(super) fn check_list(&self) -> Result<(), Error> {
        self.read_checked().map(|_| ())
    }

    /// Checks the bytes of the objects that a question is asked of, those that were checked before and
    /// have not changed since left out.
    ///
    /// # Errors
    /// [`Error::ObjectMissing`] or [`Error::ObjectDamaged`], naming the first.
    pub fn check_objects(&self, objects: impl IntoIterator<Item = Digest>) -> Result<(), Error> {
        let objects: BTreeSet<Digest> = objects.into_iter().collect();
        if objects.iter().all(|object| self.was_checked(*object)) {
            return Ok(());
        }
        // A list that is damaged or cannot be read saves nothing; `verify` names it.
        let mut kept = self.read_checked().unwrap_or_default();
        self.checked().recall(&kept.objects);
        let objects: Vec<Digest> = objects.into_iter().filter(|o| !self.was_checked(*o)).collect();
        objects.par_iter().try_for_each(|object| self.checked_path(*object).map(|_| ()))?;
        let big = |object: &Digest| {
            let stamp = self.checked().stamp(*object)?;
            (stamp.bytes >= WORTH_REMEMBERING).then_some((*object, stamp))
        };
        let learnt: Vec<(Digest, Stamp)> = objects.iter().filter_map(big).collect();
        if !learnt.is_empty() {
            kept.objects.extend(learnt);
            kept.objects.retain(|object, _| self.object_path(*object).exists());
            kept.format = FORMAT;
            // Where the store may only be read, the objects are hashed again the next time.
            let _ = self.write_sealed(&self.checked_list(), &kept);
        }
        Ok(())
    }

    /// Whether this process checked the object, and it has not changed since.
    fn was_checked(&self, object: Digest) -> bool {
        let now = Stamp::of(&self.object_path(object));
        now.is_ok_and(|now| self.checked().stamp(object) == Some(now))
    }
}
