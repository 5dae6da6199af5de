//! From an ask to the requests that answer it.

use std::sync::Arc;

use super::super::{Api, Ask, Continuation, Prompt, Refusal};
use super::Weighing;
use super::error::Error;
use super::how::Prices;
use super::request::{Asked, Request, Wanted};
use super::speaker::Speaker;

/// One request: so many draws of an ask.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// The ask's place in the order in which asks came.
    pub(super) ask: usize,
    /// Which of its draws.
    pub(super) draws: Vec<usize>,
    /// The seeds of all of them.
    pub(super) seeds: Vec<u64>,
    /// What the first is called.
    pub(super) name: String,
    pub(super) request: Arc<Request>,
    pub(super) temperature: f64,
    /// The texts that end a draw.
    pub(super) stop: Arc<[String]>,
    /// How the candidates are named, where the next token is weighed.
    pub(super) candidates: Arc<[Vec<String>]>,
    /// What it costs at most.
    pub(super) ceiling: f64,
    /// How often it failed so far.
    pub(super) tries: u32,
}

impl Job {
    /// Texts that its request asks for.
    pub(super) fn texts(&self) -> usize {
        if self.request.wanted == Wanted::Text { self.draws.len() } else { 1 }
    }

    /// How its prompt begins, for what is asked of one server.
    pub(super) fn start(&self) -> Vec<u32> {
        const LOOKED_AT: usize = 2048;
        match &self.request.asked {
            Asked::Tokens(ids) => ids.iter().copied().take(LOOKED_AT).collect(),
            Asked::Messages(messages) => {
                let text = messages.iter().flat_map(|message| message.content.chars());
                text.map(u32::from).take(LOOKED_AT).collect()
            }
        }
    }
}

/// A token is a byte at least, and mostly some.
const BYTES_PER_TOKEN: usize = 2;

impl Speaker {
    /// Writes the requests of an ask, or says why there are none.
    pub(super) fn prepare(
        &self,
        place: usize,
        ask: Ask,
        weighing: Option<&Weighing<'_>>,
    ) -> Result<Result<Vec<Job>, Refusal>, super::super::Error> {
        let (asked, read) = match self.asked(place, &ask.prompt)? {
            Ok(asked) => asked,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let context = self.context();
        if read >= context && matches!(asked, Asked::Tokens(_)) {
            return Ok(Err(Refusal::TooLong { tokens: read, context }));
        }
        let wanted = weighing.map_or(Wanted::Text, |weighing| Wanted::Next(weighing.candidates));
        let left = if matches!(asked, Asked::Tokens(_)) { context - read } else { usize::MAX };
        let most = match wanted {
            Wanted::Text => u32::try_from(left).unwrap_or(u32::MAX).min(ask.decoding.max_tokens),
            Wanted::Next(_) => 1,
        };
        let candidates = match (weighing, &asked) {
            (None, _) => Vec::new(),
            (Some(weighing), _) => self.candidates(&ask.prompt, &asked, weighing.among)?,
        };
        let request = Arc::new(self.form().request(asked, &ask, most.max(1), wanted)?);
        let whole = self.protocol.n || wanted != Wanted::Text;
        let draws: Vec<Vec<usize>> = match ask.seeds.len() {
            0 => Vec::new(),
            all if whole => vec![(0..all).collect()],
            all => (0..all).map(|draw| vec![draw]).collect(),
        };
        let (stop, candidates): (Arc<[String]>, Arc<[Vec<String>]>) =
            (ask.stop.into(), candidates.into());
        let job = |draws: Vec<usize>| {
            let texts = if wanted == Wanted::Text { draws.len() } else { 1 };
            let price =
                |prices: &Prices| prices.of(read as u64, u64::from(request.most) * texts as u64);
            Job {
                ask: place,
                seeds: draws.iter().map(|draw| ask.seeds[*draw]).collect(),
                name: draws
                    .first()
                    .and_then(|draw| ask.names.get(*draw))
                    .cloned()
                    .unwrap_or_default(),
                draws,
                request: Arc::clone(&request),
                temperature: ask.decoding.temperature,
                stop: Arc::clone(&stop),
                candidates: Arc::clone(&candidates),
                ceiling: self.calls.prices.as_ref().map_or(0.0, price),
                tries: 0,
            }
        };
        Ok(Ok(draws.into_iter().map(job).collect()))
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

    /// What the first token of each text may be called in a reply.
    fn candidates(
        &self,
        prompt: &Prompt,
        asked: &Asked,
        among: &[String],
    ) -> Result<Vec<Vec<String>>, super::super::Error> {
        let (Some(language), Asked::Tokens(ids)) = (&self.language, asked) else {
            return Ok(among.iter().map(|text| vec![text.clone()]).collect());
        };
        let given: Vec<_> = among.iter().cloned().map(Continuation::Text).collect();
        let tokens = language.continuations(prompt, ids, &given)?;
        let one = |(tokens, text): (Vec<u32>, &String)| match tokens.as_slice() {
            [id] => {
                Ok(vec![format!("token_id:{id}"), language.tokenizer.decode(&[*id])?, text.clone()])
            }
            _ => Err(Error::Cannot("weigh verdicts of more than one token each").into()),
        };
        tokens.into_iter().zip(among).map(one).collect()
    }
}
