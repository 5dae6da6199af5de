//! A model that is asked by files: requests are written into some, and replies are taken from others.

use std::any::Any;
use std::sync::Arc;

use super::super::{
    Asker, Engine, Error as ModelError, LanguageModel, Refusal, Reply, ScoreRequest,
};
use super::batch::{Export, Replies, Said, Stopped, Work, Writer};
use super::error::Error;
use super::flight::expectations;
use super::how::How;
use super::job::{Job, Weighing};
use super::response;
use super::speaker::Speaker;
use super::speaker::Whose;

/// A model that is asked by files.
#[derive(Debug)]
pub struct ByFiles {
    speaker: Speaker,
    work: Work,
}

/// What came of replies so far.
#[derive(Default)]
struct Count {
    taken: usize,
    missing: usize,
    failed: Vec<(String, String)>,
}

/// Failures that are told of.
const SHOWN: usize = 5;

impl ByFiles {
    /// Makes ready to write requests, or to take replies.
    ///
    /// # Errors
    /// [`Error::ByFiles`] where nobody asked for either.
    pub fn open(engine: &Engine, whose: &Whose<'_>) -> Result<Self, ModelError> {
        let How::Files(files) = &engine.how else { return Err(Error::ByFiles.into()) };
        let work = files.work.clone().ok_or(Error::ByFiles)?;
        Ok(Self { speaker: Speaker::new(engine, whose)?, work })
    }

    fn ask(&self, asker: &mut dyn Asker, among: Option<&[String]>) -> Result<(), ModelError> {
        let weighing = Weighing::of(self.speaker.calls.dialect.weighs, among)?;
        match &self.work {
            Work::Export(export) => Err(self.export(asker, weighing.as_ref(), export)?),
            Work::Import(replies) => self.import(asker, weighing.as_ref(), replies),
        }
    }

    /// The requests of the next ask; `None` where there is none, or whoever asks has enough.
    fn next(
        &self,
        asker: &mut dyn Asker,
        place: usize,
        weighing: Option<&Weighing<'_>>,
    ) -> Result<Option<Vec<Job>>, ModelError> {
        let Some(ask) = asker.next() else { return Ok(None) };
        let draws = ask.seeds.len();
        match self.speaker.prepare(place, ask, weighing)? {
            Ok(jobs) => Ok(Some(jobs)),
            Err(refusal) => {
                let mut refuse = |draw| asker.take(place, draw, Reply::refused(refusal.clone()));
                let goes_on = (0..draws).try_for_each(&mut refuse).is_continue();
                Ok(goes_on.then(Vec::new))
            }
        }
    }

    fn export(
        &self,
        asker: &mut dyn Asker,
        weighing: Option<&Weighing<'_>>,
        export: &Export,
    ) -> Result<ModelError, ModelError> {
        let mut writer = Writer::new(export);
        let form = self.speaker.form();
        for place in 0.. {
            let Some(jobs) = self.next(asker, place, weighing)? else { break };
            for job in jobs {
                let seed = job.seeds.first().copied().unwrap_or_default();
                let body = form.with_seed(&job.request, seed, job.texts());
                writer.write(&job.name, form.path(), body).map_err(Error::from)?;
            }
        }
        Ok(Error::from(writer.finish()).into())
    }

    fn import(
        &self,
        asker: &mut dyn Asker,
        weighing: Option<&Weighing<'_>>,
        replies: &Arc<Replies>,
    ) -> Result<(), ModelError> {
        let mut count = Count::default();
        for place in 0.. {
            let Some(jobs) = self.next(asker, place, weighing)? else { break };
            for job in jobs {
                if !self.take(asker, &job, (weighing, replies), &mut count)? {
                    return Ok(());
                }
            }
        }
        let Count { taken, missing, failed } = count;
        if missing == 0 {
            return Ok(());
        }
        Err(Error::from(Stopped::Imported { taken, missing, failed }).into())
    }

    /// Takes the reply to a request, where there is one, and tells whether to go on.
    fn take(
        &self,
        asker: &mut dyn Asker,
        job: &Job,
        (weighing, replies): (Option<&Weighing<'_>>, &Replies),
        count: &mut Count,
    ) -> Result<bool, ModelError> {
        let drawn = match replies.of(&job.name).map_err(Error::from)? {
            None => {
                count.missing += job.draws.len();
                return Ok(true);
            }
            Some((Said::Body(body), at)) => {
                self.read(job, &body, weighing)?.map_err(|why| (why, at))
            }
            Some((Said::Refused(why), _)) => {
                Ok(vec![Reply::refused(Refusal::ByServer(why)); job.draws.len()])
            }
            Some((Said::Failed(why), at)) => Err((why, at)),
        };
        let drawn = match drawn {
            Ok(drawn) => drawn,
            Err((why, at)) => {
                count.missing += job.draws.len();
                if count.failed.len() < SHOWN {
                    count.failed.push((format!("{} ({at})", job.name), why));
                }
                return Ok(true);
            }
        };
        for (draw, reply) in job.draws.iter().zip(drawn) {
            count.taken += 1;
            if asker.take(job.ask, *draw, reply).is_break() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn read(
        &self,
        job: &Job,
        body: &str,
        weighing: Option<&Weighing<'_>>,
    ) -> Result<Result<Vec<Reply>, String>, ModelError> {
        let expected = expectations(&self.speaker.protocol);
        match response::read(body.as_bytes(), &job.request, job.texts(), expected) {
            Err(why) => Ok(Err(why)),
            Ok(answer) if answer.model.as_ref().is_some_and(|model| !self.speaker.is_me(model)) => {
                let replied = answer.model.unwrap_or_default();
                Ok(Err(format!("`{replied}` replied, not `{}`", self.speaker.name)))
            }
            Ok(answer) => Ok(Ok(self.speaker.replies(job, answer, weighing)?)),
        }
    }
}

impl LanguageModel for ByFiles {
    fn generate(&self, asker: &mut dyn Asker) -> Result<(), ModelError> {
        self.ask(asker, None)
    }

    fn choose(&self, asker: &mut dyn Asker, among: &[String]) -> Result<(), ModelError> {
        self.ask(asker, Some(among))
    }

    fn score(&self, _: &[ScoreRequest]) -> Result<Vec<Vec<f64>>, ModelError> {
        Err(Error::Cannot("score texts").into())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
