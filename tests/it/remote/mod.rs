//! Models behind servers: nothing is lost when servers fail, and what answered is told exactly.

mod bad_input;
mod batch;
mod budget;
mod choosing;
mod equal;
mod faulty;
mod keys;
mod load;
mod managed;
mod real;

use crate::lab::Lab;
use crate::server::{Options, Server};

/// The scripted loop's model, behind a server.
fn scripted(lab: &Lab, options: Options) -> Server {
    let folder = Options::model(&lab.path.join("loop/model"));
    Server::start(Options { answers: folder.answers, name: "m0".to_owned(), ..options })
}

/// Adds tables to the experiment in `loop/`.
fn with_engine(lab: &Lab, tables: &str) {
    let toml = std::fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    lab.write("loop/experiment.toml", &format!("{toml}\n{tables}\n"));
}

/// An engine of servers that speak in chats.
fn endpoints(servers: &[&Server], more: &str) -> String {
    let urls: Vec<String> = servers.iter().map(|server| format!("{:?}", server.url())).collect();
    let urls = urls.join(", ");
    format!(
        "[engine]\nendpoints = [{urls}]\nserved_name = \"m0\"\napi = \"chat\"\nseeds = true\nversion = \"1\"\n{more}"
    )
}
