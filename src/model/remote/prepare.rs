//! From an ask to the requests that answer it.

use std::sync::Arc;

use super::super::{Ask, Continuation, Prompt, Refusal};
use super::error::Error;
use super::how::Prices;
use super::job::{Job, Next, Weighing};
use super::protocol::Api;
use super::request::{Asked, Wanted};
use super::speaker::Speaker;

/// A token is a byte at least, and mostly some.
const BYTES_PER_TOKEN: usize = 2;

impl Speaker {
    /// Writes the requests of an ask, or says why there are none.
    pub(super) fn prepare(
        &self,
        place: usize,
        mut ask: Ask,
        weighing: Option<&Weighing<'_>>,
    ) -> Result<Result<Vec<Job>, Refusal>, super::super::Error> {
        let (asked, read) = match self.asked(place, &ask.prompt)? {
            Ok(asked) => asked,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let context = self.context();
        let is_counted = matches!(asked, Asked::Tokens(_));
        if is_counted && read >= context {
            return Ok(Err(Refusal::TooLong { tokens: read, context }));
        }
        let (asked, next) = match weighing {
            None => (asked, Next::default()),
            Some(weighing) => self.next(&ask.prompt, asked, weighing.among)?,
        };
        let left = if is_counted { context - read } else { usize::MAX };
        let (wanted, most) = match weighing {
            None => {
                let left = u32::try_from(left).unwrap_or(u32::MAX);
                (Wanted::Text, left.min(ask.decoding.max_tokens))
            }
            Some(weighing) => (Wanted::Next(weighing.candidates), 1),
        };
        let request = self.form().request(asked, &ask, most.max(1), wanted)?;
        let template = Job {
            ask: place,
            draws: Vec::new(),
            seeds: Vec::new(),
            name: String::new(),
            request: Arc::new(request),
            temperature: ask.decoding.temperature,
            stop: std::mem::take(&mut ask.stop).into(),
            next: Arc::new(next),
            ceiling: 0.0,
            tries: 0,
        };
        Ok(Ok(self.jobs(&ask, read, &template)))
    }

    /// Divides the draws of an ask among requests.
    fn jobs(&self, ask: &Ask, read: usize, template: &Job) -> Vec<Job> {
        let whole = self.protocol.n || template.request.wanted != Wanted::Text;
        let each = if whole { ask.seeds.len().max(1) } else { 1 };
        let all: Vec<usize> = (0..ask.seeds.len()).collect();
        let job = |draws: &[usize]| {
            let job = Job {
                draws: draws.to_vec(),
                seeds: draws.iter().map(|draw| ask.seeds[*draw]).collect(),
                name: draws
                    .first()
                    .and_then(|draw| ask.names.get(*draw))
                    .cloned()
                    .unwrap_or_default(),
                ..template.clone()
            };
            let drawn = u64::from(job.request.most) * job.texts() as u64;
            let price = |prices: &Prices| prices.of(read as u64, drawn);
            Job { ceiling: self.calls.prices.as_ref().map_or(0.0, price), ..job }
        };
        all.chunks(each).map(job).collect()
    }

    /// What is asked, and how many tokens it has, at most where the server counts them.
    fn asked(
        &self,
        place: usize,
        prompt: &Prompt,
    ) -> Result<Result<(Asked, usize), Refusal>, super::super::Error> {
        match (self.protocol.api, &self.language, prompt) {
            (Api::Completions, Some(language), prompt) => {
                let tokens = language.asked(place, prompt)?;
                Ok(tokens.map(|tokens| (Asked::Tokens(tokens.clone()), tokens.len())))
            }
            (Api::Completions, None, Prompt::Tokens(tokens)) => {
                Ok(Ok((Asked::Tokens(tokens.clone()), tokens.len())))
            }
            (Api::Chat, _, Prompt::Messages(messages)) => {
                let bytes: usize = messages.iter().map(|message| message.content.len()).sum();
                Ok(Ok((Asked::Messages(messages.clone()), bytes.div_ceil(BYTES_PER_TOKEN))))
            }
            (Api::Completions, None, Prompt::Messages(_)) => {
                let what =
                    "be asked by `completions`, for its tokens are not known: `api = \"chat\"`";
                Err(Error::Cannot(what).into())
            }
            (Api::Chat, _, Prompt::Tokens(_)) => {
                Err(Error::Cannot("read token ids in a chat").into())
            }
        }
    }

    /// What is asked so that the next token tells texts apart: as ids, with what all texts begin with.
    fn next(
        &self,
        prompt: &Prompt,
        asked: Asked,
        among: &[String],
    ) -> Result<(Asked, Next), super::super::Error> {
        let (Some(language), Asked::Tokens(ids)) = (&self.language, &asked) else {
            let names = among.iter().map(|text| vec![text.clone()]).collect();
            return Ok((asked, Next { names, begun: 0 }));
        };
        let given: Vec<_> = among.iter().cloned().map(Continuation::Text).collect();
        let texts = language.continuations(prompt, ids, &given)?;
        let begun = common_start(&texts);
        let name = |text: &Vec<u32>| {
            let [id] = &text[begun..] else {
                let what =
                    "weigh verdicts that more than one token tells apart: `decide = \"text\"`";
                return Err(super::super::Error::from(Error::Cannot(what)));
            };
            Ok(vec![format!("token_id:{id}"), language.tokenizer.decode(&[*id])?])
        };
        let names = texts.iter().map(name).collect::<Result<_, _>>()?;
        let start = texts.first().map(|text| &text[..begun]).unwrap_or_default();
        Ok((Asked::Tokens([ids, start].concat()), Next { names, begun }))
    }
}

/// How many ids all of some texts begin with; one is always left.
fn common_start(texts: &[Vec<u32>]) -> usize {
    let Some((first, others)) = texts.split_first() else { return 0 };
    let shortest = texts.iter().map(Vec::len).min().unwrap_or(0).saturating_sub(1);
    let alike = |at: &usize| others.iter().all(|other| other[*at] == first[*at]);
    (0..shortest).take_while(alike).count()
}
