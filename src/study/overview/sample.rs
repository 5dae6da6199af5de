//! Which rows a page has room for.

use serde::Serialize;

use super::held_out::HeldOutPrompt;
use super::share::Share;

/// Held-out prompts that are taken for each prompt of a share: they are shorter.
const HELD_OUT_A_TURN: usize = 6;

/// Cuts the rows of an experiment to so many bytes of JSON. Prompts are taken in the order in which they were
/// chosen, in turns: some that are held out, one of each share; the first that does not fit ends its list.
pub(super) fn fit(held_out: &mut Vec<HeldOutPrompt>, shares: &mut [Share], bytes: usize) {
    let mut left = bytes;
    let of_held_out: Vec<usize> = held_out.iter().map(size).collect();
    let of_shares: Vec<Vec<usize>> =
        shares.iter().map(|share| share.shown.iter().map(size).collect()).collect();
    let mut lists = vec![List::new(&of_held_out, HELD_OUT_A_TURN)];
    lists.extend(of_shares.iter().map(|sizes| List::new(sizes, 1)));
    while lists.iter().any(|list| !list.ended) {
        for list in &mut lists {
            list.take_turn(&mut left);
        }
    }
    held_out.truncate(lists[0].taken);
    for (share, list) in shares.iter_mut().zip(&lists[1..]) {
        share.shown.truncate(list.taken);
    }
}

/// How far a list was taken.
struct List<'a> {
    sizes: &'a [usize],
    a_turn: usize,
    taken: usize,
    ended: bool,
}

impl<'a> List<'a> {
    const fn new(sizes: &'a [usize], a_turn: usize) -> Self {
        Self { sizes, a_turn, taken: 0, ended: false }
    }

    fn take_turn(&mut self, left: &mut usize) {
        for _ in 0..self.a_turn {
            match self.sizes.get(self.taken).filter(|size| !self.ended && **size <= *left) {
                Some(size) => {
                    *left -= size;
                    self.taken += 1;
                }
                None => self.ended = true,
            }
        }
    }
}

/// Bytes of something as JSON in a page, where `<` is spelled in six, and of the comma after it.
pub(super) fn size(value: &impl Serialize) -> usize {
    const SPELLED: usize = 5;
    let json = serde_json::to_string(value).unwrap_or_default();
    json.len() + 1 + SPELLED * json.matches('<').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_taken_in_turn_until_there_is_no_room() {
        let (long, short) = ([4; 10], [2, 2, 50, 2]);
        let mut lists = [List::new(&long, 3), List::new(&short, 1)];
        let mut left = 31;
        while lists.iter().any(|list| !list.ended) {
            for list in &mut lists {
                list.take_turn(&mut left);
            }
        }
        assert_eq!(lists.map(|list| list.taken), [6, 2]);
        assert_eq!(left, 3);
    }
}
