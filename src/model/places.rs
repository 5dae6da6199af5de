//! Places in a cache of keys and values: taken in blocks, shared by rows that begin alike.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

/// The places of a cache that nobody uses.
#[derive(Debug)]
pub(super) struct Places {
    /// Start and length of every gap; no two touch.
    free: RefCell<BTreeMap<usize, usize>>,
}

impl Places {
    pub(super) fn new(count: usize) -> Rc<Self> {
        Rc::new(Self { free: RefCell::new(BTreeMap::from([(0, count)])) })
    }

    /// Takes `count` places that lie together, where there are so many; they are given back when the
    /// block is dropped.
    pub(super) fn take(self: &Rc<Self>, count: usize) -> Option<Block> {
        let mut free = self.free.borrow_mut();
        let (&start, &length) = free.iter().find(|(_, length)| **length >= count)?;
        free.remove(&start);
        if length > count {
            free.insert(start + count, length - count);
        }
        Some(Block { range: start..start + count, home: Rc::clone(self) })
    }

    fn give_back(&self, range: Range<usize>) {
        let mut free = self.free.borrow_mut();
        let (mut start, mut length) = (range.start, range.len());
        if let Some((&before, &size)) = free.range(..start).next_back()
            && before + size == start
        {
            free.remove(&before);
            (start, length) = (before, size + length);
        }
        if let Some(size) = free.remove(&range.end) {
            length += size;
        }
        free.insert(start, length);
    }
}

/// Places in use.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) range: Range<usize>,
    home: Rc<Places>,
}

impl Drop for Block {
    fn drop(&mut self) {
        if !self.range.is_empty() {
            self.home.give_back(self.range.clone());
        }
    }
}

/// Tokens whose keys and values are kept, and where.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) tokens: Vec<u32>,
    links: Vec<(Range<usize>, Rc<Block>)>,
}

impl Chain {
    /// The part of this chain that `tokens` begin with, but for their last: something is left to
    /// run.
    pub(super) fn shared_with(&self, tokens: &[u32]) -> Self {
        let alike = self.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        let kept = alike.min(tokens.len().saturating_sub(1));
        let mut links = Vec::new();
        let mut left = kept;
        for (range, block) in &self.links {
            let count = range.len().min(left);
            if count > 0 {
                links.push((range.start..range.start + count, Rc::clone(block)));
            }
            left -= count;
        }
        Self { tokens: tokens[..kept].to_vec(), links }
    }

    /// Adds tokens, and the block that they go to.
    pub(super) fn extend(&mut self, tokens: &[u32], block: Block) {
        self.tokens.extend_from_slice(tokens);
        self.links.push((block.range.clone(), Rc::new(block)));
    }

    /// Where the tokens are, by position.
    pub(super) fn spans(&self) -> Vec<Range<usize>> {
        self.links.iter().map(|(range, _)| range.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_are_given_back_join_again() {
        let places = Places::new(10);
        let (a, b, c) = (places.take(3), places.take(4), places.take(3));
        assert!(places.take(1).is_none(), "all are taken");
        drop(a);
        drop(c);
        assert!(places.take(4).is_none(), "six are free, but apart");
        drop(b);
        assert_eq!(places.take(10).map(|block| block.range.clone()), Some(0..10));
    }

    #[test]
    fn chains_share_what_they_begin_with_and_keep_it_alive() {
        let places = Places::new(10);
        let mut first = Chain::default();
        first.extend(&[1, 2, 3], places.take(3).unwrap());
        first.extend(&[4, 5], places.take(2).unwrap());
        let mut second = first.shared_with(&[1, 2, 3, 4, 9]);
        assert_eq!((second.tokens.len(), second.spans()), (4, vec![0..3, 3..4]));
        second.extend(&[9], places.take(1).unwrap());
        drop(first);
        assert_eq!(places.take(5).map(|block| block.range.clone()), None, "two blocks live on");
        drop(second);
        assert!(places.take(10).is_some());
        let whole = Chain { tokens: vec![1, 2], links: Vec::new() };
        assert_eq!(whole.shared_with(&[1, 2]).tokens, [1], "the last token is left to run");
    }
}
