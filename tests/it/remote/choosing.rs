//! Verdicts by the probabilities that a server tells, judges that are served elsewhere, and the machine's
//! own file that says where.

use crate::judged::examples;
use crate::lab::Lab;
use crate::server::{Options, Server, process};

/// Appends to the experiment of a folder.
fn append(lab: &Lab, folder: &str, tables: &str) {
    let file = format!("{folder}/experiment.toml");
    let toml = std::fs::read_to_string(lab.path.join(&file)).unwrap();
    lab.write(&file, &format!("{toml}\n{tables}\n"));
}

#[test]
fn weights_that_a_server_tells_are_those_that_are_computed_here() {
    let lab = examples();
    let run = |more: &[&str]| {
        let all = [&["run", "e/alpaca_eval", "evaluate.m0"], more].concat();
        lab.mrx(&all).success();
    };
    run(&[]);
    let engine = format!(
        "[engines.there]\npreset = \"vllm\"\nversion = \"1\"\ncommand = {:?}",
        process::command(&[])
    );
    append(&lab, "e/alpaca_eval", &engine);
    lab.edit(
        "e/alpaca_eval/experiment.toml",
        "model = \"m0\"",
        "model = \"m0\"\nengine = \"there\"",
    );
    run(&["--set", "name=there"]);
    // In a chat, tokens go by their texts.
    run(&["--set", "name=chat", "--set", "engines.there.api=chat"]);
    for name in ["there", "chat"] {
        let told = lab.ask(&format!(
            "SELECT max(abs(here.preference - there.preference)), count(*)
            FROM verdicts here JOIN verdicts there USING (verdict_id)
            WHERE here.experiment = 'alpaca-eval' AND there.experiment = '{name}'"
        ));
        let (far, games) = told.split_once(',').unwrap();
        assert!(far.parse::<f64>().unwrap() < 1e-6 && games != "0", "{name}: {told}");
    }
}

#[test]
fn a_verdict_that_no_likely_token_gives_is_a_refused_row() {
    let lab = examples();
    let server = Server::start(Options { name: "judge".to_owned(), ..Options::instant("perhaps") });
    let engine = format!(
        "[engines.there]\nendpoints = [{:?}]\npreset = \"openai\"\nversion = \"1\"",
        server.url()
    );
    append(&lab, "e/alpaca_eval", &engine);
    let served = "model = { served = \"judge\", revision = \"1\" }\nengine = \"there\"";
    lab.edit("e/alpaca_eval/experiment.toml", "model = \"m0\"", served);
    lab.mrx(&["run", "e/alpaca_eval", "evaluate.m0"])
        .fails_with(3)
        .says("none of M, m is among the");
}

/// The example of Arena-Hard's protocol, whose judge is behind a server.
fn arena_hard() -> (Lab, Server) {
    let lab = examples();
    let judge = Options::model(&lab.path.join("e/arena_hard/judge"));
    let server = Server::start(Options { name: "gpt-test".to_owned(), ..judge });
    let served = "model = { served = \"gpt-test\", revision = \"2023\" }\nengine = \"judge\"";
    lab.edit("e/arena_hard/experiment.toml", "model = \"judge\" ", &format!("{served} "));
    (lab, server)
}

fn machine(server: &Server) -> String {
    format!("[engines.judge]\nendpoints = [{:?}]\napi = \"chat\"\nversion = \"1\"\n", server.url())
}

#[test]
fn a_judge_that_is_served_elsewhere_decides_as_the_machine_says_where() {
    let (lab, server) = arena_hard();
    let run = ["run", "e/arena_hard"];
    lab.mrx(&run).fails_with(1).says("no engine is called `judge`");
    lab.write("mrx.toml", &machine(&server));
    lab.mrx(&run).success();
    let games = "SELECT count(DISTINCT judge), any_value(judge), count(DISTINCT status), count(DISTINCT preference) > 1 FROM verdicts WHERE model = 'm0'";
    assert_eq!(lab.ask(games), "1,gpt-test,1,true");
    let said = lab.mrx(&["show", "evaluate.m0"]).success();
    said.prints("served")
        .prints("gpt-test")
        .prints("revision")
        .prints(&format!("asked     {}", server.url()));
    lab.mrx(&["show", "evaluate.m0", "--prompt"]).success();
    // Games that no experiment has are played by the same judge.
    lab.mrx(&["diff", "arena-hard/m0", "arena-hard/m1"]).success().prints("gpt-test");
    // Where it is decides nothing; which revision it is does.
    let judge = Options::model(&lab.path.join("e/arena_hard/judge"));
    let moved = Server::start(Options { name: "gpt-test".to_owned(), ..judge });
    lab.write("elsewhere.toml", &machine(&moved));
    let output = lab.command(&run).env("MRX_CONFIG", "elsewhere.toml").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing to do"));
    lab.edit("e/arena_hard/experiment.toml", "revision = \"2023\"", "revision = \"2024\"");
    lab.mrx(&["plan", "e/arena_hard"]).success().prints("model.revision `2023` → `2024`");
    lab.write("mrx.toml", "[engines.judge]\nendpoint = \"http://127.0.0.1\"");
    lab.mrx(&run).fails_with(1).says("mrx.toml:2:1").says("did you mean `endpoints`?");
}

#[test]
fn a_served_judge_needs_an_engine_that_says_where() {
    let (lab, _server) = arena_hard();
    lab.edit("e/arena_hard/experiment.toml", "engine = \"judge\" ", " ");
    lab.mrx(&["run", "e/arena_hard"]).fails_with(1).says("`gpt-test` is served elsewhere");
}
