//! Threads that work side by side, each with no other under it: on small models a thread for every
//! part of the work is faster than all threads on one product.

use std::sync::{Mutex, PoisonError};
use std::thread;

use super::error::Error;

/// Runs `work` in a pool of its own of so many threads. With one, what is inside does not spread.
///
/// # Errors
/// Where the machine has no thread left.
pub(super) fn within<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> Result<R, Error> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    Ok(pool.map_err(|e| Error::Threads(e.to_string()))?.install(work))
}

/// How many threads the caller's pool has.
#[must_use]
pub fn thread_count() -> usize {
    rayon::current_num_threads()
}

/// Does `work` on every item, on as many threads as the caller's pool has; results in the order of
/// the items, which no result depends on.
///
/// # Errors
/// Where the machine has no thread left.
pub fn spread<I: Send, R: Send>(
    items: Vec<I>,
    work: impl Fn(I) -> R + Sync,
) -> Result<Vec<R>, Error> {
    let threads = rayon::current_num_threads().min(items.len());
    if threads <= 1 {
        return Ok(items.into_iter().map(work).collect());
    }
    let queue = Mutex::new(items.into_iter().enumerate());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let take = || {
        let mut done = Vec::new();
        while let Some((place, item)) = next() {
            done.push((place, work(item)));
        }
        done
    };
    let shares: Result<Vec<Vec<(usize, R)>>, Error> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| within(1, take))).collect();
        workers.into_iter().map(join).collect()
    });
    let mut done: Vec<(usize, R)> = shares?.into_iter().flatten().collect();
    done.sort_unstable_by_key(|(place, _)| *place);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// What a thread returned; its panic goes on here.
pub(super) fn join<R>(worker: thread::ScopedJoinHandle<'_, R>) -> R {
    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let work = |item: usize| (item * item, rayon::current_num_threads());
        let done = spread((0..100).collect(), work).unwrap();
        assert!(done.iter().enumerate().all(|(i, (square, _))| *square == i * i));
        if rayon::current_num_threads() > 1 {
            assert!(done.iter().all(|(_, threads)| *threads == 1), "nothing spreads inside");
        }
    }
}
