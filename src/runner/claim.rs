//! A look-up is a hit, or a miss that carries the permission to commit.
//!
//! Only a [`Claim`] can record a run, and only a miss hands one out: nothing is recorded that was
//! not missed first, and, since the claim holds the run's lock, no two processes make the same run.

use std::collections::BTreeMap;

use super::key::RunKey;
use super::name::NodeName;
use crate::store::{
    Cost, Digest, Error, FORMAT, MadeBy, Manifest, Partial, Store, StoredObject, StoredTable,
};

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

/// Names the first of a manifest's tables or objects that is gone or cut short.
pub(super) fn missing_table(store: &Store, manifest: &Manifest) -> Option<String> {
    let tables = manifest.tables.iter();
    let tables = tables.map(|(name, table)| (name, table.object, Some(table.bytes)));
    let objects = manifest.objects.iter().map(|(name, file)| (name, file.object, file.bytes));
    let mut all = tables.chain(objects);
    all.find(|(_, object, bytes)| !store.has(*object, *bytes)).map(|(name, ..)| name.clone())
}

/// What a stage made, ready to be recorded.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) tables: BTreeMap<String, StoredTable>,
    pub(super) objects: BTreeMap<String, StoredObject>,
}

impl Claim {
    pub(super) const fn partial(&self) -> &Partial {
        &self.partial
    }

    /// Records the run. The manifest is written last: a crash leaves orphans, never lies.
    pub(super) fn commit(
        self,
        store: &Store,
        made_for: (&NodeName, &str),
        made: Made,
        cost: Cost,
        made_by: MadeBy,
    ) -> Result<Manifest, Error> {
        let (node, experiment) = made_for;
        let manifest = Manifest {
            format: FORMAT,
            run: self.key.digest(),
            node: node.to_string(),
            experiment: experiment.to_owned(),
            key: self.key.key().clone(),
            tables: made.tables,
            objects: made.objects,
            cost,
            made_by: Some(made_by),
        };
        store.write_manifest(&manifest)?;
        self.partial.discard()?;
        Ok(manifest)
    }
}
