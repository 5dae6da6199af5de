//! Objects: immutable bytes under `objects/`, named by their digest.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::file::{self, HashedFile};
use super::{Digest, Error, Prefix, Resolved, Store, digest_file};

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
        io::copy(&mut source, &mut writer).map_err(|source| Error::read(path, source))?;
        writer.finish()
    }

    /// Whether the object is there with this many bytes: the quick look before a hit.
    #[must_use]
    pub fn has(&self, digest: Digest, bytes: u64) -> bool {
        fs::metadata(self.object_path(digest)).is_ok_and(|found| found.len() == bytes)
    }

    /// Checks that the object holds the bytes its name promises, and returns its path.
    ///
    /// # Errors
    /// [`Error::ObjectMissing`] or [`Error::ObjectDamaged`].
    pub fn checked_path(&self, digest: Digest) -> Result<PathBuf, Error> {
        let path = self.object_path(digest);
        let found = match digest_file(&path) {
            Ok(found) => found,
            Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(Error::ObjectMissing { digest });
            }
            Err(other) => return Err(other),
        };
        if found == digest {
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

/// Returns the last component of a path, empty where it is not Unicode.
pub(super) fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
