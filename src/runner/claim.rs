//! A look-up is a hit, or a miss that carries the permission to commit.
//!
//! Only a [`Claim`] can record a run, and only a miss hands one out: nothing is recorded that was
//! not missed first, and, since the claim holds the run's lock, no two processes make the same run.

use std::collections::BTreeMap;

use super::RunKey;
use crate::store::{Cost, Digest, Error, FORMAT, Manifest, Partial, Store, StoredTable};

/// What the store knows of a run key.
#[must_use]
pub enum Lookup {
    /// The run is finished, and all it made is there.
    Hit(Box<Manifest>),
    /// It is not; whoever holds the claim makes it.
    Miss(Claim),
}

/// The right to make one run. The run's lock goes with it.
#[must_use = "the run stays unmade"]
pub struct Claim {
    key: RunKey,
    partial: Partial,
}

impl Lookup {
    /// Looks a key up. While another process makes that run, asks `go_on` again and again whether
    /// to wait; `None` once the answer is no.
    ///
    /// # Errors
    /// Where the store cannot be read or written.
    pub fn of(
        store: &Store,
        key: RunKey,
        go_on: impl FnMut() -> bool,
    ) -> Result<Option<Self>, Error> {
        if let Some(manifest) = finished(store, key.digest())? {
            return Ok(Some(Self::Hit(Box::new(manifest))));
        }
        let Some(partial) = store.partial(key.digest(), go_on)? else { return Ok(None) };
        // Another process may have finished it while this one waited.
        if let Some(manifest) = finished(store, key.digest())? {
            partial.discard()?;
            return Ok(Some(Self::Hit(Box::new(manifest))));
        }
        Ok(Some(Self::Miss(Claim { key, partial })))
    }
}

/// Returns the manifest of a run that is finished and whose objects are all there.
pub(super) fn finished(store: &Store, run: Digest) -> Result<Option<Manifest>, Error> {
    let manifest = store.manifest(run)?;
    Ok(manifest.filter(|manifest| missing_table(store, manifest).is_none()))
}

/// Names the first of a manifest's tables or objects that is gone.
pub(super) fn missing_table(store: &Store, manifest: &Manifest) -> Option<String> {
    let tables = manifest.tables.iter();
    let gone = tables.filter(|(_, table)| !store.has(table.object, table.bytes));
    let gone = gone.map(|(name, _)| name.clone()).next();
    let objects = manifest.objects.iter();
    gone.or_else(|| {
        objects
            .filter(|(_, object)| !store.object_path(**object).exists())
            .map(|(name, _)| name.clone())
            .next()
    })
}

/// What a stage made, ready to be recorded.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) tables: BTreeMap<String, StoredTable>,
    pub(super) objects: BTreeMap<String, Digest>,
}

impl Claim {
    pub(super) const fn partial(&self) -> &Partial {
        &self.partial
    }

    /// Records the run. The manifest is written last: a crash leaves orphans, never lies.
    pub(super) fn commit(
        self,
        store: &Store,
        node: &super::NodeName,
        experiment: &str,
        made: Made,
        cost: Cost,
    ) -> Result<Manifest, Error> {
        let manifest = Manifest {
            format: FORMAT,
            run: self.key.digest(),
            node: node.to_string(),
            experiment: experiment.to_owned(),
            key: self.key.json().clone(),
            tables: made.tables,
            objects: made.objects,
            cost,
        };
        store.write_manifest(&manifest)?;
        self.partial.discard()?;
        Ok(manifest)
    }
}
