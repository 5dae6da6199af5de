//! Writing: 1,000,000 judgements of about 1 KB into a store, hashed, synced and named, beside
//! pyarrow writing the same table from memory (same codec, same dictionaries) and hashing it.
//!
//! `MRX_BENCH_PYTHON=python3 cargo bench --bench write`. Python needs pyarrow, and blake3 for a
//! fair hash (without it, hashlib's `BLAKE2b`). `MRX_BENCH_SCALE` shrinks the million,
//! `MRX_BENCH_ROUNDS` is how often both are measured.
//!
//! Each round writes in a fresh process, so that the peak of memory is that of writing alone (and
//! of a pool of rows, which is written again and again so that making rows takes no time).

#[path = "support/compare.rs"]
mod compare;
#[path = "support/process.rs"]
mod process;
#[path = "support/python.rs"]
mod python;
#[path = "support/rows.rs"]
mod rows;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use compare::{Outcome, asked, median, print, rounds, scaled, verdict};
use mrx::records::Judgement;
use mrx::store::{Store, TableWriter};
use process::stdout_of;
use python::python;
use rows::Rows;
use serde::Deserialize;
use serde_json::json;

const ROWS: usize = 1_000_000;
const TEXT_BYTES: usize = 1000;
const POOL_ROWS: usize = 32_768;

/// Times pyarrow with its hash that mrx may take.
const RATIO: f64 = 1.2;

/// The peak of memory, in MiB, that writing may reach.
const PEAK: f64 = 512.0;

/// The word after which this program is the one that writes.
const WRITER: &str = "writer";

#[derive(Deserialize)]
struct Ours {
    seconds: f64,
    bytes: u64,
    pool: f64,
    peak: f64,
    object: String,
}

#[derive(Deserialize)]
struct Theirs {
    write: f64,
    hash: f64,
    sync: f64,
    hash_name: String,
    bytes: u64,
    text_ratio: f64,
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().collect();
    match &arguments[1..] {
        [word, folder, rows] if word == WRITER => write(Path::new(folder), rows.parse()?),
        _ if asked() => compare(),
        _ => Ok(()),
    }
}

fn write(folder: &Path, rows: usize) -> Outcome {
    let pool: Vec<Judgement> =
        Rows::new(0, TEXT_BYTES).take(POOL_ROWS).map(|(judgement, _)| judgement).collect();
    let store = Store::create(folder)?;
    let pool_peak = peak_mebibytes()?;
    let began = Instant::now();
    let mut writer = TableWriter::create(&store)?;
    let mut left = rows;
    while left > 0 {
        let now = left.min(pool.len());
        writer.write(&pool[..now])?;
        left -= now;
    }
    let table = writer.finish()?;
    let figures = json!({
        "seconds": began.elapsed().as_secs_f64(),
        "bytes": table.bytes,
        "pool": pool_peak,
        "peak": peak_mebibytes()?,
        "object": store.object_path(table.object),
    });
    Ok(serde_json::to_writer(std::io::stdout(), &figures)?)
}

/// The most memory that this process ever held, by the kernel's account.
fn peak_mebibytes() -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kibibytes.ok_or("no VmHWM")?.parse::<f64>()? / 1024.0)
}

fn compare() -> Outcome {
    let rows = scaled(ROWS);
    let mut table = vec![row![
        "round",
        "mrx",
        "pyarrow",
        "hash",
        "ratio",
        "pyarrow's sync",
        "ratio with it",
        "peak MiB"
    ]];
    let (mut ratios, mut peaks, mut last) = (Vec::new(), Vec::new(), None);
    for round in 1..=rounds() {
        let (ours, theirs) = once(rows)?;
        let base = theirs.write + theirs.hash;
        let [ratio, synced] = [base, base + theirs.sync].map(|base| ours.seconds / base);
        table.push(row![
            round,
            format!("{:.2} s", ours.seconds),
            format!("{:.2} s", theirs.write),
            format!("{:.2} s", theirs.hash),
            format!("{ratio:.2}"),
            format!("{:.2} s", theirs.sync),
            format!("{synced:.2}"),
            format!("{:.0}", ours.peak),
        ]);
        ratios.push(ratio);
        peaks.push(ours.peak);
        last = Some((ours, theirs));
    }
    let Some((ours, theirs)) = last else { return Ok(()) };
    let title = format!(
        "{rows} judgements: {} bytes here, {} there; text shrinks {:.1} times; {}; the pool takes {:.0} MiB",
        ours.bytes, theirs.bytes, theirs.text_ratio, theirs.hash_name, ours.pool,
    );
    print(&title, &table)?;
    let (ratio, peak) = (median(ratios), peaks.into_iter().fold(0.0, f64::max));
    print(
        "targets",
        &[
            row!["ratio", format!("{ratio:.2}"), format!("at most {RATIO}"), verdict(ratio, RATIO)],
            row!["peak MiB", format!("{peak:.0}"), format!("at most {PEAK}"), verdict(peak, PEAK)],
        ],
    )
}

fn once(rows: usize) -> Outcome<(Ours, Theirs)> {
    let folder = tempfile::tempdir()?;
    let store = folder.path().join("store");
    let mut writer = Command::new(std::env::current_exe()?);
    let figures = stdout_of(writer.arg(WRITER).arg(&store).arg(rows.to_string()))?;
    let ours: Ours = serde_json::from_slice(&figures)?;
    let copy = folder.path().join("copy.parquet");
    let figures = stdout_of(python("write.py").arg(&ours.object).arg(&copy))?;
    Ok((ours, serde_json::from_slice(&figures)?))
}
