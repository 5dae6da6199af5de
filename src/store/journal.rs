//! Journals: rows that are safe on disk one by one, in whatever order they came, before their table is.
//!
//! A journal is a file to which only is added. Each record says which row it is and carries a checksum
//! that binds it to its place: run, table and row. A kill takes nothing that was added, a power cut
//! what was added since the last [`Journal::sync`]. Whatever does not check is left out and told of,
//! never read: those rows are drawn again.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::file::name_of;
use super::record::Record;

/// Begins every record, so that the next one is found after one that is damaged.
const MARK: [u8; 4] = [0xD7, b'm', b'r', b'x'];

/// Bytes before a record's row: mark, length, number and checksum.
const HEAD: usize = 4 + 4 + 8 + 16;

/// What a journal's file name ends in.
const EXTENSION: &str = "journal";

/// The rows of one table that have landed so far.
#[derive(Debug)]
pub struct Journal<R> {
    path: PathBuf,
    file: File,
    key: [u8; 32],
    /// Where each row is, by number; 0 where it has not landed.
    places: Vec<RecordSpan>,
    landed: u64,
    end: u64,
    unsynced: bool,
    record: PhantomData<fn(R)>,
}

/// Where a record's row begins, and its length.
#[derive(Debug, Clone, Copy, Default)]
struct RecordSpan {
    start: u64,
    length: u32,
}

/// Bytes of a journal that are not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// Where they begin.
    pub at: u64,
    /// How many they are.
    pub bytes: u64,
    /// Whether the journal ends in them, as a kill in the middle of a record leaves it.
    pub torn: bool,
}

impl<R: Record> Journal<R> {
    /// Opens the journal in a folder of work in hand, of a table that will have `rows` rows, and tells
    /// what of it is lost. What a kill tore off its end is cut away.
    pub(super) fn open(folder: &Path, rows: u64) -> Result<(Self, Vec<Lost>), Error> {
        let path = folder.join(format!("{}.{EXTENSION}", R::TABLE));
        let mut options = File::options();
        let file = options.create(true).truncate(false).read(true).append(true).open(&path);
        let file = file.map_err(|source| Error::write(&path, source))?;
        let key = key_of(&path);
        let scan = Scan::of(&path, &key)?;
        let mut places = vec![RecordSpan::default(); usize::try_from(rows).unwrap_or(usize::MAX)];
        let mut landed = 0;
        for (number, place) in scan.found {
            let slot = usize::try_from(number).ok().and_then(|number| places.get_mut(number));
            if let Some(slot) = slot.filter(|slot| slot.start == 0) {
                *slot = place;
                landed += 1;
            }
        }
        let end = scan.lost.last().filter(|lost| lost.torn).map_or(scan.end, |lost| lost.at);
        if end < scan.end {
            file.set_len(end).map_err(|source| Error::write(&path, source))?;
        }
        let record = PhantomData;
        let journal = Self { path, file, key, places, landed, end, unsynced: false, record };
        Ok((journal, scan.lost))
    }

    /// Whether the row of this number is there.
    #[must_use]
    pub fn has(&self, number: u64) -> bool {
        self.place(number).is_some()
    }

    /// Counts the rows that are there.
    #[must_use]
    pub const fn landed(&self) -> u64 {
        self.landed
    }

    /// Names the first row that is not there.
    #[must_use]
    pub fn first_missing(&self) -> Option<u64> {
        (0..).zip(&self.places).find(|(_, place)| place.start == 0).map(|(number, _)| number)
    }

    fn place(&self, number: u64) -> Option<RecordSpan> {
        let place = self.places.get(usize::try_from(number).ok()?)?;
        (place.start > 0).then_some(*place)
    }

    /// Adds a row. When this returns, no kill takes it. A row that is there already stays as it is.
    ///
    /// # Errors
    /// [`Error::Write`] when the disk refuses.
    pub fn add(&mut self, number: u64, row: &R) -> Result<(), Error> {
        if self.has(number) {
            return Ok(());
        }
        let mut bytes = vec![0; HEAD];
        rmp_serde::encode::write_named(&mut bytes, row).map_err(|e| Error::encode(R::TABLE, e))?;
        let row = &bytes[HEAD..];
        let length = u32::try_from(row.len()).map_err(|e| Error::encode(R::TABLE, e))?;
        let checksum = checksum(&self.key, number, row);
        bytes[..4].copy_from_slice(&MARK);
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
        bytes[8..16].copy_from_slice(&number.to_le_bytes());
        bytes[16..HEAD].copy_from_slice(&checksum);
        if let Err(source) = self.file.write_all(&bytes) {
            // Half a record is cut away, so that the next one follows a whole one.
            let cut = self.file.set_len(self.end).err();
            return Err(Error::write(&self.path, cut.unwrap_or(source)));
        }
        let slot = usize::try_from(number).ok().and_then(|number| self.places.get_mut(number));
        if let Some(slot) = slot {
            *slot = RecordSpan { start: self.end + HEAD as u64, length };
            self.landed += 1;
        }
        self.end += bytes.len() as u64;
        self.unsynced = true;
        Ok(())
    }

    /// Makes what was added outlive a power cut.
    ///
    /// # Errors
    /// [`Error::Write`] when the disk refuses.
    pub fn sync(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.unsynced) {
            self.file.sync_data().map_err(|source| Error::write(&self.path, source))?;
        }
        Ok(())
    }

    /// Reads the rows that are there, in the order of their numbers, checking each.
    pub fn rows(&self) -> impl Iterator<Item = Result<R, Error>> + '_ {
        (0..).zip(&self.places).filter(|(_, place)| place.start > 0).map(|(number, place)| {
            let damaged = |reason: String| Error::Unreadable { path: self.path.clone(), reason };
            let mut bytes = vec![0; HEAD + place.length as usize];
            self.file
                .read_exact_at(&mut bytes, place.start - HEAD as u64)
                .map_err(|source| Error::read(&self.path, source))?;
            let row = &bytes[HEAD..];
            if bytes[16..HEAD] != checksum(&self.key, number, row) {
                return Err(damaged(format!("row {number} is not what was written")));
            }
            rmp_serde::from_slice(row).map_err(|e| damaged(format!("row {number}: {e}")))
        })
    }
}

/// The key of a journal's checksums: a record in another run's or table's journal does not check.
fn key_of(path: &Path) -> [u8; 32] {
    let run = path.parent().map(name_of).unwrap_or_default();
    blake3::derive_key("mrx journal 1", format!("{run}/{}", name_of(path)).as_bytes())
}

fn checksum(key: &[u8; 32], number: u64, row: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&number.to_le_bytes()).update(row);
    let mut checksum = [0; 16];
    hasher.finalize_xof().fill(&mut checksum);
    checksum
}

/// What a journal's file holds.
struct Scan {
    found: Vec<(u64, RecordSpan)>,
    lost: Vec<Lost>,
    end: u64,
}

impl Scan {
    /// Reads a journal from end to end.
    fn of(path: &Path, key: &[u8; 32]) -> Result<Self, Error> {
        let read = |source: io::Error| Error::read(path, source);
        let file = File::open(path).map_err(read)?;
        let end = file.metadata().map_err(read)?.len();
        let mut reader = io::BufReader::with_capacity(1 << 20, file);
        let mut scan = Self { found: Vec::new(), lost: Vec::new(), end };
        let (mut at, mut buffer) = (0, Vec::new());
        while at < end {
            let found = record(&mut reader, key, end - at, &mut buffer).map_err(read)?;
            if let Some((number, length)) = found {
                scan.found.push((number, RecordSpan { start: at + HEAD as u64, length }));
                at += HEAD as u64 + u64::from(length);
            } else {
                let next = next_record(&mut reader, key, at + 1, end).map_err(read)?;
                scan.lost.push(Lost { at, bytes: next - at, torn: next == end });
                at = next;
                reader.seek(SeekFrom::Start(at)).map_err(read)?;
            }
        }
        Ok(scan)
    }
}

/// Reads one record, with `left` bytes to the end of the file; `None` where there is none that checks.
fn record(
    reader: &mut impl Read,
    key: &[u8; 32],
    left: u64,
    row: &mut Vec<u8>,
) -> io::Result<Option<(u64, u32)>> {
    let mut head = [0; HEAD];
    if left < HEAD as u64 {
        return Ok(None);
    }
    reader.read_exact(&mut head)?;
    let [_, _, _, _, l0, l1, l2, l3, n @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = head;
    let (length, number) = (u32::from_le_bytes([l0, l1, l2, l3]), u64::from_le_bytes(n));
    if head[..4] != MARK || u64::from(length) > left - HEAD as u64 {
        return Ok(None);
    }
    row.resize(length as usize, 0);
    reader.read_exact(row)?;
    Ok((head[16..] == checksum(key, number, row)).then_some((number, length)))
}

/// Finds where the next record begins that checks, from `from` on; the end where there is none.
fn next_record(
    reader: &mut (impl Read + Seek),
    key: &[u8; 32],
    from: u64,
    end: u64,
) -> io::Result<u64> {
    const WINDOW: usize = 1 << 20;
    let (mut at, mut window, mut row) = (from, Vec::new(), Vec::new());
    while at < end {
        reader.seek(SeekFrom::Start(at))?;
        window.clear();
        reader.by_ref().take(WINDOW as u64).read_to_end(&mut window)?;
        for begin in window.windows(MARK.len()).enumerate() {
            let (offset, bytes) = begin;
            if bytes != MARK {
                continue;
            }
            let place = at + offset as u64;
            reader.seek(SeekFrom::Start(place))?;
            if record(reader, key, end - place, &mut row)?.is_some() {
                return Ok(place);
            }
        }
        // A mark may lie across two windows.
        at += window.len().saturating_sub(MARK.len() - 1).max(1) as u64;
    }
    Ok(end)
}

/// Counts the rows in the journals of a folder of work in hand, by their lengths alone.
pub(super) fn rows_in(folder: &Path) -> Result<u64, Error> {
    let mut rows = 0;
    for path in journals(folder)? {
        let read = |source: io::Error| Error::read(&path, source);
        let file = File::open(&path).map_err(read)?;
        let end = file.metadata().map_err(read)?.len();
        let (mut at, mut head) = (0, [0; 8]);
        while at + HEAD as u64 <= end {
            file.read_exact_at(&mut head, at).map_err(read)?;
            let [m0, m1, m2, m3, length @ ..] = head;
            if [m0, m1, m2, m3] != MARK {
                break;
            }
            at += HEAD as u64 + u64::from(u32::from_le_bytes(length));
            rows += u64::from(at <= end);
        }
    }
    Ok(rows)
}

/// Tells what of each journal of a folder of work in hand is lost in its midst. A torn end is what any
/// kill leaves.
pub(super) fn damage_in(folder: &Path) -> Result<Vec<(PathBuf, String)>, Error> {
    let mut damaged = Vec::new();
    for path in journals(folder)? {
        let lost = Scan::of(&path, &key_of(&path))?.lost;
        damaged.extend(lost.iter().filter(|lost| !lost.torn).map(|lost| {
            let Lost { at, bytes, .. } = lost;
            (path.clone(), format!("{bytes} bytes from byte {at} on are not what was written"))
        }));
    }
    Ok(damaged)
}

/// Tells by its name whether a file is a journal.
pub(super) fn is_journal(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == EXTENSION)
}

fn journals(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut paths = super::file::list(folder)?;
    paths.retain(|path| is_journal(path));
    paths.retain(|path| fs::metadata(path).is_ok_and(|found| found.is_file()));
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::store::{Digest, Partial, Store, Version};

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Line {
        number: u64,
        text: String,
        share: Option<f64>,
    }

    impl Record for Line {
        const TABLE: &'static str = "lines";
        const VERSION: Version = Version::new(1, 0);
        const DISTINCT: &'static [&'static str] = &[];
    }

    fn line(number: u64) -> Line {
        let small = u8::try_from(number).unwrap();
        let share = number.is_multiple_of(3).then_some(1.0 / (1.0 + f64::from(small)));
        Line { number, text: "so ".repeat(usize::from(small % 5)), share }
    }

    fn partial(store: &Store, run: &str) -> Partial {
        store.partial(Digest::of(run.as_bytes()), || false).unwrap().unwrap()
    }

    /// Rows in a shuffled order, every third of them missing.
    fn written(partial: &Partial) -> PathBuf {
        let (mut journal, lost) = partial.journal::<Line>(12).unwrap();
        assert!(lost.is_empty());
        for number in [7, 0, 4, 10, 3, 1, 9, 6].into_iter().filter(|n| n % 3 != 2) {
            journal.add(number, &line(number)).unwrap();
        }
        journal.add(7, &line(0)).unwrap();
        journal.sync().unwrap();
        journal.path
    }

    #[test]
    fn rows_come_back_in_their_order_whatever_order_they_came_in() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let partial = partial(&store, "a");
        written(&partial);
        let (journal, lost) = partial.journal::<Line>(12).unwrap();
        assert_eq!((lost, journal.landed()), (Vec::new(), 8));
        let rows: Vec<Line> = journal.rows().collect::<Result<_, _>>().unwrap();
        assert_eq!(rows, [0, 1, 3, 4, 6, 7, 9, 10].map(line), "7 stays as it was first");
        assert_eq!(journal.first_missing(), Some(2));
        assert_eq!(rows_in(partial.place()).unwrap(), 8);
    }

    /// Flip any byte, cut anywhere: what is read was written, and what is not read is told of.
    #[test]
    fn no_damage_makes_a_row_that_was_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let partial = partial(&store, "a");
        let path = written(&partial);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            for (bytes, cut) in [(flipped, false), (whole[..at].to_vec(), true)] {
                fs::write(&path, &bytes).unwrap();
                let (mut journal, lost) = partial.journal::<Line>(12).unwrap();
                for row in journal.rows() {
                    let row = row.unwrap();
                    assert_eq!(row, line(row.number), "byte {at}");
                }
                assert!(cut || (!lost.is_empty() && journal.landed() == 7), "byte {at}: {lost:?}");
                let torn = lost.iter().all(|lost| lost.torn);
                assert_eq!(damage_in(partial.place()).unwrap().is_empty(), torn, "byte {at}");
                // It goes on after a torn end, and nothing is lost again.
                journal.add(11, &line(11)).unwrap();
                let (again, _) = partial.journal::<Line>(12).unwrap();
                assert_eq!(again.landed(), journal.landed(), "byte {at}");
            }
        }
    }

    #[test]
    fn rows_of_another_run_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let (one, other) = (partial(&store, "a"), partial(&store, "b"));
        fs::copy(written(&one), other.place().join("lines.journal")).unwrap();
        let (journal, lost) = other.journal::<Line>(12).unwrap();
        assert_eq!((journal.landed(), lost.len()), (0, 1));
    }
}
