//! What waits to be drawn, between the thread that asks and those that draw.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Decoding;

/// A prompt, and the texts to draw after it.
#[derive(Debug)]
pub(super) struct Queued {
    /// The ask's place in the order in which asks came.
    pub(super) ask: usize,
    pub(super) tokens: Vec<u32>,
    pub(super) decoding: Decoding,
    /// A seed for each draw.
    pub(super) seeds: Vec<u64>,
    /// Texts that end a draw.
    pub(super) stop: Arc<[String]>,
    /// Tokens of a draw at most: what is asked for and what the context leaves. At least 1.
    pub(super) most: usize,
}

/// Prompts on their way to the workers, who take them in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    given_up: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    prompts: VecDeque<Queued>,
    draws: usize,
    complete: bool,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds prompts behind those that wait; among themselves in the order of their tokens, so that
    /// those that begin alike follow each other.
    pub(super) fn add(&self, mut prompts: Vec<Queued>) {
        prompts.sort_by(|a, b| (&a.tokens, a.ask).cmp(&(&b.tokens, b.ask)));
        let mut waiting = self.waiting();
        for prompt in prompts {
            waiting.draws += prompt.seeds.len();
            waiting.prompts.push_back(prompt);
        }
        self.changed.notify_all();
    }

    /// Says that nothing more will be added.
    pub(super) fn complete(&self) {
        self.waiting().complete = true;
        self.changed.notify_all();
    }

    /// Says that nobody wants what is left, nor what is being drawn.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
        self.complete();
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Counts the draws that wait.
    pub(super) fn draws(&self) -> usize {
        self.waiting().draws
    }

    /// Counts the prompts that wait.
    pub(super) fn prompts(&self) -> usize {
        self.waiting().prompts.len()
    }

    /// Takes the next prompt, where one waits.
    pub(super) fn take(&self) -> Option<Queued> {
        let mut waiting = self.waiting();
        let prompt = waiting.prompts.pop_front()?;
        waiting.draws -= prompt.seeds.len();
        Some(prompt)
    }

    /// Gives back a prompt that there is no room for yet.
    pub(super) fn put_back(&self, prompt: Queued) {
        let mut waiting = self.waiting();
        waiting.draws += prompt.seeds.len();
        waiting.prompts.push_front(prompt);
        self.changed.notify_all();
    }

    /// Waits until a prompt is there; false where none will come.
    pub(super) fn wait(&self) -> bool {
        let waiting = self.waiting();
        let more = |waiting: &mut Waiting| waiting.prompts.is_empty() && !waiting.complete;
        let waiting =
            self.changed.wait_while(waiting, more).unwrap_or_else(PoisonError::into_inner);
        !waiting.prompts.is_empty()
    }
}
