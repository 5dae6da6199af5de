//! Which examples each step takes, and how a step's examples are shared out.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::settings::Settings;

/// Batches that are sorted by length together where batches are grouped by length.
const BATCHES_PER_GROUP: usize = 32;

/// The order of an epoch's examples, by step. A seed makes the same order on every machine, and an
/// epoch's does not depend on those before it.
pub(super) fn epoch(settings: &Settings, lengths: &[usize], epoch: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    let mut dice = ChaCha8Rng::seed_from_u64(settings.seed);
    dice.set_stream(epoch as u64);
    if settings.shuffle {
        order.shuffle(&mut dice);
    }
    if settings.group_by_length {
        for group in order.chunks_mut(settings.batch * BATCHES_PER_GROUP) {
            group.sort_by_key(|example| std::cmp::Reverse(lengths[*example]));
        }
    }
    let mut batches: Vec<Vec<usize>> =
        order.chunks(settings.batch).map(<[usize]>::to_vec).collect();
    if settings.group_by_length && settings.shuffle {
        batches.shuffle(&mut dice);
    }
    batches
}

/// Tokens that one pass over the network takes, about: few enough for what it leaves behind to stay
/// in the cache of a core.
pub(super) const TOKENS_PER_CHUNK: usize = 640;

/// Chunks come in multiples of this, so that a few threads have equal work.
const CHUNKS: usize = 4;

/// Shares a batch's examples out to passes of about equal tokens. The number of threads has no say:
/// gradients are added up chunk by chunk.
pub(super) fn chunks(batch: &[usize], lengths: &[usize]) -> Vec<Vec<usize>> {
    let tokens: usize = batch.iter().map(|example| lengths[*example]).sum();
    let wanted = tokens.div_ceil(TOKENS_PER_CHUNK);
    let count = if wanted > 1 { wanted.next_multiple_of(CHUNKS) } else { 1 };
    let count = count.clamp(1, batch.len().max(1));
    let mut order = batch.to_vec();
    order.sort_by_key(|example| std::cmp::Reverse(lengths[*example]));
    let mut chunks: Vec<(usize, Vec<usize>)> = vec![(0, Vec::new()); count];
    for example in order {
        if let Some((tokens, chunk)) = chunks.iter_mut().min_by_key(|(tokens, _)| *tokens) {
            *tokens += lengths[example];
            chunk.push(example);
        }
    }
    chunks.into_iter().map(|(_, chunk)| chunk).filter(|chunk| !chunk.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings { batch: 8, seed: 3, ..Settings::default() }
    }

    #[test]
    fn an_epoch_takes_every_example_once_in_an_order_of_its_own() {
        let lengths: Vec<usize> = (0..100).map(|i| 5 + i * 37 % 50).collect();
        for group_by_length in [false, true] {
            let settings = Settings { group_by_length, ..settings() };
            let first = epoch(&settings, &lengths, 0);
            assert_eq!(first, epoch(&settings, &lengths, 0));
            assert_ne!(first, epoch(&settings, &lengths, 1));
            let mut all = first.concat();
            all.sort_unstable();
            assert_eq!(all, (0..100).collect::<Vec<_>>());
            let spread = |batch: &Vec<usize>| {
                let of = |example: &usize| lengths[*example];
                batch.iter().map(of).max().unwrap() - batch.iter().map(of).min().unwrap()
            };
            let widest = first.iter().map(spread).max().unwrap();
            assert_eq!(widest < 10, group_by_length, "lengths within a batch differ by {widest}");
        }
        let in_order = Settings { shuffle: false, ..settings() };
        assert_eq!(epoch(&in_order, &lengths, 0).concat(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn chunks_are_about_equal() {
        let lengths: Vec<usize> = (0..64).map(|i| 20 + i * 13 % 40).collect();
        let batch: Vec<usize> = (0..64).collect();
        let chunks = chunks(&batch, &lengths);
        assert_eq!(chunks.len() % CHUNKS, 0);
        let tokens = |chunk: &Vec<usize>| chunk.iter().map(|i| lengths[*i]).sum::<usize>();
        let (least, most) = (chunks.iter().map(tokens).min(), chunks.iter().map(tokens).max());
        assert!(most.unwrap() - least.unwrap() < 60);
        assert_eq!(super::chunks(&[5], &lengths), [[5]]);
    }
}
