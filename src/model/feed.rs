//! Between who asks and who draws: asks become token ids, once for all of their draws, and what a
//! prompt is refused for goes back as a reply.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use rayon::prelude::*;

use super::generate::{Ended, Job, Worker};
use super::language::Language;
use super::queue::Queue;
use super::threads::{join, thread_count, within};
use super::{Asker, Error, Refusal, Reply};

/// Draws that wait at most: enough that prompts which begin alike meet, and that no worker waits.
const MOST_WAITING: usize = 1024;

/// More are asked for once fewer wait.
const LEAST_WAITING: usize = MOST_WAITING / 2;

/// How often it is asked whether to go on, while nothing ends.
const MOMENT: Duration = Duration::from_millis(50);

/// Takes asks as there is room for them.
pub(super) struct Feed<'f> {
    language: &'f Language,
    asker: &'f mut dyn Asker,
    queue: &'f Queue,
    asked: usize,
}

/// What a worker says.
enum Said {
    /// A text ended.
    Ended(Ended),
    /// Few prompts wait.
    Hungry,
}

impl<'f> Feed<'f> {
    pub(super) fn new(language: &'f Language, asker: &'f mut dyn Asker, queue: &'f Queue) -> Self {
        Self { language, asker, queue, asked: 0 }
    }

    /// Queues asks until enough draws wait, or there are no more; tells whether to go on.
    pub(super) fn fill(&mut self) -> Result<ControlFlow<()>, Error> {
        let mut asks = Vec::new();
        let mut draws = self.queue.draws();
        let mut are_all = false;
        while draws < MOST_WAITING {
            let Some(ask) = self.asker.next() else {
                are_all = true;
                break;
            };
            draws += ask.seeds.len();
            asks.push((self.asked, ask));
            self.asked += 1;
        }
        let language = self.language;
        let tokenised: Vec<_> = asks
            .into_par_iter()
            .map(|(place, ask)| (place, ask.seeds.len(), language.queued(place, ask)))
            .collect();
        let mut prompts = Vec::with_capacity(tokenised.len());
        for (place, draws, prompt) in tokenised {
            match prompt? {
                Ok(prompt) => prompts.push(prompt),
                Err(refusal) => {
                    if self.refuse(place, draws, &refusal).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
        }
        self.queue.add(prompts);
        // Only now: who waits for more goes home when it hears that, and would miss these.
        if are_all {
            self.queue.complete();
        }
        Ok(ControlFlow::Continue(()))
    }

    fn refuse(&mut self, ask: usize, draws: usize, refusal: &Refusal) -> ControlFlow<()> {
        (0..draws).try_for_each(|draw| self.asker.take(ask, draw, Reply::refused(refusal.clone())))
    }

    /// Hears the workers until all have ended.
    fn serve(&mut self, said: &Receiver<Said>) -> Result<(), Error> {
        loop {
            let go_on = match said.recv_timeout(MOMENT) {
                Ok(Said::Ended(ended)) => {
                    let reply = self.language.reply(&ended)?;
                    self.asker.take(ended.ask, ended.draw, reply)
                }
                Ok(Said::Hungry) => self.fill()?,
                Err(RecvTimeoutError::Timeout) => self.asker.go_on(),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            if go_on.is_break() {
                self.queue.give_up();
            }
        }
    }

    /// Lets `workers` threads draw, and hands each text over on this one as it ends.
    pub(super) fn run(&mut self, job: &Job<'_>, workers: usize) -> Result<(), Error> {
        let (sender, said) = channel();
        // A worker among several spreads nothing; one by itself has every thread, and is one of them, for to
        // wake threads from outside of them costs as much as a small product.
        let threads = if workers > 1 { 1 } else { thread_count() };
        thread::scope(|scope| {
            let start = |sender: Sender<Said>| {
                let work = move || {
                    let drawn = draw_for(job, &sender);
                    if drawn.is_err() {
                        job.queue.give_up();
                    }
                    drawn
                };
                scope.spawn(move || within(threads, work)?)
            };
            let workers: Vec<_> = (0..workers).map(|_| start(sender.clone())).collect();
            drop(sender);
            let served = self.serve(&said);
            if served.is_err() {
                job.queue.give_up();
            }
            let drawn = workers.into_iter().try_for_each(join);
            served.and(drawn)
        })
    }
}

fn draw_for(job: &Job<'_>, to: &Sender<Said>) -> Result<(), Error> {
    // Who hears this ends only after the last worker, or has given the queue up.
    let say = |said| drop(to.send(said));
    let hungry = || {
        if job.queue.draws() < LEAST_WAITING {
            say(Said::Hungry);
        }
    };
    Worker::new(job, &hungry)?.run(&mut |ended| say(Said::Ended(ended)))
}
