//! Looks at servers before a run does: what is told here as a finding would be a failure there, or rows
//! that are not what they are taken for.

mod draws;
mod finding;
mod greedy;
mod guess;
mod heard;
mod load;
mod patient;
mod started;
mod told;
mod who;

use tokio::runtime::Builder;

pub use finding::{Finding, Verdict};
pub use guess::preset_of;

use super::super::{Engine, Error as ModelError, Version};
use super::error::Error;
use super::how::{Endpoint, How, Program};
use super::http::Fault;
use super::speaker::{Speaker, Whose};
use patient::{Draw, Patient, seed};
use started::Started;
use who::{Met, is_refused};

/// What is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Requests that are sent at once; `None` is twice what the run sends at most.
    pub load: Option<usize>,
}

/// What is looked at before, in this order.
const OF_SERVERS: [&str; 6] = ["reachable", "serves", "version", "context", "key", "replies"];

/// What is looked at in the replies to requests for text, in this order.
const OF_TEXTS: [&str; 9] = [
    "seed honoured",
    "samples distinct",
    "chat template",
    "greedy agrees",
    "log-probabilities",
    "token ids",
    "usage",
    "model name",
    "load",
];

/// Looks at every server of an engine; an engine that mrx starts is started once, and ended.
///
/// # Errors
/// Where an address is none, or a file of the model cannot be read. What is wrong with a server is a
/// finding.
pub fn examine(
    engine: &Engine,
    whose: &Whose<'_>,
    options: Options,
) -> Result<Vec<Finding>, ModelError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::Client(error.to_string()))?;
    let mut findings = Vec::new();
    match &engine.how {
        How::Servers(servers) => {
            for endpoint in &servers.endpoints {
                let speaker = Speaker::new(engine, whose)?;
                let met = runtime.block_on(Met::with(endpoint, &speaker))?;
                let expected = Some(&engine.version).filter(|version| !version.is_unreported());
                let looked = look(&met, (&speaker, endpoint), expected, options);
                findings.extend(of(endpoint, runtime.block_on(looked)));
            }
        }
        How::Program(program) => {
            let speaker = Speaker::new(engine, whose)?;
            match runtime.block_on(Started::start(program, whose, &speaker)) {
                Ok(mut started) => {
                    let endpoint = started.endpoint.clone();
                    let looked = look(&started.met, (&speaker, &endpoint), None, options);
                    let mut found = runtime.block_on(looked);
                    found.push(runtime.block_on(started.stays(&speaker)));
                    findings.extend(of(&endpoint, found));
                }
                Err(error) => findings.extend(not_there(&error, program)),
            }
        }
        How::Local | How::Files(_) => return Err(Error::ByFiles.into()),
    }
    Ok(findings)
}

fn of(endpoint: &Endpoint, findings: Vec<Finding>) -> impl Iterator<Item = Finding> {
    findings.into_iter().map(|finding| Finding { at: endpoint.url.clone(), ..finding })
}

/// What is found where an engine could not be started.
fn not_there(error: &Error, program: &Program) -> Vec<Finding> {
    let why = "the engine is not there";
    let others = OF_SERVERS.iter().chain(&OF_TEXTS).skip(1);
    let reachable = Finding::fail("reachable", started::words(error), "no row can be drawn");
    let mut found = vec![reachable];
    found.extend(others.map(|check| Finding::unknown(check, why)));
    let at = program.command.first().cloned().unwrap_or_default();
    found.into_iter().map(|finding| Finding { at: at.clone(), ..finding }).collect()
}

/// Looks at one server that was met.
async fn look(
    met: &Met,
    (speaker, endpoint): (&Speaker, &Endpoint),
    expected: Option<&Version>,
    options: Options,
) -> Vec<Finding> {
    let mut findings = vec![
        met.reachable(),
        met.serves(speaker),
        met.version(expected, speaker),
        met.context(speaker),
    ];
    let patient = Patient { host: met.host.clone(), speaker };
    let first = match met.blocked(speaker) {
        Some(why) => Err((None, why)),
        None => first(&patient).await,
    };
    let refused = first.as_ref().err().and_then(|(fault, _)| fault.as_ref());
    findings.push(met.key(endpoint, refused));
    let blocked = match first {
        Ok(first) => {
            findings.push(Finding::pass("replies", shown(&first.text())));
            findings.extend(of_texts(&patient, first, options).await);
            return findings;
        }
        Err((Some(fault), _)) if !is_refused(&fault) => {
            findings.push(Finding::fail("replies", fault.to_string(), "no row can be drawn"));
            "the first request failed".to_owned()
        }
        Err((_, why)) => {
            findings.push(Finding::unknown("replies", why.clone()));
            why
        }
    };
    findings.extend(OF_TEXTS.map(|check| Finding::unknown(check, blocked.clone())));
    findings
}

/// The first request for text; or what became of it, and why none is of use.
async fn first(patient: &Patient<'_>) -> Result<heard::Heard, (Option<Fault>, String)> {
    let unwritten = |why: String| (Some(Fault::Refused(why)), String::new());
    let asked = patient.prompt().map_err(unwritten)?;
    let draw = Draw::text(seed(0));
    let written = patient.write(asked, &draw).map_err(|error| unwritten(error.to_string()))?;
    let sent = patient.send(&written).await;
    sent.map_err(|fault| (Some(fault), "the key is refused".to_owned()))
}

async fn of_texts(patient: &Patient<'_>, first: heard::Heard, options: Options) -> Vec<Finding> {
    let mut heard = vec![first.clone()];
    let seeds = draws::seeds(patient, &first, &mut heard).await;
    let samples = draws::samples(patient, &mut heard).await;
    let twice = patient.speaker.calls.max_concurrency.saturating_mul(2);
    vec![
        seeds,
        samples,
        told::template(patient).await,
        greedy::greedy(patient).await,
        told::log_probabilities(patient, &heard),
        told::token_ids(patient, &heard),
        told::usage(patient, &heard),
        told::model_name(patient, &heard),
        load::load(patient, options.load.unwrap_or(twice)).await,
    ]
}

/// How a text begins.
fn shown(text: &str) -> String {
    const SHOWN: usize = 40;
    let start: String = text.chars().take(SHOWN).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("`{}{more}`", start.escape_debug())
}
