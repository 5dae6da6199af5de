//! What can go wrong with a model in another program.

use std::path::PathBuf;

/// What can go wrong with a model in another program, so that no other row is asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address is not one.
    #[error("`{url}` is not the address of a server: {reason}")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The environment has no key.
    #[error("{url} asks for a key, and the environment has no `{variable}`")]
    NoKey {
        /// The server.
        url: String,
        /// The variable that should hold it.
        variable: String,
    },
    /// A key would travel in the open.
    #[error(
        "the key of {url} would be sent unencrypted: the address is `http://`, and another machine's"
    )]
    OpenKey {
        /// The server.
        url: String,
    },
    /// A program of the machine cannot be used.
    #[error("cannot make requests: {0}")]
    Client(String),
    /// The key is wrong, or does not allow this.
    #[error("{url} refuses the key (status {status}): {said}")]
    Forbidden {
        /// The server.
        url: String,
        /// 401 or 403.
        status: u16,
        /// Its words.
        said: String,
    },
    /// The server does not have the model.
    #[error("{url} does not serve `{name}`{}", served(.serves))]
    NotServed {
        /// The server.
        url: String,
        /// The model, as it was asked for.
        name: String,
        /// What it serves.
        serves: Vec<String>,
    },
    /// The server has another model under the name.
    #[error("{url} was asked for `{asked}`, and `{replied}` replied")]
    OtherModel {
        /// The server.
        url: String,
        /// What was asked for.
        asked: String,
        /// What replied.
        replied: String,
    },
    /// The server is of another version than the experiment says.
    #[error("{url} is of version {found}, the experiment says {expected}")]
    OtherVersion {
        /// The server.
        url: String,
        /// What it reports.
        found: String,
        /// What is expected.
        expected: String,
    },
    /// The server does not know the request, or the account is closed.
    #[error("{url} does not take requests (status {status}): {said}")]
    Status {
        /// The server.
        url: String,
        /// The status.
        status: u16,
        /// Its words.
        said: String,
    },
    /// No server answers.
    #[error("no server has answered for {seconds} s; the last word is {last}")]
    Silence {
        /// How long it was waited.
        seconds: u64,
        /// What the last attempt came to.
        last: String,
    },
    /// One request fails again and again.
    #[error("{row} failed {times} times, the last time with {last}")]
    Again {
        /// The row.
        row: String,
        /// How often.
        times: u32,
        /// What the last attempt came to.
        last: String,
    },
    /// The budget is spent.
    #[error(
        "the budget is spent: {spent:.4} of `max_cost` {max}; one more request may cost {next:.4}"
    )]
    Budget {
        /// What was spent on the experiment.
        spent: f64,
        /// What may be.
        max: f64,
        /// The most that a request may cost.
        next: f64,
    },
    /// The server has no field for a setting.
    #[error("the server has no field for `{0}`")]
    Setting(&'static str),
    /// A conversation was asked of a model whose template is not known, or ids of one without.
    #[error("a model in another program cannot {0}")]
    Cannot(&'static str),
    /// A program cannot be started.
    #[error("cannot start `{program}`")]
    Start {
        /// Its first word.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program ended before it answered, or again and again.
    #[error("the engine `{program}` {what}; {}:\n{tail}", log.display())]
    Engine {
        /// Its first word.
        program: String,
        /// What became of it.
        what: String,
        /// Where its words are.
        log: PathBuf,
        /// The last of them.
        tail: String,
    },
    /// A port is in use.
    #[error("port {port} is taken: another program listens there")]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// Replicas of one model do not compute the same.
    #[error(
        "{one} and {other} serve the same model, and do not give its first token the same \
         log-probability: {a:.4} and {b:.4} nats"
    )]
    Unequal {
        /// A server.
        one: String,
        /// Another.
        other: String,
        /// What the one says.
        a: f64,
        /// What the other says.
        b: f64,
    },
    /// The model is run by files, and nobody made or brought them.
    #[error("the model is run by batch files, not by a server")]
    ByFiles,
    /// A file of requests or replies is at fault.
    #[error(transparent)]
    Batch(#[from] super::batch::Stopped),
}

fn served(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; it serves {}", names.join(", ")) }
}
