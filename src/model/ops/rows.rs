//! What attends to what: every row names its queries, and the places of its keys, which rows that begin alike may
//! share. For operations that take no ranges it is laid out as tensors, once for all layers.

use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Device, Result, Tensor};

/// One sequence: its queries are its last tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Places of its queries.
    pub(crate) queries: Range<usize>,
    /// Places of all its keys and values, by position.
    pub(crate) keys: Vec<Range<usize>>,
}

impl Row {
    pub(super) fn key_count(&self) -> usize {
        self.keys.iter().map(ExactSizeIterator::len).sum()
    }
}

/// The rows of a batch, in the order of their queries, which lie end to end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    rows: Arc<[Row]>,
    laid_out: Arc<Mutex<Vec<LaidOut>>>,
}

/// A window, and the groups for it.
type LaidOut = (Option<usize>, Arc<[Group]>);

impl From<Vec<Row>> for Rows {
    fn from(rows: Vec<Row>) -> Self {
        Self { rows: rows.into(), laid_out: Arc::default() }
    }
}

impl Deref for Rows {
    type Target = [Row];

    fn deref(&self) -> &[Row] {
        &self.rows
    }
}

/// Rows of as many queries each, padded to as many keys.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) count: usize,
    pub(super) first_query: usize,
    pub(super) queries: usize,
    pub(super) keys: usize,
    /// Of each row the places of its keys, `[rows·keys]`.
    pub(super) places: Tensor,
    /// −∞ for each key that a query does not see, 0 for others: `[rows, 1, 1, queries, keys]` in f32.
    pub(super) unseen: Tensor,
}

impl Rows {
    /// Lays the rows out on a device, those of one query each, as in drawing, together.
    pub(super) fn laid_out(&self, window: Option<usize>, device: &Device) -> Result<Arc<[Group]>> {
        let mut known = self.laid_out.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, groups)) = known.iter().find(|(other, _)| *other == window) {
            return Ok(groups.clone());
        }
        let mut rest = &self.rows[..];
        let mut groups = Vec::new();
        while let Some(first) = rest.first() {
            let alike = |row: &&Row| row.queries.len() == 1 && first.queries.len() == 1;
            let (rows, after) = rest.split_at(rest.iter().take_while(alike).count().max(1));
            groups.push(Group::of(rows, window, device)?);
            rest = after;
        }
        let groups: Arc<[Group]> = groups.into();
        known.push((window, groups.clone()));
        Ok(groups)
    }
}

impl Group {
    fn of(rows: &[Row], window: Option<usize>, device: &Device) -> Result<Self> {
        let (count, queries) = (rows.len(), rows[0].queries.len());
        let keys = rows.iter().map(Row::key_count).max().unwrap_or(0);
        let (places, unseen) = (places(rows, keys), unseen(rows, keys, window));
        Ok(Self {
            count,
            first_query: rows[0].queries.start,
            queries,
            keys,
            places: Tensor::from_vec(places, count * keys, device)?,
            unseen: Tensor::from_vec(unseen, (count, 1, 1, queries, keys), device)?,
        })
    }
}

/// The places of each row's keys, the first again where it has fewer than others.
fn places(rows: &[Row], keys: usize) -> Vec<u32> {
    let place = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
    let of_row = |row: &Row| {
        let first = row.keys.first().map_or(0, |span| span.start);
        let own: Vec<usize> = row.keys.iter().cloned().flatten().collect();
        own.into_iter().chain(std::iter::repeat(first)).take(keys).map(place)
    };
    rows.iter().flat_map(of_row).collect()
}

fn unseen(rows: &[Row], keys: usize, window: Option<usize>) -> Vec<f32> {
    let mut mask = Vec::with_capacity(rows.len() * keys);
    for row in rows {
        let before = row.key_count() - row.queries.len();
        for query in 0..row.queries.len() {
            let last = before + query;
            let first = window.map_or(0, |window| (last + 1).saturating_sub(window));
            let seen = |key: usize| (first..=last).contains(&key);
            mask.extend((0..keys).map(|key| if seen(key) { 0.0 } else { f32::NEG_INFINITY }));
        }
    }
    mask
}
