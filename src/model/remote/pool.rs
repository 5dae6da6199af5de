//! Which server is asked next, and how much of it is asked at once.
//!
//! Each server has a limit of its own on requests under way: it grows while all goes well, doubling from
//! round to round until the first trouble, and is halved when the server has too much to do. One that fails again and
//! again is set aside, and tried with one request after a while. Nothing here waits, and nothing here
//! knows what is asked.

use std::time::Duration;

use tokio::time::Instant;

/// Failures one after the other until a server is set aside.
const SET_ASIDE_AFTER: u32 = 5;
/// How long it is set aside at first, and at most.
const ASIDE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// Requests at once to begin with.
const FIRST_LIMIT: f64 = 16.0;
/// How long a busy server is left alone, where it does not say: at first, and at most.
const BUSY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(10));

/// What is known of a server.
#[derive(Debug)]
pub(super) struct Load {
    limit: f64,
    most: usize,
    slow_start: bool,
    under_way: usize,
    failures: u32,
    /// How often it was set aside, one after the other.
    times_aside: u32,
    /// It fails: nothing is asked before.
    aside_until: Option<Instant>,
    /// It is busy: nothing is asked before.
    busy_until: Option<Instant>,
    /// How often it was busy, one after the other.
    refusals: u32,
    /// Nothing is asked at all: it is being started.
    pub(super) starting: bool,
    /// Requests that it was sent so far, and how many that were when the limit was last halved.
    sent: u64,
    halved_at: u64,
}

impl Load {
    pub(super) fn new(most: usize, starting: bool) -> Self {
        let most = most.max(1);
        Self {
            limit: FIRST_LIMIT.min(most as f64),
            most,
            slow_start: true,
            under_way: 0,
            failures: 0,
            times_aside: 0,
            aside_until: None,
            busy_until: None,
            refusals: 0,
            starting,
            sent: 0,
            halved_at: 0,
        }
    }

    /// How many more requests it takes.
    pub(super) fn room(&self, now: Instant) -> usize {
        let later = |until: Option<Instant>| until.is_some_and(|until| now < until);
        if self.starting || later(self.aside_until) || later(self.busy_until) {
            return 0;
        }
        // One that failed is tried with one.
        let limit = if self.failures >= SET_ASIDE_AFTER { 1.0 } else { self.limit };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small count"
        )]
        let limit = limit as usize;
        limit.max(1).saturating_sub(self.under_way)
    }

    /// It is sent one more; returns the request's number.
    pub(super) const fn send(&mut self) -> u64 {
        self.under_way += 1;
        self.sent += 1;
        self.sent
    }

    /// It replied.
    pub(super) fn replied(&mut self) {
        self.came_back();
        self.failures = 0;
        (self.aside_until, self.times_aside) = (None, 0);
        self.refusals = 0;
        // In slow start every reply makes room for one more; then a whole round of replies does.
        let more = if self.slow_start { 1.0 } else { 1.0 / self.limit };
        self.limit = (self.limit + more).min(self.most as f64);
    }

    /// A request is no longer under way.
    const fn came_back(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// It has too much to do, for as long as it says.
    pub(super) fn busy(&mut self, request: u64, now: Instant, wait: Option<Duration>) {
        self.came_back();
        let first = self.halve(request);
        let own = BUSY.0.saturating_mul(1 << self.refusals.min(10)).min(BUSY.1);
        self.refusals += u32::from(first);
        let until = now + wait.unwrap_or(own);
        self.busy_until = Some(self.busy_until.map_or(until, |earlier| earlier.max(until)));
    }

    /// It failed; tells whether it is set aside by this.
    pub(super) fn failed(&mut self, request: u64, now: Instant, is_away: bool) -> bool {
        self.came_back();
        if is_away {
            self.halve(request);
        }
        self.failures += 1;
        let is_aside = self.aside_until.is_some_and(|until| now < until);
        if self.failures < SET_ASIDE_AFTER || is_aside {
            return false;
        }
        let wait = ASIDE.0.saturating_mul(1 << self.times_aside.min(10)).min(ASIDE.1);
        self.aside_until = Some(now + wait);
        self.times_aside += 1;
        self.times_aside == 1
    }

    /// It is another process from now on, which has to start first.
    pub(super) fn begin_again(&mut self) {
        let Self { under_way, sent, most, .. } = *self;
        *self = Self { under_way, sent, halved_at: sent, ..Self::new(most, true) };
    }

    /// Halves the limit, and tells whether it did: requests that were under way together count once.
    fn halve(&mut self, request: u64) -> bool {
        if request <= self.halved_at {
            return false;
        }
        self.halved_at = self.sent;
        self.slow_start = false;
        self.limit = (self.limit / 2.0).max(1.0);
        true
    }
}

/// Prompts that begin alike are asked of one server, for it keeps what it has read; only so many in a row,
/// or the others would stand idle.
const TOGETHER: usize = 64;

/// Keeps prompts that begin alike together.
#[derive(Debug, Default)]
pub(super) struct Affinity {
    last: Vec<u32>,
    server: usize,
    run: usize,
}

impl Affinity {
    /// The server that a prompt belongs to, of those with room: the last one's, where it begins as the
    /// last one did; else the one with most room.
    pub(super) fn server(&mut self, start: &[u32], loads: &[Load], now: Instant) -> Option<usize> {
        let rooms = loads.iter().map(|load| load.room(now));
        let (roomiest, most) =
            rooms.enumerate().max_by_key(|(at, room)| (*room, usize::MAX - at))?;
        if most == 0 {
            return None;
        }
        let alike = start.iter().zip(&self.last).take_while(|(a, b)| a == b).count();
        let stays = alike > 0 && alike * 2 >= start.len() && self.run < TOGETHER;
        start.clone_into(&mut self.last);
        if stays && loads.get(self.server).is_some_and(|load| load.room(now) > 0) {
            self.run += 1;
        } else {
            (self.server, self.run) = (roomiest, 1);
        }
        Some(self.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> Instant {
        Instant::from_std(std::time::Instant::now())
    }

    fn fill(load: &mut Load, now: Instant) -> usize {
        let room = load.room(now);
        (0..room).for_each(|_| {
            load.send();
        });
        room
    }

    #[test]
    fn a_limit_grows_while_all_goes_well_and_is_halved_once_for_a_burst() {
        let (mut load, now) = (Load::new(64, false), started());
        assert_eq!(fill(&mut load, now), 16);
        (0..16).for_each(|_| load.replied());
        assert_eq!(fill(&mut load, now), 32, "every reply makes room for one more");
        (0..32).for_each(|_| load.replied());
        assert_eq!(fill(&mut load, now), 64, "the most that it may take");
        let last = load.sent;
        (0..64).for_each(|nth| load.busy(last - nth, now, Some(Duration::from_secs(2))));
        assert_eq!(load.room(now), 0, "it is left alone as long as it says");
        let later = now + Duration::from_secs(3);
        assert_eq!(fill(&mut load, later), 32, "halved, once");
        (0..32).for_each(|_| load.replied());
        assert_eq!(load.room(later), 32, "a whole round of replies makes room for one");
        fill(&mut load, later);
        (0..32).for_each(|_| load.replied());
        assert_eq!(load.room(later), 33);
    }

    #[test]
    fn a_server_that_fails_is_set_aside_and_tried_with_one_request() {
        let (mut load, now) = (Load::new(8, false), started());
        fill(&mut load, now);
        let aside: Vec<bool> = (1..=6).map(|request| load.failed(request, now, true)).collect();
        assert_eq!(aside, [false, false, false, false, true, false]);
        assert_eq!(load.room(now), 0);
        let later = now + Duration::from_secs(1);
        (0..2).for_each(|_| load.came_back());
        assert_eq!(load.room(later), 1, "one request finds out");
        load.send();
        load.replied();
        assert!(load.room(later) > 1, "it is well again");
    }

    #[test]
    fn prompts_that_begin_alike_stay_together_as_long_as_there_is_room() {
        let now = started();
        let mut loads = [Load::new(4, false), Load::new(4, false)];
        let mut affinity = Affinity::default();
        let mut place = |start: &[u32], loads: &mut [Load; 2]| {
            let at = affinity.server(start, &loads[..], now);
            if let Some(at) = at {
                loads[at].send();
            }
            at
        };
        assert_eq!(place(&[1, 2, 3, 4], &mut loads), Some(0));
        assert_eq!(place(&[1, 2, 3, 9], &mut loads), Some(0), "it begins as the last one did");
        assert_eq!(place(&[7, 7, 7, 7], &mut loads), Some(1), "it does not");
        assert_eq!(place(&[7, 7, 7, 8], &mut loads), Some(1));
        assert_eq!(place(&[7, 7, 7, 9], &mut loads), Some(1));
        assert_eq!(place(&[7, 7, 7, 5], &mut loads), Some(1));
        assert_eq!(place(&[7, 7, 7, 6], &mut loads), Some(0), "there is no room");
        assert_eq!(place(&[7, 7, 7, 6], &mut loads), Some(0));
        assert_eq!(place(&[7, 7, 7, 6], &mut loads), None, "nor is there any");
    }
}
