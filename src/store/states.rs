//! States of long work, each named by how far it had come and by the digest of its bytes.
//!
//! A stage takes a state up again after a kill. One byte that is not what it was would end in rows that
//! nobody could tell from right ones, so the bytes are checked before they are used.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::error::Error;
use super::file::{self, HashedFile, digest_file, name_of};

/// The folder of a run's states.
#[derive(Debug, Clone)]
pub struct States {
    folder: PathBuf,
}

/// A state, and what its name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// How far the work had come, in units of its own.
    pub done: u64,
    /// The file.
    pub path: PathBuf,
    pub(super) digest: Digest,
}

impl States {
    pub(super) const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Keeps a state, as `write` writes it. When this returns, a power cut does not take it.
    ///
    /// # Errors
    /// [`Error::Write`] when the disk refuses; the state is then not there at all. Else what `write`
    /// says.
    pub fn save<E: From<Error>>(
        &self,
        done: u64,
        write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut file = HashedFile::create(&self.folder)?;
        write(&mut file)?;
        file.finish(|digest| self.folder.join(format!("{done:08}-{digest}.state")))?;
        Ok(())
    }

    /// Lists the states, the furthest first.
    ///
    /// # Errors
    /// [`Error::Read`] where the folder cannot be listed.
    pub fn list(&self) -> Result<Vec<State>, Error> {
        let files = file::list(&self.folder)?;
        let mut states: Vec<State> = files.iter().filter_map(|path| State::parse(path)).collect();
        states.sort_by(|a, b| (b.done, &b.path).cmp(&(a.done, &a.path)));
        Ok(states)
    }

    /// Removes every state that `keep` does not want, and what a crash left beside them.
    ///
    /// # Errors
    /// [`Error::Write`] where one cannot be removed.
    pub fn retain(&self, keep: impl Fn(&State) -> bool) -> Result<(), Error> {
        for path in file::list(&self.folder)? {
            if !State::parse(&path).is_some_and(|state| keep(&state)) {
                fs::remove_file(&path).map_err(|source| Error::write(&path, source))?;
            }
        }
        Ok(())
    }
}

impl State {
    /// Reads `00000050-<digest>.state`.
    pub(super) fn parse(path: &Path) -> Option<Self> {
        let (done, digest) = name_of(path).strip_suffix(".state")?.split_once('-')?;
        Some(Self { done: done.parse().ok()?, digest: digest.parse().ok()?, path: path.to_owned() })
    }

    /// Checks that the file holds the bytes that its name promises.
    ///
    /// # Errors
    /// [`Error::Read`] where it cannot be read, [`Error::Unreadable`] where it is damaged.
    pub fn check(&self) -> Result<(), Error> {
        let found = digest_file(&self.path)?;
        if found == self.digest {
            return Ok(());
        }
        let reason = format!("its bytes hash to {}", found.short());
        Err(Error::Unreadable { path: self.path.clone(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(folder: &Path, done: u64) -> State {
        let states = States::new(folder.to_owned());
        let bytes: Vec<u8> = (0..200).map(|i| u8::try_from(i).unwrap_or(0)).collect();
        states
            .save::<Error>(done, |to| to.write_all(&bytes).map_err(|e| Error::write(folder, e)))
            .unwrap();
        states.list().unwrap().remove(0)
    }

    #[test]
    fn no_byte_of_a_state_changes_unseen() {
        let folder = tempfile::tempdir().unwrap();
        let state = saved(folder.path(), 50);
        state.check().unwrap();
        let bytes = fs::read(&state.path).unwrap();
        fs::remove_file(&state.path).unwrap();
        for (place, bit) in (0..bytes.len()).flat_map(|place| [(place, 1), (place, 0x80)]) {
            let mut bytes = bytes.clone();
            bytes[place] ^= bit;
            fs::write(&state.path, &bytes).unwrap();
            let error = state.check().unwrap_err().to_string();
            assert!(error.contains("is damaged: its bytes hash to"), "{error}");
        }
        for length in 0..bytes.len() {
            fs::write(&state.path, &bytes[..length]).unwrap();
            state.check().unwrap_err();
        }
        fs::remove_file(&state.path).unwrap();
        assert!(matches!(state.check(), Err(Error::Read { .. })), "it is gone");
    }

    #[test]
    fn the_furthest_state_comes_first_and_what_is_not_kept_goes() {
        let folder = tempfile::tempdir().unwrap();
        let states = States::new(folder.path().join("checkpoint"));
        assert_eq!(states.list().unwrap(), [], "there is no folder yet");
        for done in [50, 150, 100] {
            saved(&states.folder, done);
        }
        fs::write(states.folder.join(".tmp-left"), "by a crash").unwrap();
        let done = |states: &States| -> Vec<u64> {
            states.list().unwrap().iter().map(|state| state.done).collect()
        };
        assert_eq!(done(&states), [150, 100, 50]);
        states.retain(|state| state.done > 50).unwrap();
        assert_eq!(done(&states), [150, 100]);
        assert_eq!(fs::read_dir(&states.folder).unwrap().count(), 2);
    }
}
