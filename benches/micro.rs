//! The small things: objects, tables, a tournament.
//!
//! `cargo bench --bench micro`. Needs no Python; divan's options (a filter, `--sample-count`) come
//! after `--`. The table has 100,000 rows, less by `MRX_BENCH_SCALE`.
#![expect(clippy::unwrap_used, reason = "a bench that fails has to stop")]

#[path = "support/rows.rs"]
mod rows;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use mrx::records::{FinishReason, Judgement};
use mrx::stats::{Bootstrap, Bouts, BradleyTerry, Clusters, Draws};
use mrx::store::{Digest, Store, StoredTable, TableReader, TableWriter};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rows::Rows;
use serde::Deserialize;
use tempfile::TempDir;

const KIBIBYTE: usize = 1 << 10;
const MEBIBYTE: usize = 1 << 20;

fn main() {
    divan::main();
}

/// A store that is gone after the bench.
fn scratch() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path().join("store")).unwrap();
    (folder, store)
}

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..bytes).map(|_| random.random()).collect()
}

/// Puts bytes that are not there yet: hashing, writing, syncing and naming.
#[divan::bench(args = [KIBIBYTE, 16 * MEBIBYTE], sample_count = 30, sample_size = 1)]
fn put_object(bencher: Bencher<'_, '_>, bytes: usize) {
    let (_folder, store) = scratch();
    let mut seed = 0;
    bencher
        .with_inputs(|| {
            seed += 1;
            noise(seed, bytes)
        })
        .input_counter(BytesCount::of_slice)
        .bench_local_refs(|bytes| store.put(bytes).unwrap());
}

/// Finds an object and checks every byte of it.
#[divan::bench(args = [KIBIBYTE, 16 * MEBIBYTE])]
fn get_object(bencher: Bencher<'_, '_>, bytes: usize) {
    let (_folder, store) = scratch();
    let digest = store.put(&noise(0, bytes)).unwrap();
    bencher.counter(BytesCount::new(bytes)).bench(|| store.checked_path(digest).unwrap());
}

fn judgements() -> Vec<Judgement> {
    let scale = std::env::var("MRX_BENCH_SCALE").ok().and_then(|scale| scale.parse().ok());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small size")]
    let rows = (1e5 * scale.unwrap_or(1.0_f64)).max(1.0) as usize;
    Rows::new(0, 300).take(rows).map(|(judgement, _)| judgement).collect()
}

fn write(store: &Store, rows: &[Judgement]) -> StoredTable {
    let mut writer = TableWriter::create(store).unwrap();
    writer.write(rows).unwrap();
    writer.finish().unwrap()
}

/// Writes judgements of about 300 bytes.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn write_table(bencher: Bencher<'_, '_>) {
    let rows = judgements();
    bencher
        .counter(ItemsCount::new(rows.len()))
        .with_inputs(scratch)
        .bench_local_refs(|(_, store)| write(store, &rows));
}

/// Reads them back whole.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn read_table(bencher: Bencher<'_, '_>) {
    read::<Judgement>(bencher);
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "what matters is that the columns are read")]
struct Judged {
    judgement_id: String,
    text: String,
    finish_reason: FinishReason,
}

/// Reads the three columns of them that verdicts are read from.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn read_three_columns(bencher: Bencher<'_, '_>) {
    read::<Judged>(bencher);
}

fn read<Q: for<'de> Deserialize<'de>>(bencher: Bencher<'_, '_>) {
    let (_folder, store) = scratch();
    let StoredTable { object, rows, .. } = write(&store, &judgements());
    bencher.counter(ItemsCount::new(rows)).bench_local(|| {
        TableReader::<Q>::open(&store, object).unwrap().map(Result::unwrap).count()
    });
}

/// Fits eleven players who all met twice, as the judgements of one response do.
#[divan::bench]
fn fit_eleven_players(bencher: Bencher<'_, '_>) {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut bouts = Bouts::new(11);
    for (one, other) in (0..11).flat_map(|one| (0..one).map(move |other| (one, other))) {
        for _ in 0..2 {
            let (winner, loser) = if random.random() { (one, other) } else { (other, one) };
            bouts.add(winner, loser, 1.0);
        }
    }
    bencher
        .bench(|| divan::black_box(&bouts).fit(BradleyTerry { prior: 0.01, order_effect: false }));
}

/// Resamples how alike eleven scores of each of 5,000 answers are, a hundred times.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn resample_draws(bencher: Bencher<'_, '_>) {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let answers: Vec<u32> = (0..5000).flat_map(|answer| [answer; 11]).collect();
    let scores: Vec<f64> = answers.iter().map(|_| f64::from(random.random_range(0..6))).collect();
    let draws = Draws::new(&scores, answers.iter().copied(), Clusters::of(&answers)).unwrap();
    let bootstrap = Bootstrap { resamples: 100, ..Bootstrap::default() };
    bencher.bench_local(|| {
        bootstrap.draw(draws.clusters(), |counts| {
            [draws.consistency(counts), draws.spread(counts)]
                .map(Option::unwrap_or_default)
                .to_vec()
        })
    });
}

/// Hashes a text of the length of a judgement.
#[divan::bench]
fn digest_a_kibibyte(bencher: Bencher<'_, '_>) {
    let bytes = noise(0, KIBIBYTE);
    bencher.counter(BytesCount::new(KIBIBYTE)).bench(|| Digest::of(divan::black_box(&bytes)));
}
