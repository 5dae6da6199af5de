//! `mrx report`: one page of what experiments came to, which carries all that it needs and runs nothing of what
//! models say.

mod browser;
mod hostile;
mod sampled;
mod seeds;

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::lab::{Lab, PROJECT, copy_folder};

/// The page that a lab's report wrote.
fn page(lab: &Lab, name: &str) -> String {
    fs::read_to_string(lab.path.join(name)).unwrap()
}

/// What a page shows.
fn data(page: &str) -> Value {
    let (_, after) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    serde_json::from_str(after.split_once("</script>").unwrap().0).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// The scripted loop with a judge of games and an oracle's estimate of its own.
fn evaluated() -> Lab {
    let lab = Lab::with_loop();
    let toml = fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    let evaluate = "[evaluate]\nprompts = \"eval.sql\"\ntemperature = 0.8\nmax_tokens = 200\n\n[evaluate.judge]\nmodel = \"m0\"\ntemperature = 0.8\nmax_tokens = 60\n\n[estimate.brevity]\nmeasure = \"mean\"\nsql = \"brevity.sql\"\n";
    lab.write("loop/experiment.toml", &format!("{toml}\n{evaluate}"));
    lab.write("loop/brevity.sql", "SELECT prompt_id AS prompt, -len(text) AS value FROM responses");
    let sql = "SELECT format('What is {} plus {}?', i, 2 * i) AS prompt, (3 * i)::VARCHAR AS reference, if(i < 5, 'low', 'high') AS category FROM range(10) t(i)";
    lab.write("loop/eval.sql", sql);
    lab.edit(
        "loop/model/config.json",
        "\"rules\": [",
        "\"rules\": [{\"contains\": \"Winner: Response\", \"template\": \"compare.jinja\"},",
    );
    let says = "Hm. {% if uniform() < 0.1 %}No idea{% else %}Winner: {{ pick(['Response A', 'Response A', 'Response B', 'tie']) }}{% endif %}";
    lab.write("loop/model/compare.jinja", says);
    lab
}

#[test]
fn an_experiment_is_told_on_one_page() {
    let lab = evaluated();
    let made = lab.mrx(&["run", "loop"]).success();
    made.says("mrx report scripted -o report.html");
    lab.mrx(&["report", "loop"]).success().prints("report.html");
    let page = page(&lab, "report.html");
    assert!(page.contains("default-src 'none'") && page.contains("<title>scripted</title>"));
    let shown = data(&page);
    let experiment = &shown["experiments"][0];
    assert_eq!(list(&experiment["models"]).len(), 5);
    assert_eq!(experiment["opponents"]["baseline"], "m0");
    assert_eq!(experiment["opponents"]["latest"], "m4");
    // Numbers are those of the store.
    let rate = "SELECT value, low, high FROM estimates WHERE name = 'win_rate' AND model = 'm4'";
    let is_rate = |number: &&Value| number["name"] == "win_rate" && number["model"] == "m4";
    let rates: Vec<&Value> = list(&experiment["numbers"]).iter().filter(is_rate).collect();
    let told = format!("{},{},{}", rates[0]["value"], rates[0]["low"], rates[0]["high"]);
    assert_eq!((lab.ask(rate), rates.len()), (told, 1));
    let own = |number: &&Value| number["part"] == "brevity" && number["name"] == "brevity";
    assert_eq!(list(&experiment["numbers"]).iter().filter(own).count(), 4);
    let sum = |rows: &[Value]| rows.iter().map(|row| row["n"].as_u64().unwrap()).sum::<u64>();
    let pairs = list(&experiment["pairs"]);
    assert_eq!(sum(pairs).to_string(), lab.ask("SELECT count(*) FROM pairs"));
    let is_samples =
        |setting: &&Value| setting["stage"] == "judge" && setting["field"] == "samples";
    let samples = list(&experiment["settings"]).iter().find(is_samples).unwrap();
    assert_eq!(samples["values"][0]["value"], "11");
    // The same store gives the same page, over the one that is there.
    lab.mrx(&["report", "scripted", "-o", "again.html"]).success();
    lab.mrx(&["report", "scripted"]).success();
    assert!(page == self::page(&lab, "again.html"));
    assert!(page == self::page(&lab, "report.html"));
    let to_stdout = lab.mrx(&["report", "scripted", "-o", "-"]).success();
    assert!(page == to_stdout.stdout);
}

/// Every answer, every judgement and every comparison of a prompt is there, and pairs point at theirs.
#[test]
fn rows_are_those_of_the_store() {
    let lab = evaluated();
    lab.mrx(&["run", "loop"]).success();
    lab.mrx(&["report", "loop"]).success();
    let shown = data(&page(&lab, "report.html"));
    let experiment = &shown["experiments"][0];
    assert_eq!(list(&experiment["held_out"]).len(), 10);
    assert_eq!(list(&experiment["held_out"][0]["answers"]).len(), 5);
    let (mut judgements, mut comparisons, mut answers) = (0, 0, 0);
    for share in list(&experiment["shares"]) {
        assert_eq!((list(&share["shown"]).len(), &share["of"]), (10, &Value::from(10)));
        for prompt in list(&share["shown"]) {
            for answer in list(&prompt["answers"]) {
                judgements += list(&answer["judgements"]).len();
                answers += list(&answer["samples"]).len();
            }
            comparisons += prompt["compared"].as_array().map_or(0, Vec::len);
            check_pair(prompt);
        }
    }
    let count = |table: &str| lab.ask(&format!("SELECT count(*) FROM {table} WHERE part IS NULL"));
    assert_eq!(judgements.to_string(), count("judgements"));
    assert_eq!(comparisons.to_string(), count("meta_judgements"));
    assert_eq!(answers.to_string(), count("responses"));
    // Games and their verdicts, unreadable ones among them.
    let games = |prompt: &Value| -> Vec<Value> {
        let all = list(&prompt["answers"]).iter();
        all.filter_map(|answer| answer["games"].as_array()).flatten().cloned().collect()
    };
    let games: Vec<Value> = list(&experiment["held_out"]).iter().flat_map(games).collect();
    assert_eq!(games.len().to_string(), lab.ask("SELECT count(*) FROM verdicts"));
    assert!(games.iter().any(|game| game["status"] == "missing"));
}

/// What a pair of answers says of its sides is true of them.
#[track_caller]
fn check_pair(prompt: &Value) {
    let pair = &prompt["actor"];
    let side =
        |name: &str| &prompt["answers"][usize::try_from(pair[name].as_u64().unwrap()).unwrap()];
    if pair["became"] == "kept" {
        for (name, score) in [("chosen", "score_chosen"), ("rejected", "score_rejected")] {
            let (told, found) = (side(name)["score"].as_f64(), pair[score].as_f64());
            assert!((told.unwrap() - found.unwrap()).abs() < 1e-9, "{prompt}");
        }
    }
    let pair = &prompt["judge"];
    if pair["became"] == "kept" {
        let judged = &prompt["answers"][usize::try_from(pair["chosen"].as_u64().unwrap()).unwrap()];
        let at = usize::try_from(pair["chosen_judgement"].as_u64().unwrap()).unwrap();
        assert_eq!(judged["judgements"][at]["strength"], pair["score_chosen"], "{prompt}");
    }
}

/// Answers that were given elsewhere stand beside those of the models.
#[test]
fn a_baseline_from_elsewhere_is_shown_by_its_name() {
    let lab = evaluated();
    lab.edit(
        "loop/experiment.toml",
        "prompts = \"eval.sql\"",
        "prompts = \"eval.sql\"\nbaseline = \"old.sql\"",
    );
    lab.write(
        "loop/old.sql",
        "SELECT format('What is {} plus {}?', i, 2 * i) AS prompt, 'As ever: ' || i AS response FROM range(10) t(i)",
    );
    lab.mrx(&["run", "loop", "estimate.m1.answers"]).success();
    lab.mrx(&["report", "loop"]).success();
    let shown = data(&page(&lab, "report.html"));
    let experiment = &shown["experiments"][0];
    let baseline = &experiment["opponents"]["baseline"];
    for prompt in list(&experiment["held_out"]) {
        let first = &prompt["answers"][0];
        assert_eq!(first["model"], *baseline);
        assert!(first["text"].as_str().unwrap().starts_with("As ever: "), "{prompt}");
        assert!(
            prompt["answers"][1]["preference"].is_number()
                || prompt["answers"][1]["games"].is_array()
        );
    }
}

#[test]
fn experiments_stand_beside_each_other_with_what_differed() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop", "pair.m1"]).success();
    lab.mrx(&["run", "loop", "pair.m1", "--set", "name=fewer", "--set", "judge.samples=4"])
        .success();
    lab.mrx(&["report", "scripted", "fewer", "-o", "both.html"]).success();
    let shown = data(&page(&lab, "both.html"));
    let names: Vec<&Value> = list(&shown["experiments"]).iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["scripted", "fewer"]);
    let differences = list(&shown["differences"][0]["settings"]);
    let told = |one: &Value| one["node"] == "judge.m0" && one["change"] == "samples 11 → 4";
    assert!(differences.iter().any(told), "{differences:?}");
    // Rows that both share appear under both, each with its own judgements.
    for (name, experiment) in ["scripted", "fewer"].iter().zip(list(&shown["experiments"])) {
        let prompts = list(&experiment["shares"]).iter().flat_map(|share| list(&share["shown"]));
        let answers =
            prompts.inspect(|prompt| check_pair(prompt)).flat_map(|p| list(&p["answers"]));
        let judged: usize = answers.map(|answer| list(&answer["judgements"]).len()).sum();
        let sql =
            format!("SELECT count(*) FROM judgements WHERE experiment = '{name}' AND part IS NULL");
        assert_eq!(judged.to_string(), lab.ask(&sql));
    }
    // Neither is made to the end, and each page says so.
    let warnings = list(&shown["experiments"][0]["warnings"]);
    let unmade = |line: &Value| line.as_str().unwrap().contains("nodes are not made");
    assert!(warnings.iter().any(unmade), "{warnings:?}");
}

#[test]
fn what_cannot_be_told_is_said_before_the_work() {
    let lab = Lab::with_loop();
    lab.mrx(&["report", "scripted"]).fails_with(1).says("mrx run EXPERIMENT");
    lab.mrx(&["run", "loop", "prompts.m0"]).success();
    lab.mrx(&["report", "scirpted"])
        .fails_with(2)
        .says("`scirpted` is not an experiment of this store")
        .says("it has scripted");
    lab.mrx(&["report", "scripted", "loop"]).fails_with(2).says("found `scripted` twice");
    lab.mrx(&["report"]).fails_with(2).says("EXPERIMENT");
    lab.mrx(&["report", "scripted", "-o", "nowhere/r.html"])
        .fails_with(1)
        .says("there is no folder nowhere");
    lab.mrx(&["report", "scripted", "-o", "loop"]).fails_with(1).says("cannot write loop");
    // A file that is no report is somebody's.
    let toml = "loop/experiment.toml";
    let before = page(&lab, toml);
    lab.mrx(&["report", "scripted", "-o", toml]).fails_with(1).says("is no report of mrx");
    assert_eq!(before, page(&lab, toml));
    lab.mrx(&["report", "scripted", "-o", "few.html"]).success();
    assert_eq!(data(&page(&lab, "few.html"))["experiments"][0]["shares"][0]["of"], 10);
}

#[test]
fn an_experiment_of_which_nothing_is_made_is_named() {
    let lab = Lab::with_loop();
    lab.edit("loop/prompts.sql", "SELECT instruction", "SELECT error('no prompts') || instruction");
    lab.mrx(&["run", "loop"]).fails_with(3);
    lab.mrx(&["report", "scripted"])
        .fails_with(1)
        .says("none of its nodes is made")
        .says("`mrx run` makes them");
}

#[test]
fn a_store_that_version_0_1_0_wrote_is_told() {
    let lab = Lab::new();
    let store = Path::new(PROJECT).join("tests/data/store_0_1_0/store");
    copy_folder(&store, &lab.path.join(".mrx"));
    lab.mrx(&["report", "scripted", "small"]).success();
    let shown = data(&page(&lab, "report.html"));
    let shares = list(&shown["experiments"][0]["shares"]);
    assert!(!list(&shares[0]["shown"][0]["answers"][0]["judgements"]).is_empty());
    // The small one was trained, in steps of which no point leaves one out.
    let curves = list(&shown["experiments"][1]["curves"]);
    let of = |metric: &str| {
        curves.iter().find(|one| one["node"] == "train.m1" && one["metric"] == metric).unwrap()
    };
    for metric in ["loss", "rewards/margins", "rewards/accuracies"] {
        let (steps, values) = (list(&of(metric)["steps"]), list(&of(metric)["values"]));
        assert_eq!(steps.len(), values.len());
        let last = "SELECT max(step) FROM metrics WHERE experiment = 'small' AND node = 'train.m1'";
        assert_eq!(steps[steps.len() - 1].to_string(), lab.ask(last));
    }
}
