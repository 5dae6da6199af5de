//! Chat templates, as transformers renders them: published ones, and all that they are written with.

use std::collections::BTreeMap;

use mrx::experiment::{Experiment, Machine};
use mrx::model::{Arguments, Chat, Message};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::lab::{Lab, copy_folder};
use crate::local;
use crate::model::data;

#[derive(Deserialize)]
struct References {
    tokens: BTreeMap<String, String>,
    conversations: BTreeMap<String, Vec<[String; 2]>>,
    shown: String,
    folders: Vec<Folder>,
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    template: String,
    tokens: Option<BTreeMap<String, String>>,
    rendered: Vec<Rendered>,
}

#[derive(Deserialize)]
struct Rendered {
    conversation: String,
    prompt: bool,
    #[serde(default)]
    arguments: Map<String, Value>,
    text: Option<String>,
    error: Option<String>,
    missing: Option<String>,
}

#[derive(Deserialize)]
struct Folder {
    name: String,
    config: Value,
    special_tokens_map: Option<Value>,
    text: String,
}

fn references() -> References {
    serde_json::from_str(&std::fs::read_to_string(data("chat/templates.json")).unwrap()).unwrap()
}

fn arguments(given: &Map<String, Value>) -> Arguments {
    let mut arguments = Arguments::default();
    for (name, value) in given {
        arguments.add(name, value.clone()).unwrap();
    }
    arguments
}

fn messages(pairs: &[[String; 2]]) -> Vec<Message> {
    let message =
        |[role, content]: &[String; 2]| Message { role: role.clone(), content: content.clone() };
    pairs.iter().map(message).collect()
}

/// What mrx makes of one case.
fn rendered(of: &References, entry: &Entry, case: &Rendered) -> Result<String, String> {
    let tokens = entry.tokens.as_ref().unwrap_or(&of.tokens).clone();
    let chat = Chat::new(entry.template.clone(), None, None)
        .and_then(|chat| chat.with_tokens(tokens).with_arguments(&arguments(&case.arguments)))
        .map_err(|e| e.to_string())?;
    let asked = messages(&of.conversations[&case.conversation]);
    chat.render(&asked, case.prompt).map_err(|e| e.to_string())
}

#[test]
fn templates_render_as_transformers_renders_them() {
    let references = references();
    let (mut texts, mut errors, mut missing) = (0, 0, 0);
    for entry in &references.entries {
        for case in &entry.rendered {
            let found = rendered(&references, entry, case);
            let at = format!("{}, {}, {:?}", entry.name, case.conversation, case.arguments);
            match (&case.missing, &case.text) {
                (Some(name), _) => {
                    let found = found.unwrap_err();
                    assert!(found.contains(&format!("it prints `{name}`")), "{at}: {found}");
                    missing += 1;
                }
                (None, Some(expected)) => {
                    assert_eq!(found.as_ref(), Ok(expected), "{at}");
                    texts += 1;
                }
                (None, None) => {
                    assert!(case.error.is_some() && found.is_err(), "{at}: {found:?}");
                    errors += 1;
                }
            }
        }
    }
    let published = references.entries.iter().filter(|entry| entry.name.contains('/')).count();
    let entries = references.entries.len();
    assert_eq!(
        format!(
            "{entries} templates, {published} of them published: {texts} renderings equal, {errors} \
             refused on both sides, {missing} refused here alone"
        ),
        "171 templates, 52 of them published: 401 renderings equal, 46 refused on both sides, 6 refused \
         here alone"
    );
}

#[test]
fn what_a_template_raises_stands_beside_the_roles() {
    let references = references();
    let of = |name: &str| {
        let entry = references.entries.iter().find(|entry| entry.name == name).unwrap();
        rendered(&references, entry, &entry.rendered[0]).unwrap_err()
    };
    assert_eq!(
        of("raise"),
        "template `chat_template.jinja`: line 1: System role not supported (roles: system, user, \
         assistant, user)"
    );
    assert_eq!(
        of("missing token"),
        "template `chat_template.jinja`: it prints `bos_token`, which neither the tokenizer nor \
         `[model.template]` defines"
    );
    let added = Chat::new("{{ bos_token + 'a' }}".to_owned(), None, None).unwrap();
    let added = added.render(&[Message::user("a")], true).unwrap_err().to_string();
    assert!(added.ends_with("(the tokenizer has no `bos_token`)"), "{added}");
}

#[test]
fn tokens_are_those_of_the_folder() {
    let References { shown, folders, .. } = references();
    for Folder { name, config, special_tokens_map, text } in &folders {
        let folder = tempfile::tempdir().unwrap();
        let mut files = BTreeMap::new();
        let mut put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            files.insert(name.to_owned(), path);
        };
        put("tokenizer_config.json", &config.to_string());
        put("chat_template.jinja", &shown);
        if let Some(map) = special_tokens_map {
            put("special_tokens_map.json", &map.to_string());
        }
        let chat = Chat::open(&files).unwrap();
        assert_eq!(&chat.render(&[Message::user("a")], false).unwrap(), text, "{name}");
    }
    assert_eq!(folders.len(), 14);
}

#[test]
fn a_date_is_a_setting_and_no_argument_goes_unread() {
    let chat = |text: &str| Chat::new(text.to_owned(), None, None).unwrap();
    let today = "{{ strftime_now('%d %b %Y') }}";
    let asked = [Message::user("a")];
    let undated = chat(today).render(&asked, true).unwrap_err().to_string();
    assert!(undated.contains("no `strftime_now` in `[model.template]`"), "{undated}");
    let of = |name: &str, value: Value| arguments(&Map::from_iter([(name.to_owned(), value)]));
    let date = of("strftime_now", "2025-02-03".into());
    let dated = chat(today).with_arguments(&date).unwrap();
    assert_eq!(dated.render(&asked, true).unwrap(), "03 Feb 2025");
    let misspelt = of("enable_thinkin", false.into());
    let text = "{{ enable_thinking | default('on') }}";
    let unread = chat(text).with_arguments(&misspelt).unwrap_err().to_string();
    assert!(unread.contains("it never reads `enable_thinkin`"), "{unread}");
}

/// The small lab, with a template that an argument changes.
fn lab() -> Lab {
    let lab = local::lab();
    let quick = "{% if quick is true %}a {% endif %}{% for m in messages %}";
    lab.edit("small/model/chat_template.jinja", "{% for m in messages %}", quick);
    lab
}

const QUICK: [&str; 2] = ["--set", "model.template.quick=true"];

#[test]
fn what_a_chat_template_is_given_is_in_keys_and_ids() {
    let lab = lab();
    lab.mrx(&["run", "small", "respond.m0"]).success();
    let plan = lab.mrx(&[&["plan", "small", "--format", "csv"], &QUICK[..]].concat()).success();
    plan.prints("respond.m0,miss").prints("template_arguments (absent) → {");
    let run = ["run", "small", "judge.m0", "--set", "name=quick"];
    lab.mrx(&[&run[..], &QUICK].concat()).success();
    let tokens = "SELECT string_agg(DISTINCT q.prompt_tokens - s.prompt_tokens, ',') FROM responses q \
                  JOIN responses s USING (prompt_id, sample) \
                  WHERE q.experiment = 'quick' AND s.experiment = 'small'";
    assert_eq!(lab.ask(tokens), "1", "the template was given it");
    let ids = "SELECT count(*) - count(DISTINCT response_id) FROM responses";
    assert_eq!(lab.ask(ids), "0", "answers of another rendering are other rows");
    lab.mrx(&[&run[..], &QUICK].concat()).success().says("nothing to do");
}

#[test]
fn training_renders_with_the_same_arguments() {
    let lab = lab();
    let run = ["run", "small", "train.m1"];
    lab.mrx(&[&run[..], &QUICK].concat()).success();
    let trained = lab.mrx(&["show", "small/train.m1"]).success();
    trained.prints("template_arguments");
    let first =
        "SELECT round(value, 6) FROM metrics WHERE model = 'm1' AND metric = 'loss' AND step = 1";
    assert_eq!(lab.ask(first), "0.693147", "reference and trainer read the same text");
}

#[test]
fn an_argument_that_no_template_reads_is_told() {
    let lab = lab();
    let set = "model.template.quik=true";
    let run = lab.mrx(&["run", "small", "respond.m0", "--set", set]).fails_with(3);
    run.says("it never reads `quik`, which the experiment gives it");
}

#[test]
fn a_judge_is_asked_with_a_system_message_and_trained_with_it() {
    let lab = Lab::with_loop();
    let template = "{% system %}You judge.{% endsystem %}\n{{ prompt }}\n{{ response }}\nScore: <total points>";
    lab.write("loop/system.jinja", template);
    let set = ["run", "loop", "pair.m0", "--set", "judge.template=system.jinja"];
    lab.mrx(&set).success();
    let asked = "SELECT string_agg(DISTINCT messages[1].role || ': ' || messages[1].content, '|') \
                 FROM pairs WHERE role = 'judge' AND len(messages) = 2";
    assert_eq!(lab.ask(asked), "system: You judge.");
}

/// What the chat templates of an experiment's nodes are given, by node; those that render nothing are out.
fn given(lab: &Lab, set: &[&str]) -> BTreeMap<String, Value> {
    let set: Vec<String> = set.iter().map(|set| (*set).to_owned()).collect();
    let experiment = Experiment::load(&lab.path.join("loop"), &set, &Machine::any()).unwrap();
    let nodes = experiment.plan().nodes.iter();
    let given = nodes.filter_map(|node| {
        let config = node.stage.signature().config;
        Some((node.name.as_str().to_owned(), config.get("template_arguments")?.clone()))
    });
    given.collect()
}

#[test]
fn every_node_that_renders_is_given_the_arguments_and_an_own_judge_its_own() {
    let lab = Lab::with_loop();
    let toml = std::fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    let evaluate = "[evaluate]\nprompts = \"prompts.sql\"\nfiles = [\"prompts.jsonl\"]\n\
                    [evaluate.judge]\nmodel = \"m0\"\n";
    lab.write("loop/experiment.toml", &format!("{toml}\n{evaluate}"));
    assert_eq!(given(&lab, &[]), BTreeMap::new(), "keys are as they were");
    let quick = "model.template.quick=true";
    let all = given(&lab, &[quick]);
    let stages = ["respond", "judge", "meta_judge", "reference", "train", "evaluate"];
    for stage in stages {
        let node = format!("{stage}.m1");
        assert_eq!(all.get(&node), Some(&json!({ "quick": true })), "{node}");
    }
    let drawn = |node: &String| stages.iter().any(|stage| node.split('.').next() == Some(*stage));
    assert!(all.keys().all(drawn), "{all:?}");
    let own = given(&lab, &[quick, "evaluate.judge.chat_template.quick=false"]);
    assert_eq!(
        (&own["evaluate.m1"], &own["judge.m1"]),
        (&json!({ "quick": false }), &all["judge.m1"])
    );
    copy_folder(&lab.path.join("loop/model"), &lab.path.join("loop/other"));
    let other = given(&lab, &[quick, "evaluate.judge.model=other"]);
    assert!(!other.contains_key("evaluate.m1"), "another model's template is another");
}

#[test]
fn a_model_that_is_open_is_not_taken_for_one_with_other_arguments() {
    let lab = lab();
    let toml = std::fs::read_to_string(lab.path.join("small/experiment.toml")).unwrap();
    let evaluate = "[evaluate]\nprompts = \"prompts.sql\"\nbaseline = \"ready.sql\"\nmax_tokens = 2\n\
                    [evaluate.judge]\nmodel = \"model\"\nmax_tokens = 2\n";
    lab.write("small/experiment.toml", &format!("{toml}\n{evaluate}"));
    let asked = std::fs::read_to_string(lab.path.join("small/prompts.sql")).unwrap();
    lab.write("small/ready.sql", &format!("SELECT prompt, 'a' AS response FROM ({asked})"));
    let unread = "evaluate.judge.chat_template.quik=true";
    let run = lab.mrx(&["run", "small", "evaluate.m0", "--set", unread]).fails_with(3);
    run.says("evaluate.m0: template").says("it never reads `quik`");
}
