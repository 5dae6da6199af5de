//! The scripted model: it answers by rule. A test double that is data, not wiring.
//!
//! Its folder holds a `config.json` with `"architecture": "scripted"` and an ordered list of rules;
//! the first rule whose `contains` stands in the last message answers, by rendering its template, or
//! refuses. With `"replies": "shuffled"` they come in another order than they were asked for.
//! Templates draw with the request's seed: `pick(list)`, `integer(low, high)`, `uniform()`.
//! Tokens are words.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Object, Value};
use minijinja::{Environment, ErrorKind, State, context};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Deserialize;

use super::folder::{file_of, parse, read};
use super::{Ask, Asker, Error, Finish, LanguageModel, Prompt, Refusal, Reply, ScoreRequest};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(rename = "architecture")]
    _architecture: String,
    rules: Vec<Rule>,
    #[serde(default)]
    replies: Order,
}

/// One rule: where `contains` stands in the last message, `template` is the answer, or the prompt is
/// refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(default)]
    contains: String,
    template: Option<String>,
    refuses: Option<String>,
}

/// In which order replies come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    /// As they are asked for.
    #[default]
    InOrder,
    /// In one that the seeds decide.
    Shuffled,
}

/// Names the templates of the scripted model whose folder holds `files`.
pub(super) fn templates(files: &BTreeMap<String, PathBuf>) -> Result<Vec<String>, Error> {
    let config: Config = parse(file_of(files, "config.json")?)?;
    Ok(config.rules.into_iter().filter_map(|rule| rule.template).collect())
}

/// A model that answers by rule.
pub struct Scripted {
    rules: Vec<Rule>,
    replies: Order,
    templates: Environment<'static>,
}

impl Scripted {
    /// Opens the scripted model whose folder holds `files`.
    ///
    /// # Errors
    /// Where a file is missing or is not what it should be.
    pub fn open(files: &BTreeMap<String, PathBuf>) -> Result<Self, Error> {
        let path = file_of(files, "config.json")?;
        let config: Config = parse(path)?;
        let mut templates = Environment::new();
        templates.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        templates.add_function("pick", pick);
        templates.add_function("integer", integer);
        templates.add_function("uniform", uniform);
        let fail = |reason: String| Error::Config { path: path.to_owned(), reason };
        for rule in &config.rules {
            match (&rule.template, &rule.refuses) {
                (Some(name), None) => {
                    let text = read(file_of(files, name)?)?;
                    let added = templates.add_template_owned(name.clone(), text);
                    added.map_err(|e| template_error(name, &e))?;
                }
                (None, Some(_)) => {}
                _ => return Err(fail("expected one of `template` and `refuses` in a rule".into())),
            }
        }
        if !config.rules.last().is_some_and(|rule| rule.contains.is_empty()) {
            return Err(fail("the last rule must answer everything: it has no `contains`".into()));
        }
        Ok(Self { rules: config.rules, replies: config.replies, templates })
    }

    /// Answers one draw of an ask.
    fn answer(&self, ask: &Ask, seed: u64) -> Result<Reply, Error> {
        let Prompt::Messages(messages) = &ask.prompt else {
            return Err(Error::Scripted("read token ids"));
        };
        let prompt = messages.last().map_or("", |message| message.content.as_str());
        let rule = self.rules.iter().find(|rule| prompt.contains(&rule.contains));
        if let Some(reason) = rule.and_then(|rule| rule.refuses.as_ref()) {
            return Ok(Reply::refused(Refusal::Unwritten(reason.clone())));
        }
        let name = rule.and_then(|rule| rule.template.as_deref()).unwrap_or_default();
        let seed = if ask.decoding.temperature > 0.0 { seed } else { 0 };
        let draws = Value::from_object(Draws(Mutex::new(ChaCha8Rng::seed_from_u64(seed))));
        let text = self
            .templates
            .get_template(name)
            .and_then(|template| template.render(context! { prompt, draws }))
            .map_err(|e| template_error(name, &e))?;
        let read: usize = messages.iter().map(|m| words(&m.content)).sum();
        let (text, drawn, finish) = cut(text, ask.decoding.max_tokens);
        Ok(Reply {
            text,
            tokens: Vec::new(),
            prompt_tokens: u32::try_from(read).unwrap_or(u32::MAX),
            completion_tokens: drawn,
            finish,
            logprob: None,
            among: None,
            money: None,
        })
    }
}

impl LanguageModel for Scripted {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn generate(&self, asker: &mut dyn Asker) -> Result<(), Error> {
        const AT_ONCE: usize = 1024;
        let mut asked = 0;
        loop {
            let (mut asks, mut draws) = (Vec::new(), Vec::new());
            while draws.len() < AT_ONCE
                && let Some(ask) = asker.next()
            {
                draws.extend((0..ask.seeds.len()).map(|draw| (asks.len(), draw)));
                asks.push(ask);
            }
            if asks.is_empty() || asker.go_on().is_break() {
                return Ok(());
            }
            if self.replies == Order::Shuffled {
                draws.sort_by_key(|(ask, draw)| asks[*ask].seeds[*draw]);
            }
            let answer = |&(ask, draw): &(usize, usize)| {
                let request: &Ask = &asks[ask];
                self.answer(request, request.seeds[draw])
            };
            let replies: Vec<Reply> = draws.par_iter().map(answer).collect::<Result<_, _>>()?;
            for ((ask, draw), reply) in draws.into_iter().zip(replies) {
                if asker.take(asked + ask, draw, reply).is_break() {
                    return Ok(());
                }
            }
            asked += asks.len();
        }
    }

    fn choose(&self, _: &mut dyn Asker, _: &[String]) -> Result<(), Error> {
        Err(Error::Scripted("tell probabilities"))
    }

    fn score(&self, _: &[ScoreRequest]) -> Result<Vec<Vec<f64>>, Error> {
        Err(Error::Scripted("score"))
    }
}

fn template_error(name: &str, error: &minijinja::Error) -> Error {
    Error::Template { name: name.to_owned(), reason: error.to_string() }
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// Cuts a text after `most` words, as a token limit would.
fn cut(text: String, most: u32) -> (String, u32, Finish) {
    let drawn = u32::try_from(words(&text)).unwrap_or(u32::MAX);
    if drawn <= most {
        return (text, drawn, Finish::Stop);
    }
    let kept: Vec<&str> = text.split_whitespace().take(most as usize).collect();
    (kept.join(" "), most, Finish::Length)
}

/// The request's own generator, passed to the template.
#[derive(Debug)]
struct Draws(Mutex<ChaCha8Rng>);

impl Object for Draws {}

fn draw<T>(
    state: &State<'_, '_>,
    take: impl FnOnce(&mut ChaCha8Rng) -> T,
) -> Result<T, minijinja::Error> {
    let draws: Option<Arc<Draws>> =
        state.lookup("draws").and_then(|value| value.downcast_object::<Draws>());
    let draws = draws.ok_or_else(|| {
        minijinja::Error::new(ErrorKind::InvalidOperation, "`draws` was overwritten")
    })?;
    let mut generator = draws.0.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(take(&mut generator))
}

fn pick(state: &State<'_, '_>, list: Vec<Value>) -> Result<Value, minijinja::Error> {
    if list.is_empty() {
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, "pick() of an empty list"));
    }
    let at = draw(state, |generator| generator.random_range(0..list.len()))?;
    Ok(list[at].clone())
}

fn integer(state: &State<'_, '_>, low: i64, high: i64) -> Result<i64, minijinja::Error> {
    if low > high {
        let text = format!("integer({low}, {high}) is an empty range");
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, text));
    }
    draw(state, |generator| generator.random_range(low..=high))
}

fn uniform(state: &State<'_, '_>) -> Result<f64, minijinja::Error> {
    draw(state, rand::RngExt::random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Decoding, Message, draw_all};

    fn model(template: &str) -> Scripted {
        let folder = tempfile::tempdir().unwrap();
        let config = r#"{"architecture": "scripted", "rules": [{"template": "a.jinja"}]}"#;
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        std::fs::write(folder.path().join("a.jinja"), template).unwrap();
        let files = ["config.json", "a.jinja"].map(|f| (f.to_owned(), folder.path().join(f)));
        Scripted::open(&BTreeMap::from(files)).unwrap()
    }

    fn ask(model: &Scripted, seeds: &[u64], temperature: f64) -> Vec<Reply> {
        let decoding = Decoding { temperature, max_tokens: 3, ..Decoding::default() };
        let prompt = Prompt::Messages(vec![Message::user("hello")]);
        let ask =
            Ask { prompt, decoding, stop: Vec::new(), seeds: seeds.to_vec(), names: Vec::new() };
        draw_all(model, &[ask]).unwrap().remove(0)
    }

    #[test]
    fn a_draw_follows_its_seed_and_nothing_else() {
        let model = model("{{ prompt }} {{ integer(0, 1000000) }}");
        let together = ask(&model, &[1, 2, 3], 1.0);
        let alone = ask(&model, &[2], 1.0);
        assert_eq!(together[1], alone[0]);
        assert_ne!(together[0].text, together[1].text);
        let greedy = ask(&model, &[1, 2], 0.0);
        assert_eq!(greedy[0], greedy[1], "at temperature 0 the seed is not used");
    }

    #[test]
    fn a_text_past_the_limit_is_cut_and_says_so() {
        let reply = ask(&model("one two three four"), &[1], 1.0).remove(0);
        assert_eq!((reply.text.as_str(), reply.finish), ("one two three", Finish::Length));
        assert_eq!((reply.prompt_tokens, reply.completion_tokens), (1, 3));
    }
}
