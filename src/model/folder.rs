//! The files of a model's folder, by name: found and read.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::error::Error;

/// The name that a GGUF file has among the files of a model, whatever it is called: it is all of them.
pub(super) const GGUF: &str = "model.gguf";

/// Lists the files of a folder by name, but for hidden ones. A GGUF file is a model by itself.
///
/// # Errors
/// Where it cannot be read.
pub fn listed(folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    if folder.is_file() && begins_as_gguf(folder)? {
        return Ok(BTreeMap::from([(GGUF.to_owned(), folder.to_owned())]));
    }
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() && !name.starts_with('.') {
            files.insert(name, entry.path());
        }
    }
    Ok(files)
}

fn begins_as_gguf(path: &Path) -> io::Result<bool> {
    let mut magic = Vec::new();
    fs::File::open(path)?.take(4).read_to_end(&mut magic)?;
    Ok(magic == b"GGUF")
}

/// The GGUF file that a model is, where it is one.
#[must_use]
pub fn gguf_of(files: &BTreeMap<String, PathBuf>) -> Option<&Path> {
    match files.first_key_value() {
        Some((name, path)) if name == GGUF && files.len() == 1 => Some(path),
        _ => None,
    }
}

/// The file of a name.
pub(super) fn file_of<'f>(
    files: &'f BTreeMap<String, PathBuf>,
    name: &str,
) -> Result<&'f Path, Error> {
    files.get(name).map(PathBuf::as_path).ok_or_else(|| Error::NoFile(name.to_owned()))
}

/// Reads a file of text.
pub(super) fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

/// Reads a file of JSON.
pub(super) fn parse<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    serde_json::from_str(&read(path)?)
        .map_err(|e| Error::Config { path: path.to_owned(), reason: e.to_string() })
}

/// Writes a file beside its place, then moves it there.
pub(super) fn replace_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
) -> Result<(), Error> {
    let fail = |source| Error::Write { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    write(&mut writer).map_err(|error| match error {
        Error::WriteWeights(source) => fail(source),
        other => other,
    })?;
    let file = writer.into_inner().map_err(|e| fail(e.into_error()))?;
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}
