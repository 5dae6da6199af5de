//! The blocks of a cache of keys and values: taken as they are filled, shared by sequences that begin alike, and
//! kept as long as there is room, for those that will.
//!
//! A full block of a prompt is known by its tokens and the block before it: a prompt is looked up block by
//! block. What nobody uses any more stays known until its place is wanted, the longest unused first.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::ops::BLOCK;

/// A block's content: the number of the block before it, and its tokens.
type Content = (u64, [u32; BLOCK]);

/// The blocks of a cache.
#[derive(Debug)]
pub(super) struct Blocks {
    most: usize,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Blocks that there are so far.
    made: usize,
    /// Blocks that nobody uses, and of which nothing is known.
    free: Vec<usize>,
    /// Those whose content is known.
    known: HashMap<Content, usize>,
    /// Of a known block its number, which no other ever had, and its content.
    contents: HashMap<usize, (u64, Content)>,
    /// Known blocks that nobody uses, by when that began.
    unused: BTreeMap<u64, usize>,
    since: HashMap<usize, u64>,
    /// Users of known blocks.
    users: HashMap<usize, std::rc::Weak<Block>>,
    /// Counts what has happened.
    clock: u64,
}

/// A block in use.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) place: usize,
    home: Rc<Blocks>,
}

impl Drop for Block {
    fn drop(&mut self) {
        self.home.give_back(self.place);
    }
}

impl Blocks {
    /// Room for `most` blocks.
    pub(super) fn new(most: usize) -> Rc<Self> {
        Rc::new(Self { most, state: RefCell::default() })
    }

    /// Blocks that can be taken.
    pub(super) fn left(&self) -> usize {
        let state = self.state.borrow();
        self.most - state.made + state.free.len() + state.unused.len()
    }

    /// Takes a block, where there is one.
    pub(super) fn take(self: &Rc<Self>) -> Option<Rc<Block>> {
        let place = self.state.borrow_mut().place(self.most)?;
        Some(Rc::new(Block { place, home: Rc::clone(self) }))
    }

    /// Finds the blocks that `tokens` begin with.
    pub(super) fn find(self: &Rc<Self>, tokens: &[u32]) -> Vec<Rc<Block>> {
        let mut found = Vec::new();
        let mut before = 0;
        for tokens in tokens.as_chunks::<BLOCK>().0 {
            let Some((number, block)) = self.known(before, tokens) else { break };
            before = number;
            found.push(block);
        }
        found
    }

    fn known(self: &Rc<Self>, before: u64, tokens: &[u32; BLOCK]) -> Option<(u64, Rc<Block>)> {
        let mut state = self.state.borrow_mut();
        let place = *state.known.get(&(before, *tokens))?;
        let (number, _) = *state.contents.get(&place)?;
        if let Some(block) = state.users.get(&place).and_then(std::rc::Weak::upgrade) {
            return Some((number, block));
        }
        if let Some(since) = state.since.remove(&place) {
            state.unused.remove(&since);
        }
        let block = Rc::new(Block { place, home: Rc::clone(self) });
        state.users.insert(place, Rc::downgrade(&block));
        Some((number, block))
    }

    /// Makes it known that `blocks` hold what `tokens` begin with, as far as they are full.
    pub(super) fn learn(&self, tokens: &[u32], blocks: &[Rc<Block>]) {
        let mut state = self.state.borrow_mut();
        let mut before = 0;
        for (tokens, block) in tokens.as_chunks::<BLOCK>().0.iter().zip(blocks) {
            let content = (before, *tokens);
            if let Some(place) = state.known.get(&content) {
                before = state.contents.get(place).map_or(0, |(number, _)| *number);
                continue;
            }
            state.clock += 1;
            before = state.clock;
            state.known.insert(content, block.place);
            state.contents.insert(block.place, (before, content));
            state.users.insert(block.place, Rc::downgrade(block));
        }
    }

    fn give_back(&self, place: usize) {
        let mut state = self.state.borrow_mut();
        state.users.remove(&place);
        if state.contents.contains_key(&place) {
            state.clock += 1;
            let now = state.clock;
            state.unused.insert(now, place);
            state.since.insert(place, now);
        } else {
            state.free.push(place);
        }
    }
}

impl State {
    fn place(&mut self, most: usize) -> Option<usize> {
        if let Some(place) = self.free.pop() {
            return Some(place);
        }
        if self.made < most {
            self.made += 1;
            return Some(self.made - 1);
        }
        let (_, place) = self.unused.pop_first()?;
        self.since.remove(&place);
        if let Some((_, content)) = self.contents.remove(&place) {
            self.known.remove(&content);
        }
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(first: u32, count: u32) -> Vec<u32> {
        (first..first + count).collect()
    }

    fn places(blocks: &[Rc<Block>]) -> Vec<usize> {
        blocks.iter().map(|block| block.place).collect()
    }

    fn hold(blocks: &Rc<Blocks>, tokens: &[u32]) -> Vec<Rc<Block>> {
        let mut held = blocks.find(tokens);
        while held.len() < tokens.len().div_ceil(BLOCK) {
            held.push(blocks.take().unwrap());
        }
        blocks.learn(tokens, &held);
        held
    }

    #[test]
    fn what_begins_alike_shares_full_blocks_also_after_it_was_given_back() {
        let blocks = Blocks::new(8);
        let first = hold(&blocks, &tokens(0, 70));
        assert_eq!(places(&first), [0, 1, 2]);
        let fork = [tokens(0, 40), tokens(500, 40)].concat();
        let second = hold(&blocks, &fork);
        assert_eq!(places(&second), [0, 3, 4], "the second block differs in its end");
        drop(first);
        assert_eq!(places(&hold(&blocks, &tokens(0, 70))), [0, 1, 2], "and the free one again");
        drop(second);
        assert_eq!(places(&blocks.find(&fork)), [0, 3]);
    }

    #[test]
    fn the_longest_unused_makes_room_and_what_stood_on_it_is_not_found() {
        let blocks = Blocks::new(3);
        drop(hold(&blocks, &tokens(0, 64)));
        assert_eq!(blocks.left(), 3);
        let other = hold(&blocks, &tokens(100, 64));
        assert_eq!(places(&other), [2, 0]);
        assert!(blocks.find(&tokens(0, 64)).is_empty(), "its first block is gone");
        assert!(blocks.take().is_some());
        assert_eq!(blocks.left(), 1);
        let last = blocks.take();
        assert!(blocks.take().is_none() && last.is_some());
    }
}
