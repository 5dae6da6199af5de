//! Small files of JSON that vouch for themselves: manifests, plans, pins, digests of sources.
//!
//! The first field, `digest`, is the BLAKE3 of the file without the line it stands on: `sed 2d FILE | b3sum`
//! finds it again. A flipped bit anywhere in the file is told from a file that was written so. Version 0.1.0
//! (format 1) wrote no such line; its files are read as they are.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::error::Error;
use super::file;
use super::format::FORMAT;

/// The first format whose files vouch for themselves.
const SEALED_SINCE: u32 = 2;

const BEFORE: &str = "{\n  \"digest\": \"";
const AFTER: &str = "\",\n";
const HEX: usize = 64;

/// Writes `value`, a struct whose JSON has a `format`, to `path`, replacing what was there in one step.
pub(super) fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::write(path, e.into()))?;
    let content = format!("{text}\n");
    let digest = Digest::of(content.as_bytes());
    let rest = content.strip_prefix("{\n").unwrap_or(&content);
    file::write_text(path, &format!("{BEFORE}{digest}{AFTER}{rest}"))
}

/// Reads what [`write`] wrote; `None` where there is no such file.
///
/// The digest is looked at first, then the format, then the shape: a newer mrx may have changed the shape.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let Some(text) = file::read_text(path)? else { return Ok(None) };
    let sealed = check_seal(&text).map_err(|reason| Error::unreadable(path, reason))?;
    let unreadable = |e: serde_json::Error| Error::unreadable(path, e);
    let Head { format: found } = serde_json::from_str(&text).map_err(unreadable)?;
    if found > FORMAT {
        return Err(Error::Newer { path: path.to_owned(), found });
    }
    if found >= SEALED_SINCE && !sealed {
        return Err(Error::unreadable(path, "it does not carry the digest of its content"));
    }
    serde_json::from_str(&text).map(Some).map_err(unreadable)
}

/// Whether the text carries the digest of its content, which then has to be the right one.
fn check_seal(text: &str) -> Result<bool, String> {
    let Some((promised, rest)) =
        text.strip_prefix(BEFORE).and_then(|rest| rest.split_at_checked(HEX))
    else {
        return Ok(false);
    };
    let Some(rest) = rest.strip_prefix(AFTER) else { return Ok(false) };
    let found = Digest::of(format!("{{\n{rest}").as_bytes()).to_hex();
    if found == promised {
        Ok(true)
    } else {
        Err(format!("its content hashes to {}", &found[..12]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Note {
        format: u32,
        text: String,
        seconds: f64,
    }

    fn note(format: u32) -> Note {
        Note { format, text: "an \"odd\" text\nof two lines".to_owned(), seconds: 0.1 + 0.2 }
    }

    #[test]
    fn whatever_byte_is_flipped_or_cut_off_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("note.json");
        write(&path, &note(FORMAT)).unwrap();
        assert_eq!(read::<Note>(&path).unwrap(), Some(note(FORMAT)));
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            for mask in [1, 2, 0x20, 0x80] {
                let mut flipped = whole.clone();
                flipped[at] ^= mask;
                std::fs::write(&path, &flipped).unwrap();
                let told = read::<Note>(&path).unwrap_err();
                assert!(told.is_damage(), "byte {at} under {mask}: {told}");
            }
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(read::<Note>(&path).unwrap_err().is_damage(), "cut at {at}");
        }
    }

    #[test]
    fn the_digest_is_what_b3sum_says_of_the_other_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("note.json");
        write(&path, &note(FORMAT)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.split_inclusive('\n').enumerate().filter(|(number, _)| *number != 1);
        let others: String = lines.map(|(_, line)| line).collect();
        assert!(text.contains(&Digest::of(others.as_bytes()).to_hex()));
    }

    #[test]
    fn what_the_first_version_wrote_is_read_and_the_future_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("note.json");
        std::fs::write(&path, serde_json::to_string(&note(1)).unwrap()).unwrap();
        assert_eq!(read::<Note>(&path).unwrap(), Some(note(1)));
        write(&path, &note(FORMAT + 1)).unwrap();
        assert!(matches!(read::<Note>(&path), Err(Error::Newer { .. })));
    }
}
