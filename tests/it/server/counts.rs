//! What a server has seen so far.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::options::Fault;

/// What a server has seen so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Requests for text.
    pub(crate) received: u64,
    /// Those of them that carried an `Authorization`.
    pub(crate) with_key: u64,
    /// Right answers that were sent whole, slow ones among them.
    pub(crate) answered: u64,
    /// Requests that no attempt would be answered: 400, 401 and 404.
    pub(crate) refused: u64,
    /// Requests turned away by [`super::Options::reject_above`].
    pub(crate) rejected: u64,
    /// Faults that were injected.
    pub(crate) faults: BTreeMap<Fault, u64>,
    /// Most requests that were under way at once.
    pub(crate) most_under_way: usize,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// `/v1/completions` or `/v1/chat/completions`.
    pub(crate) path: &'static str,
    /// Its headers, their names in small letters.
    pub(crate) headers: BTreeMap<String, String>,
    /// Its body, null where that is not JSON.
    pub(crate) body: Value,
}

/// Counts as they grow.
#[derive(Debug, Default)]
pub(super) struct Counters {
    received: AtomicU64,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    pub(super) with_key: AtomicU64,
    pub(super) answered: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) rejected: AtomicU64,
    faults: Mutex<BTreeMap<Fault, u64>>,
    kept: Mutex<Vec<Received>>,
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A request that is under way, until this is dropped.
pub(super) struct UnderWay {
    counters: Arc<Counters>,
    /// Its place among all requests.
    pub(super) number: u64,
    /// Requests under way when it came, itself among them.
    pub(super) at_once: usize,
}

impl UnderWay {
    pub(super) fn new(counters: &Arc<Counters>) -> Self {
        let number = counters.received.fetch_add(1, Ordering::Relaxed);
        let at_once = counters.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        counters.most_under_way.fetch_max(at_once, Ordering::Relaxed);
        Self { counters: Arc::clone(counters), number, at_once }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.counters.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counters {
    pub(super) fn fault(&self, fault: Fault) {
        *self.faults.lock().unwrap().entry(fault).or_default() += 1;
    }

    pub(super) fn keep(&self, request: Received) {
        self.kept.lock().unwrap().push(request);
    }

    pub(super) fn kept(&self) -> Vec<Received> {
        self.kept.lock().unwrap().clone()
    }

    pub(super) fn so_far(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            received: read(&self.received),
            with_key: read(&self.with_key),
            answered: read(&self.answered),
            refused: read(&self.refused),
            rejected: read(&self.rejected),
            faults: self.faults.lock().unwrap().clone(),
            most_under_way: self.most_under_way.load(Ordering::Relaxed),
        }
    }
}
