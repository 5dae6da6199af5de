//! Asking: requests go out as the servers have room for them, and what comes back is settled one by one.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout};

use super::super::{Asker, Error as ModelError, Refusal, Reply};
use super::error::Error;
use super::flight::{Landed, OURS, expectations, fly};
use super::http::Fault;
use super::job::{Job, Weighing};
use super::pool::{Affinity, Load};
use super::reach::Reach;
use super::response::Answer;

/// How long it is waited at most before those who ask are asked whether to go on.
const TICK: Duration = Duration::from_millis(100);
/// How often one request may fail.
const TRIES: u32 = 12;
/// How long a request that failed waits at first, and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(20));
/// Ids of replies that are remembered, so that one is not taken twice.
const REMEMBERED: usize = 1 << 14;

/// Why asking ended early.
pub(super) enum Halt {
    /// Whoever asks has enough.
    Enough,
    Failed(ModelError),
}

impl<E: Into<ModelError>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// All requests of one call.
pub(super) struct Drive<'d> {
    pub(super) remote: &'d Reach,
    pub(super) asker: &'d mut dyn Asker,
    pub(super) weighing: Option<Weighing<'d>>,
    pub(super) loads: Vec<Load>,
    affinity: Affinity,
    pub(super) ready: VecDeque<Job>,
    /// Requests that wait for their next try, by when that is.
    delayed: BTreeMap<(Instant, u64), Job>,
    flights: JoinSet<Landed>,
    asked: usize,
    exhausted: bool,
    /// Marks the requests of this call, and tosses for how long one waits.
    nonce: RandomState,
    sent: u64,
    /// Draws that were replied to.
    pub(super) replied: u64,
    /// What requests under way may cost.
    reserved: f64,
    last_reply: Instant,
    last_fault: String,
    seen: (VecDeque<String>, HashSet<String>),
}

impl<'d> Drive<'d> {
    pub(super) fn new(
        remote: &'d Reach,
        asker: &'d mut dyn Asker,
        weighing: Option<Weighing<'d>>,
    ) -> Self {
        let starting = remote.managed.is_some() && !remote.met.load(Ordering::Relaxed);
        let hosts = remote.hosts().len();
        let load = || Load::new(remote.speaker.calls.max_concurrency, starting);
        Self {
            remote,
            asker,
            weighing,
            loads: std::iter::repeat_with(load).take(hosts).collect(),
            affinity: Affinity::default(),
            ready: VecDeque::new(),
            delayed: BTreeMap::new(),
            flights: JoinSet::new(),
            asked: 0,
            exhausted: false,
            nonce: RandomState::new(),
            sent: 0,
            replied: 0,
            reserved: 0.0,
            last_reply: Instant::now(),
            last_fault: "nothing at all".to_owned(),
            seen: (VecDeque::new(), HashSet::new()),
        }
    }

    /// Asks until there is nothing left to ask.
    pub(super) async fn run(&mut self) -> Result<(), ModelError> {
        match self.go().await {
            Ok(()) | Err(Halt::Enough) => Ok(()),
            Err(Halt::Failed(error)) => Err(error),
        }
    }

    async fn go(&mut self) -> Result<(), Halt> {
        self.fetch()?;
        if self.ready.is_empty() {
            return Ok(());
        }
        self.meet().await?;
        let mut ticked = Instant::now();
        loop {
            self.send()?;
            if self.flights.is_empty() && self.is_done() {
                return Ok(());
            }
            if let Ok(landed) = timeout(TICK, self.next_landed()).await {
                self.settle(landed.map_err(lost)?)?;
                while let Some(landed) = self.flights.try_join_next() {
                    self.settle(landed.map_err(lost)?)?;
                }
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                self.tick().await?;
            }
        }
    }

    /// Waits for a request to come back; for ever where none is under way.
    async fn next_landed(&mut self) -> Result<Landed, JoinError> {
        match self.flights.join_next().await {
            Some(landed) => landed,
            None => std::future::pending().await,
        }
    }

    fn is_done(&self) -> bool {
        self.exhausted && self.ready.is_empty() && self.delayed.is_empty()
    }

    /// Whatever has to be looked after while requests are under way.
    async fn tick(&mut self) -> Result<(), Halt> {
        if self.asker.go_on().is_break() {
            return Err(Halt::Enough);
        }
        self.look_after_engines().await?;
        let silent = self.last_reply.elapsed();
        if self.loads.iter().any(|load| load.starting) {
            self.last_reply = Instant::now();
        } else if silent > self.remote.speaker.calls.patience {
            let last = std::mem::take(&mut self.last_fault);
            return Err(Error::Silence { seconds: silent.as_secs(), last }.into());
        }
        Ok(())
    }

    /// Sends as much as there is room for.
    fn send(&mut self) -> Result<(), Halt> {
        loop {
            let now = Instant::now();
            while let Some(due) = self.delayed.first_entry().filter(|first| first.key().0 <= now) {
                self.ready.push_front(due.remove());
            }
            if self.loads.iter().all(|load| load.room(now) == 0) {
                return Ok(());
            }
            if self.ready.is_empty() {
                self.fetch()?;
            }
            let Some(job) = self.ready.pop_front() else { return Ok(()) };
            if !self.can_pay(&job)? {
                self.ready.push_front(job);
                return Ok(());
            }
            match self.affinity.server(&job.start(), &self.loads, now) {
                Some(server) => self.launch(job, server),
                None => self.ready.push_front(job),
            }
        }
    }

    /// Takes the next ask that leads to a request.
    fn fetch(&mut self) -> Result<(), Halt> {
        while !self.exhausted && self.ready.is_empty() {
            let Some(ask) = self.asker.next() else {
                self.exhausted = true;
                break;
            };
            let (place, draws) = (self.asked, ask.seeds.len());
            self.asked += 1;
            match self.remote.speaker.prepare(place, ask, self.weighing.as_ref())? {
                Ok(jobs) => self.ready.extend(jobs),
                Err(refusal) => self.refuse(place, 0..draws, &refusal)?,
            }
        }
        Ok(())
    }

    fn refuse(
        &mut self,
        ask: usize,
        draws: impl IntoIterator<Item = usize>,
        refusal: &Refusal,
    ) -> Result<(), Halt> {
        draws
            .into_iter()
            .try_for_each(|draw| self.hand_over(ask, draw, Reply::refused(refusal.clone())))
    }

    fn hand_over(&mut self, ask: usize, draw: usize, reply: Reply) -> Result<(), Halt> {
        match self.asker.take(ask, draw, reply) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Halt::Enough),
        }
    }

    /// Whether the budget has room for a request, now or once others are back.
    fn can_pay(&mut self, job: &Job) -> Result<bool, Halt> {
        let Some(max) = self.remote.speaker.calls.max_cost else { return Ok(true) };
        let spent = *self.remote.spent();
        if spent + self.reserved + job.ceiling <= max {
            return Ok(true);
        }
        if self.flights.is_empty() {
            return Err(Error::Budget { spent, max, next: job.ceiling }.into());
        }
        Ok(false)
    }

    fn launch(&mut self, job: Job, server: usize) {
        let Some(host) = self.remote.hosts().get(server).cloned() else { return };
        let number = self.loads[server].send();
        self.reserved += job.ceiling;
        self.sent += 1;
        let id = format!("{OURS}{:016x}", self.nonce.hash_one(self.sent));
        let form = self.remote.speaker.form();
        let seed = job.seeds.first().copied().unwrap_or_default();
        let body = form.with_seed(&job.request, seed, job.texts());
        let expected = expectations(&self.remote.speaker.protocol);
        let timeout = self.remote.speaker.calls.timeout;
        let flight = fly((host, server, number), (job, id), (form.path(), body), expected, timeout);
        self.flights.spawn_on(flight, self.remote.runtime.handle());
    }

    /// Settles what a request came to.
    fn settle(&mut self, landed: Landed) -> Result<(), Halt> {
        let Landed { job, server, number, outcome } = landed;
        self.reserved -= job.ceiling;
        let now = Instant::now();
        match outcome {
            Ok(answer) => match self.doubt(server, &answer)? {
                None => {
                    self.last_reply = now;
                    self.loads[server].replied();
                    self.deliver(&job, answer)
                }
                Some(what) => self.failed(job, (server, number), Fault::Broken(what)),
            },
            Err(Fault::Refused(why)) => {
                self.last_reply = now;
                self.loads[server].replied();
                self.refuse(job.ask, job.draws.iter().copied(), &Refusal::ByServer(why))
            }
            Err(Fault::Busy(what, wait)) => {
                self.last_fault = what;
                self.loads[server].busy(number, now, wait);
                self.ready.push_front(job);
                Ok(())
            }
            Err(Fault::Stop(error)) => Err(error.into()),
            Err(fault) => self.failed(job, (server, number), fault),
        }
    }

    fn url(&self, server: usize) -> String {
        self.remote.hosts().get(server).map(|host| host.url.clone()).unwrap_or_default()
    }

    /// Why an answer is not to be trusted, if it is not.
    fn doubt(&mut self, server: usize, answer: &Answer) -> Result<Option<String>, Halt> {
        if let Some(model) = &answer.model
            && !self.remote.speaker.is_me(model)
        {
            let (asked, replied) = (self.remote.speaker.name.clone(), model.clone());
            let url = self.url(server);
            return Err(Error::OtherModel { url, asked, replied }.into());
        }
        let Some(id) = answer.id.as_ref().filter(|id| !id.is_empty()) else { return Ok(None) };
        let (order, ids) = &mut self.seen;
        if !ids.insert(id.clone()) {
            return Ok(Some(format!("the reply `{id}` for the second time")));
        }
        order.push_back(id.clone());
        if order.len() > REMEMBERED
            && let Some(oldest) = order.pop_front()
        {
            ids.remove(&oldest);
        }
        Ok(None)
    }

    fn failed(
        &mut self,
        mut job: Job,
        (server, number): (usize, u64),
        fault: Fault,
    ) -> Result<(), Halt> {
        let now = Instant::now();
        let too_much = matches!(fault, Fault::Away(_) | Fault::Slow(_));
        if self.loads[server].failed(number, now, too_much) {
            let url = self.url(server);
            let wait = "it is set aside and tried again";
            self.asker.hear(format!("{url} keeps failing ({fault}): {wait}"));
        }
        // Where nobody is there, the request is not at fault.
        job.tries += u32::from(!matches!(fault, Fault::Away(_)));
        let what = fault.to_string();
        if job.tries >= TRIES {
            let Job { name: row, tries: times, .. } = job;
            return Err(Error::Again { row, times, last: what }.into());
        }
        self.last_fault = what;
        let wait = BACK_OFF.0.saturating_mul(1 << job.tries.min(12)).min(BACK_OFF.1);
        // Half of it, and a share of the other half: those who failed together do not come back together.
        self.sent += 1;
        let toss = f64::from(u32::try_from(self.nonce.hash_one(self.sent) >> 32).unwrap_or(0));
        let wait = wait.mul_f64(0.5 + 0.5 * toss / f64::from(u32::MAX));
        self.delayed.insert((now + wait, self.sent), job);
        Ok(())
    }

    /// Hands over what an answer says of each draw.
    fn deliver(&mut self, job: &Job, answer: Answer) -> Result<(), Halt> {
        let replies = self.remote.speaker.replies(job, answer, self.weighing.as_ref())?;
        for (draw, reply) in job.draws.iter().zip(replies) {
            *self.remote.spent() += reply.money.unwrap_or(0.0);
            self.replied += 1;
            self.hand_over(job.ask, *draw, reply)?;
        }
        Ok(())
    }
}

/// A task that did not come to an end: a mistake in mrx.
fn lost(error: JoinError) -> ModelError {
    Error::Client(error.to_string()).into()
}
