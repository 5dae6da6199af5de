//! What the server says when all goes well, and whom it turns away.

use std::path::PathBuf;
use std::thread::scope;
use std::time::{Duration, Instant};

use candle_core::Device;
use mrx::model::{
    Ask, Continuation, Decoding, LanguageModel, Local, Message, Prompt, Reply, ScoreRequest,
    draw_all,
};
use serde_json::{Value, json};

use super::raw::{get, get_from, post};
use super::{Options, Quirk, Server};
use crate::lab::Lab;
use crate::model::files;

const COMPLETIONS: &str = "/v1/completions";
const CHATS: &str = "/v1/chat/completions";

/// A small random model, of a lab that has to be kept.
pub(super) fn folder() -> (Lab, PathBuf) {
    let lab = crate::local::lab();
    let folder = lab.path.join("small/model");
    (lab, folder)
}

fn with(quirk: Quirk, options: Options) -> Server {
    Server::start(Options { quirks: vec![quirk], ..options })
}

fn drawn(model: &Local, prompt: Prompt, seeds: &[u64]) -> Vec<Reply> {
    let decoding = Decoding { max_tokens: 8, top_k: Some(12), ..Decoding::default() };
    let ask = Ask { prompt, decoding, stop: Vec::new(), seeds: seeds.to_vec(), names: Vec::new() };
    draw_all(model, &[ask]).unwrap().remove(0)
}

fn completion(prompt: &[u32], seed: u64) -> Value {
    json!({
        "model": "tested", "prompt": prompt, "max_tokens": 8, "temperature": 1.0, "top_p": 1.0,
        "top_k": 12, "min_p": 0.0, "repetition_penalty": 1.0, "seed": seed.cast_signed(), "n": 1,
        "logprobs": 0, "return_token_ids": true,
    })
}

#[test]
fn it_says_that_it_is_there_and_what_it_serves() {
    let (_lab, folder) = folder();
    let server = Server::start(Options { name: "small".to_owned(), ..Options::model(&folder) });
    assert_eq!(get(&server, "/health").status, 200);
    assert_eq!(get(&server, "/version").json(), json!({ "version": "0.0.1" }));
    let models = get(&server, "/v1/models").json();
    let model = &models["data"][0];
    assert_eq!((&model["id"], &model["max_model_len"]), (&json!("small"), &json!(64)));
    assert_eq!(model["root"], json!(folder.to_str().unwrap()));
    let silent = Server::start(Options { version: None, ..Options::default() });
    assert_eq!(get(&silent, "/version").status, 404);
    assert_eq!(get(&with(Quirk::Unhealthy, Options::default()), "/health").status, 503);
}

#[test]
fn it_draws_what_its_model_draws_however_many_ask_at_once() {
    let (_lab, folder) = folder();
    let server = Server::start(Options::model(&folder));
    let model = Local::open(&files(&folder), &Device::Cpu).unwrap();
    scope(|scope| {
        for nth in 0..24_u64 {
            let (server, model) = (&server, &model);
            scope.spawn(move || {
                let (prompt, seed) = ([1, 5 + u32::try_from(nth).unwrap() % 9, 7], nth << 60 | nth);
                let expected = drawn(model, Prompt::Tokens(prompt.to_vec()), &[seed]).remove(0);
                let id = format!("x-request-id: row-{nth}");
                let reply = post(server, COMPLETIONS, &[&id], &completion(&prompt, seed));
                let (whole, body) = (reply.is_whole(), reply.json());
                assert!(whole && reply.status == 200, "{reply:?}");
                assert_eq!(body["id"], json!(format!("cmpl-row-{nth}")));
                let choice = &body["choices"][0];
                assert_eq!(choice["text"], json!(expected.text));
                assert_eq!(choice["token_ids"], json!(expected.tokens));
                assert_eq!(choice["prompt_token_ids"], json!(prompt));
                assert_eq!(body["usage"]["completion_tokens"], json!(expected.tokens.len()));
                let text = String::from_utf8(reply.body).unwrap();
                let logprob = text.split_once(r#""token_logprobs":["#).unwrap().1;
                let logprob = logprob.split([',', ']']).next().unwrap().parse::<f64>().unwrap();
                assert_eq!(Some(logprob), expected.logprob, "to the last bit");
            });
        }
    });
    assert_eq!((server.counts().received, server.counts().answered), (24, 24));
}

#[test]
fn choices_have_seeds_in_a_row_and_end_where_they_are_told_to() {
    let (_lab, folder) = folder();
    let server = Server::start(Options::model(&folder));
    let model = Local::open(&files(&folder), &Device::Cpu).unwrap();
    let expected = drawn(&model, Prompt::Tokens(vec![1, 6]), &[u64::MAX, 0, 1]);
    let mut body = completion(&[1, 6], u64::MAX);
    body["n"] = json!(3);
    let texts = |reply: Value| -> Vec<String> {
        let choices = reply["choices"].as_array().unwrap();
        choices.iter().map(|choice| choice["text"].as_str().unwrap().to_owned()).collect()
    };
    let found = texts(post(&server, COMPLETIONS, &[], &body).json());
    assert_eq!(found, expected.iter().map(|reply| reply.text.clone()).collect::<Vec<_>>());
    let stop = found[0].split(' ').nth(1).unwrap();
    body["stop"] = json!([stop]);
    let cut = post(&server, COMPLETIONS, &[], &body).json();
    assert_eq!(cut["choices"][0]["finish_reason"], json!("stop"));
    assert!(!texts(cut)[0].contains(stop));
}

#[test]
fn a_conversation_is_rendered_by_the_models_template() {
    let (_lab, folder) = folder();
    let model = Local::open(&files(&folder), &Device::Cpu).unwrap();
    let body = json!({
        "model": "tested", "messages": [{ "role": "user", "content": "a b" }], "seed": 3,
        "max_completion_tokens": 8, "top_k": 12, "logprobs": true, "return_token_ids": true,
    });
    let prompt = Prompt::Messages(vec![Message::user("a b")]);
    let expected = drawn(&model, prompt.clone(), &[3]).remove(0);
    let reply = post(&Server::start(Options::model(&folder)), CHATS, &[], &body).json();
    assert_eq!(reply["prompt_token_ids"], json!(model.tokens(&prompt).unwrap()));
    let choice = &reply["choices"][0];
    assert_eq!(choice["message"], json!({ "role": "assistant", "content": expected.text }));
    assert_eq!(choice["token_ids"], json!(expected.tokens));
    assert_eq!(choice["logprobs"]["content"].as_array().unwrap().len(), expected.tokens.len());
    let twice = with(Quirk::TemplateTwice, Options::model(&folder));
    let twice = post(&twice, CHATS, &[], &body).json();
    let read = |reply: &Value| reply["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!(read(&twice) > read(&reply));
}

#[test]
fn one_token_comes_with_the_likeliest_and_a_prompt_with_its_own_probabilities() {
    let (_lab, folder) = folder();
    let server = Server::start(Options::model(&folder));
    let model = Local::open(&files(&folder), &Device::Cpu).unwrap();
    let mut body = completion(&[1, 6, 8], 5);
    (body["max_tokens"], body["logprobs"]) = (json!(1), json!(4));
    (body["prompt_logprobs"], body["temperature"]) = (json!(0), json!(0));
    let reply = post(&server, COMPLETIONS, &[], &body).json();
    let choice = &reply["choices"][0];
    let top = choice["logprobs"]["top_logprobs"][0].as_object().unwrap();
    let best = top.values().map(|logp| logp.as_f64().unwrap()).fold(f64::MIN, f64::max);
    assert_eq!(top.len(), 4);
    let greedy = choice["logprobs"]["tokens"][0].as_str().unwrap();
    assert_eq!(top[greedy].as_f64(), Some(best), "the likeliest is taken");
    assert!((best - choice["logprobs"]["token_logprobs"][0].as_f64().unwrap()).abs() < 1e-5);
    let scored = ScoreRequest {
        prompt: Prompt::Tokens(vec![1]),
        continuations: vec![Continuation::Tokens(vec![6, 8])],
    };
    let told = &choice["prompt_logprobs"];
    let sum = [(1, "6"), (2, "8")].map(|(at, id)| told[at][id]["logprob"].as_f64().unwrap());
    let expected = model.score(&[scored]).unwrap()[0][0];
    assert!(told[0].is_null() && (sum[0] + sum[1] - expected).abs() < 1e-4, "{told} {expected}");
}

#[test]
fn who_asks_wrongly_is_told_why() {
    let (_lab, folder) = folder();
    let key = Some("secret".to_owned());
    let server = Server::start(Options { api_key: key, ..Options::model(&folder) });
    let asked = |change: &dyn Fn(&mut Value)| {
        let mut body = completion(&[1, 6], 5);
        change(&mut body);
        let reply = post(&server, COMPLETIONS, &["authorization: Bearer secret"], &body);
        (reply.status, reply.json()["error"]["message"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(asked(&|_| ()).0, 200);
    let (status, message) = asked(&|body| body["model"] = json!("other"));
    assert_eq!((status, message.as_str()), (404, "The model `other` does not exist."));
    let (status, message) = asked(&|body| body["prompt"] = json!(vec![1; 64]));
    assert!(status == 400 && message.contains("maximum context length is 64 tokens"), "{message}");
    assert_eq!(asked(&|body| body["prompt"] = json!([])).0, 400);
    assert_eq!(asked(&|body| body["prompt"] = json!([1, 9999])).0, 400);
    assert_eq!(asked(&|body| body["seed"] = json!(u64::MAX)).0, 400, "seeds are signed");
    let bare = post(&server, COMPLETIONS, &[], &completion(&[1], 5));
    assert_eq!((bare.status, &bare.json()["error"]["code"]), (401, &json!(401)));
    assert_eq!((server.counts().refused, server.counts().with_key), (6, 6));
}

#[test]
fn an_instant_server_has_one_answer_and_few_places() {
    let latency = Duration::from_millis(40);
    let options = Options { latency, parallel: Some(2), ..Options::instant("yes indeed") };
    let server = Server::start(options);
    let began = Instant::now();
    let body = json!({ "prompt": [1, 2, 3], "return_token_ids": true, "logprobs": 0 });
    scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let reply = post(&server, COMPLETIONS, &[], &body).json();
                let choice = &reply["choices"][0];
                let told = (&choice["text"], &choice["token_ids"]);
                assert_eq!(told, (&json!("yes indeed"), &json!([0, 1])));
                assert_eq!(reply["usage"]["total_tokens"], json!(5));
            });
        }
    });
    assert!(began.elapsed() >= latency * 3, "two at once");
    let busy = Server::start(Options { latency, reject_above: Some(1), ..Options::default() });
    let statuses: Vec<u16> = scope(|scope| {
        let ask = || post(&busy, CHATS, &[], &json!({ "messages": [] })).status;
        let asked: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
    assert!(busy.counts().most_under_way > 1 && busy.counts().rejected > 0);
}

#[test]
fn a_strange_server_is_strange_in_the_way_it_is_told() {
    let (_lab, folder) = folder();
    let reply = |quirk: Quirk, seed: u64| {
        let server = with(quirk, Options::model(&folder));
        let ask = |seed| post(&server, COMPLETIONS, &[], &completion(&[1, 6], seed)).json();
        (ask(1), ask(seed))
    };
    let text = |reply: &Value| reply["choices"][0]["token_ids"].clone();
    let (one, again) = reply(Quirk::IgnoresSeed, 1);
    assert_ne!(text(&one), text(&again));
    let (one, other) = reply(Quirk::SameSamples, 2);
    assert_eq!(text(&one), text(&other));
    assert_eq!(reply(Quirk::WrongName("b".to_owned()), 1).0["model"], json!("b"));
    assert!(text(&reply(Quirk::NoTokenIds, 1).0).is_null());
    assert!(reply(Quirk::NoLogprobs, 1).0["choices"][0]["logprobs"].is_null());
    assert!(reply(Quirk::NoUsage, 1).0.get("usage").is_none());
    let refusing = with(Quirk::RefusesLongAnswers, Options::model(&folder));
    assert_eq!(post(&refusing, COMPLETIONS, &[], &completion(&[1; 60], 1)).status, 400);
    let away = with(Quirk::Redirects("http://other".to_owned()), Options::default());
    let away = post(&away, CHATS, &[], &json!({}));
    assert_eq!(
        (away.status, away.header("location")),
        (307, Some("http://other/v1/chat/completions"))
    );
}

#[test]
fn a_server_can_come_back_where_it_was() {
    let server = Server::start(Options::default());
    let (port, url) = (server.port(), server.url());
    assert_eq!(get(&server, "/health").status, 200);
    drop(server);
    assert!(get_from(&url, "/health").is_err(), "nobody listens");
    let again = Server::start(Options { port, ..Options::default() });
    assert_eq!((again.url(), get(&again, "/health").status), (url, 200));
}
