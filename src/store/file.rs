//! How bytes reach the disk: written to a temporary file beside their place, synced, then renamed.
//!
//! A reader sees the old file, the new file or no file, never half of one.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::digest::Digest;
use super::error::Error;

/// The prefix of temporary files; `gc` sweeps those that a crash left behind.
pub(super) const TEMPORARY: &str = ".tmp-";

/// Files smaller than this are hashed each time: that is faster than remembering them.
pub(super) const WORTH_REMEMBERING: u64 = 1 << 20;

/// Returns the digest of the file at `path`.
///
/// # Errors
/// [`Error::Read`] where it cannot be read.
pub fn digest_file(path: &Path) -> Result<Digest, Error> {
    let mut hasher = blake3::Hasher::new();
    let hashed = File::open(path).and_then(|file| {
        if file.metadata()?.len() < WORTH_REMEMBERING {
            hasher.update_reader(file).map(|_| ())
        } else {
            hasher.update_mmap_rayon(path).map(|_| ())
        }
    });
    hashed.map_err(|source| Error::read(path, source))?;
    Ok(hasher.finalize().into())
}

/// Bytes on their way to a place on disk, hashed while they are written.
///
/// Dropping it without [`HashedFile::finish`] removes what was written.
pub(super) struct HashedFile {
    writer: BufWriter<NamedTempFile>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl HashedFile {
    /// Opens a temporary file in `folder`, which is made when it is missing.
    pub(super) fn create(folder: &Path) -> Result<Self, Error> {
        let writer = BufWriter::with_capacity(1 << 20, temporary(folder, 0o444)?);
        Ok(Self { writer, hasher: blake3::Hasher::new(), bytes: 0 })
    }

    /// Syncs the bytes and gives them their place, which `place` derives from their digest.
    ///
    /// A file already there is replaced: its name promises the same bytes, and it may be damaged.
    pub(super) fn finish(
        self,
        place: impl FnOnce(Digest) -> PathBuf,
    ) -> Result<(Digest, u64), Error> {
        let digest = Digest::from(self.hasher.finalize());
        let path = place(digest);
        let wrote = |source: io::Error| Error::write(&path, source);
        let file = self.writer.into_inner().map_err(|e| wrote(e.into_error()))?;
        let parent = path.parent().unwrap_or(&path);
        create_folder(parent)?;
        file.as_file().sync_all().map_err(wrote)?;
        file.persist(&path).map_err(|e| wrote(e.error))?;
        sync_folder(parent)?;
        Ok((digest, self.bytes))
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Opens a temporary file in `folder`; `mode` is what it shall have at its place, less the umask.
fn temporary(folder: &Path, mode: u32) -> Result<NamedTempFile, Error> {
    create_folder(folder)?;
    tempfile::Builder::new()
        .prefix(TEMPORARY)
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(|source| Error::write(folder, source))
}

/// Makes a folder and those above it.
pub(super) fn create_folder(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|source| Error::write(folder, source))
}

/// Makes a rename in `folder` outlive a power cut.
fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| Error::write(folder, source))
}

/// Writes `text` to `path`, replacing what was there in one step.
pub(super) fn write_text(path: &Path, text: &str) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(path);
    let wrote = |source: io::Error| Error::write(path, source);
    let mut file = temporary(folder, 0o644)?;
    file.write_all(text.as_bytes()).map_err(wrote)?;
    file.as_file().sync_all().map_err(wrote)?;
    file.persist(path).map_err(|e| wrote(e.error))?;
    sync_folder(folder)
}

/// Reads the text at `path`; `None` where there is no such file. Bytes that are not text are damage.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) if source.kind() == io::ErrorKind::InvalidData => {
            Err(Error::unreadable(path, "it is no text in UTF-8"))
        }
        Err(source) => Err(Error::read(path, source)),
    }
}

/// Lists the entries of `folder` by name; none where the folder is missing.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::read(folder, source)),
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|source| Error::read(folder, source))?;
    paths.sort_unstable();
    Ok(paths)
}

/// Returns the last component of a path, empty where it is not Unicode.
pub(super) fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
