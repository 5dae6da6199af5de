//! Answers that go to the wrong request: earlier ones again, or two that change places.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Answers that are remembered at most.
const REMEMBERED: usize = 256;

/// How long one waits for another to change places with.
const PATIENCE: Duration = Duration::from_millis(50);

/// Answers of one route.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    earlier: Mutex<VecDeque<Bytes>>,
    waiting: Mutex<Option<(Bytes, oneshot::Sender<Bytes>)>>,
}

impl Exchange {
    pub(super) fn remember(&self, body: &Bytes) {
        let mut earlier = self.earlier.lock().unwrap();
        if earlier.len() == REMEMBERED {
            earlier.pop_front();
        }
        earlier.push_back(body.clone());
    }

    /// One of the earlier answers.
    pub(super) fn earlier(&self, roll: usize) -> Option<Bytes> {
        let earlier = self.earlier.lock().unwrap();
        earlier.get(roll % earlier.len().max(1)).cloned()
    }

    /// Gives an answer to whoever waits for one, and takes theirs.
    pub(super) fn pass(&self, own: &Bytes) -> Option<Bytes> {
        let (theirs, waiter) = self.waiting.lock().unwrap().take()?;
        // A waiter may be gone by now.
        waiter.send(own.clone()).ok()?;
        Some(theirs)
    }

    /// Changes places with another answer; after a while, takes an earlier one.
    pub(super) async fn swap(&self, own: &Bytes, roll: usize) -> Option<Bytes> {
        if let Some(theirs) = self.pass(own) {
            return Some(theirs);
        }
        let (sender, mut theirs) = oneshot::channel();
        *self.waiting.lock().unwrap() = Some((own.clone(), sender));
        if let Ok(Ok(theirs)) = timeout(PATIENCE, &mut theirs).await {
            return Some(theirs);
        }
        // From here on nobody can send; who did until now has this answer.
        theirs.close();
        theirs.try_recv().ok().or_else(|| self.earlier(roll))
    }
}
