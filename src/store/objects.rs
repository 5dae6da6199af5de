//! Objects: immutable bytes under `objects/`, named by their digest.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::digest::{Digest, Prefix, Resolved};
use super::error::Error;
use super::file::{self, HashedFile, digest_file, name_of};
use super::layout::Store;
use super::stamp::Stamp;

/// How much of a file is in memory while it is copied.
const COPIED_AT_ONCE: usize = 1 << 20;

/// Bytes on their way to becoming an object. Dropping it leaves nothing behind.
#[must_use = "nothing is kept until finish() names it"]
pub struct ObjectWriter {
    file: HashedFile,
    objects: PathBuf,
}

impl ObjectWriter {
    /// Syncs the bytes, gives them their name, and returns it with their count.
    ///
    /// # Errors
    /// [`Error::Write`] when the disk refuses; nothing is left behind then.
    pub fn finish(self) -> Result<(Digest, u64), Error> {
        let objects = self.objects;
        self.file.finish(|digest| path_in(&objects, digest))
    }
}

impl Write for ObjectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn path_in(objects: &Path, digest: Digest) -> PathBuf {
    let hex = digest.to_hex();
    objects.join(&hex[..2]).join(&hex[2..])
}

impl Store {
    /// Returns the folder of objects.
    #[must_use]
    pub fn objects_folder(&self) -> PathBuf {
        self.root().join("objects")
    }

    /// Returns where the object of this name is, or would be.
    #[must_use]
    pub fn object_path(&self, digest: Digest) -> PathBuf {
        path_in(&self.objects_folder(), digest)
    }

    /// Opens a writer for a new object.
    ///
    /// # Errors
    /// [`Error::Write`] where the store cannot be written.
    pub fn object_writer(&self) -> Result<ObjectWriter, Error> {
        let objects = self.objects_folder();
        Ok(ObjectWriter { file: HashedFile::create(&objects)?, objects })
    }

    /// Keeps these bytes as an object and returns its name.
    ///
    /// # Errors
    /// As [`ObjectWriter::finish`].
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, Error> {
        let mut writer = self.object_writer()?;
        writer.write_all(bytes).map_err(|source| Error::write(&self.objects_folder(), source))?;
        Ok(writer.finish()?.0)
    }

    /// Keeps a copy of the file at `path` as an object.
    ///
    /// # Errors
    /// [`Error::Read`] for the file, else as [`ObjectWriter::finish`].
    pub fn put_file(&self, path: &Path) -> Result<(Digest, u64), Error> {
        let mut source = File::open(path).map_err(|source| Error::read(path, source))?;
        let mut writer = self.object_writer()?;
        let mut portion = vec![0; COPIED_AT_ONCE];
        loop {
            let read = match source.read(&mut portion) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(Error::read(path, source)),
            };
            let wrote = |source| Error::write(&self.objects_folder(), source);
            writer.write_all(&portion[..read]).map_err(wrote)?;
        }
        writer.finish()
    }

    /// Whether the object is there with this many bytes, where they are known: the quick look before a
    /// hit.
    #[must_use]
    pub fn has(&self, digest: Digest, bytes: impl Into<Option<u64>>) -> bool {
        let bytes = bytes.into();
        let found = fs::metadata(self.object_path(digest));
        found.is_ok_and(|found| bytes.is_none_or(|bytes| found.len() == bytes))
    }

    /// Checks that the object holds the bytes its name promises, and returns its path. A process hashes
    /// an object once: again only where it has changed since.
    ///
    /// # Errors
    /// [`Error::ObjectMissing`] or [`Error::ObjectDamaged`].
    pub fn checked_path(&self, digest: Digest) -> Result<PathBuf, Error> {
        let path = self.object_path(digest);
        let missing = |error| match error {
            Error::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Error::ObjectMissing { digest }
            }
            other => other,
        };
        let stamp = Stamp::of(&path).map_err(missing)?;
        if self.checked().stamp(digest).as_ref() == Some(&stamp) {
            return Ok(path);
        }
        let found = digest_file(&path).map_err(missing)?;
        if found == digest {
            self.checked().learn(digest, stamp);
            return Ok(path);
        }
        let reason = format!("its bytes hash to {}", found.short());
        Err(Error::ObjectDamaged { digest, reason })
    }

    /// Lists every file under `objects/` with the digest its name spells, if it spells one.
    ///
    /// # Errors
    /// [`Error::Read`] where a folder cannot be listed.
    pub(super) fn object_files(&self) -> Result<Vec<(PathBuf, Option<Digest>)>, Error> {
        let mut files = Vec::new();
        for entry in file::list(&self.objects_folder())? {
            if !entry.is_dir() {
                files.push((entry, None));
                continue;
            }
            let first = name_of(&entry).to_owned();
            let inner = file::list(&entry)?;
            files.extend(inner.into_iter().map(|path| {
                let digest = format!("{first}{}", name_of(&path)).parse().ok();
                (path, digest)
            }));
        }
        Ok(files)
    }

    /// Resolves the first digits of an object's or a run's name.
    ///
    /// # Errors
    /// [`Error::Read`] where a folder cannot be listed.
    pub fn resolve(&self, prefix: &Prefix) -> Result<Resolved, Error> {
        let starts = |digest: &Digest| digest.to_hex().starts_with(prefix.as_str());
        let folder = self.objects_folder().join(&prefix.as_str()[..2]);
        let first = &prefix.as_str()[..2];
        let objects = file::list(&folder)?
            .into_iter()
            .filter_map(|path| format!("{first}{}", name_of(&path)).parse().ok());
        Ok(objects.chain(self.run_keys()?).filter(starts).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Changes a byte of a file so that its length, time and inode stay.
    fn flip_unseen(path: &Path) {
        let modified = fs::metadata(path).unwrap().modified().unwrap();
        let mut bytes = fs::read(path).unwrap();
        bytes[0] ^= 1;
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(path, bytes).unwrap();
        File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
    }

    #[test]
    fn a_process_hashes_an_object_once_and_again_when_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let object = store.put(b"some bytes").unwrap();
        let path = store.checked_path(object).unwrap();
        flip_unseen(&path);
        assert!(store.clone().checked_path(object).is_ok(), "it is not hashed again");
        let other = Store::open(folder.path()).unwrap();
        assert!(matches!(other.checked_path(object), Err(Error::ObjectDamaged { .. })));
        fs::write(&path, b"other bytes").unwrap();
        assert!(matches!(store.checked_path(object), Err(Error::ObjectDamaged { .. })));
        fs::remove_file(&path).unwrap();
        assert!(matches!(store.checked_path(object), Err(Error::ObjectMissing { .. })));
    }

    #[test]
    fn a_big_object_is_remembered_between_questions_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let [big, small] = [vec![1; 1 << 20], vec![2; 10]].map(|bytes| store.put(&bytes).unwrap());
        store.check_objects([big, small]).unwrap();
        let again = || Store::open(folder.path()).unwrap();
        flip_unseen(&store.object_path(big));
        again().check_objects([big, small]).unwrap();
        flip_unseen(&store.object_path(small));
        let told = again().check_objects([big, small]).unwrap_err();
        assert!(matches!(told, Error::ObjectDamaged { digest, .. } if digest == small), "{told}");
        // Whatever is remembered, `verify` hashes all.
        assert_eq!(again().verify().unwrap().findings.len(), 2);
        File::open(store.object_path(big))
            .unwrap()
            .set_modified(std::time::SystemTime::now())
            .unwrap();
        assert!(again().check_objects([big]).is_err(), "it has changed since");
    }
}
