//! `seeds`, `[sweep]` and `[claims]`: one file, many experiments, and what they show together.

use std::fs;

use crate::lab::Lab;

/// The scripted loop of two iterations with held-out prompts, an oracle, and more.
pub(crate) fn lab(more: &str) -> Lab {
    let lab = Lab::with_loop();
    let toml = fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    let toml = toml.replace("seed = 0\n", "");
    let (top, rest) = toml.split_once("\n\n").unwrap();
    let (ours, tables) = more.split_once("\n\n").unwrap_or((more, ""));
    let evaluate =
        "[evaluate]\nprompts = \"eval.sql\"\noracle = \"oracle.sql\"\ntemperature = 0.8\n";
    lab.write("loop/experiment.toml", &format!("{top}\n{ours}\n\n{rest}\n{evaluate}\n{tables}\n"));
    lab.write("loop/eval.sql", "SELECT 'Eval ' || i AS prompt FROM range(10) t(i)");
    lab.write("loop/oracle.sql", "SELECT answer_id, 1000 - len(response) AS score FROM answers");
    lab
}

const SWEEP: &str = "seeds = 3\n\n[sweep]\n\"judge.temperature\" = [0.8, 0.6]\n\n\
    [claims]\n\"longer\" = { model = \"m1\", beats = \"m0\", by = \"response_chars\" }\n\
    \"cooler\" = { model = \"temperature=0.6/m1\", beats = \"temperature=0.8/m1\" }\n";

#[test]
fn one_file_makes_an_experiment_for_every_seed_and_all_that_is_swept() {
    let lab = lab(SWEEP);
    let planned = lab.mrx(&["plan", "loop"]).success();
    let planned = planned
        .prints("scripted@temperature=0.8,seed=2")
        .says("are shared with an experiment above");
    assert_eq!(planned.stdout.lines().filter(|line| line.starts_with("scripted@")).count(), 6);
    let made = lab.mrx(&["run", "loop"]).success();
    let made = made.says("scripted@temperature=0.6,seed=1");
    let every = "SELECT count(*), count(DISTINCT seed), count(DISTINCT settings), min(family) FROM experiments";
    assert_eq!(lab.ask(every), "6,3,2,scripted");
    // Another temperature of the judge answers nothing again: those runs are the same.
    let runs = |node: &str| {
        lab.ask(&format!("SELECT count(DISTINCT run), count(*) FROM nodes WHERE node = '{node}'"))
    };
    assert_eq!((runs("respond.m0"), runs("judge.m0")), ("3,6".to_owned(), "6,6".to_owned()));
    // The table has a line for each model over seeds, and the claims stand below it.
    let lines = |start: &str| made.stdout.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!(lines("temperature=0.8"), 5, "{}", made.stdout);
    assert!(lines("temperature=0.6") > 5, "differences at equal seeds, too: {}", made.stdout);
    let claims = made
        .stdout
        .lines()
        .filter(|line| line.starts_with("longer ") || line.starts_with("cooler"));
    assert_eq!(claims.count(), 3, "{}", made.stdout);
    made.prints("longer (temperature=0.6)").prints("cooler").prints("not shown");
    let again = lab.mrx(&["run", "loop"]).success().says("nothing to do");
    again.does_not_say("scripted@").prints("longer (temperature=0.8)");
    lab.mrx(&["plan", "loop"]).success().says("nothing to do");
    // A name without a seed means all of them.
    let differ =
        |names: [&str; 2], more: &[&str]| lab.mrx(&[&["diff", names[0], names[1]], more].concat());
    let models = ["scripted@temperature=0.8/m0", "scripted@temperature=0.8/m1"];
    let told = differ(models, &[]).success().prints("at equal seeds");
    let told = told.prints("response_chars");
    assert!(
        told.stdout.lines().any(|line| line.starts_with("response_chars") && line.contains(" 3 "))
    );
    differ(models, &["--fail-under", "0.5"]).fails_with(2).says("name one seed of each");
    differ(["scripted@temperature=0.7/m0", models[1]], &[]).fails_with(2);
    // A report shows all of them, by the name that they have in common or by their file.
    for named in ["scripted", "loop"] {
        lab.mrx(&["report", named, "-o", "page.html"]).success();
        let page = fs::read_to_string(lab.path.join("page.html")).unwrap();
        assert!(page.contains("scripted@temperature=0.6,seed=2"), "{named}");
    }
}

#[test]
fn one_of_them_is_what_it_is_by_itself_and_is_picked_by_its_settings() {
    let lab = lab(SWEEP);
    let one = ["--set", "seed=2", "--set", "judge.temperature=0.6"];
    lab.mrx(&[&["run", "loop"], &one[..]].concat()).success();
    let named = "SELECT count(*), count_if(experiment = 'scripted@temperature=0.6,seed=2') FROM experiments";
    assert_eq!(lab.ask(named), "1,1");
    let other = ["--set", "seed=2", "--set", "judge.temperature=0.60"];
    lab.mrx(&[&["run", "loop"], &other[..]].concat()).success().says("nothing to do");
    assert_eq!(lab.ask(named), "1,1", "however a value is written, it is the same experiment");
    let picked = lab.digests("scripted@temperature=0.6,seed=2");
    let plain = lab.path.join("loop/plain.toml");
    let toml = fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    let toml = toml.split("[sweep]").next().unwrap().replace("seeds = 3\n", "");
    fs::write(&plain, toml.replace("name = \"scripted\"", "name = \"plain\"")).unwrap();
    let plain = plain.to_str().unwrap();
    lab.mrx(&[&["run", plain], &one[..]].concat()).success().says("nothing to do");
    assert_eq!(lab.digests("plain"), picked);
    // What asks for one experiment says what there is to pick from.
    let several = lab.mrx(&["batch", "export", "loop", "judge.m0"]).fails_with(1);
    several.says("makes 6 experiments; expected one").says("--set seed=N");
    let name = "scripted@temperature=0.6,seed=2";
    lab.mrx(&["diff", &format!("{name}/m0"), &format!("{name}/m1")]).success();
    lab.mrx(&["show", &format!("{name}/judge.m0")]).success();
    lab.mrx(&["report", name, "-o", "page.html"]).success();
}

#[test]
fn what_cannot_be_expanded_is_told_with_its_place() {
    let faults = [
        ("seeds = []\n", "expected at least one seed"),
        ("seeds = [1, 1]\n", "found 1 twice"),
        ("seeds = 2000\n", "expected at most 1000 seeds"),
        ("seeds = \"all\"\n", "how many seeds, or a list of seeds"),
        (
            "seeds = 2\n\n[sweep]\n\"judge.temperature\" = 0.5\n",
            "expected a list of values of `judge.temperature`",
        ),
        ("seeds = 2\n\n[sweep]\n\"judge.temperature\" = []\n", "expected at least one value"),
        ("seeds = 2\n\n[sweep]\n\"judge.temperature\" = [-1.0]\n", "a number of at least 0"),
        ("seeds = 2\n\n[sweep]\n\"judge.warmth\" = [1.0]\n", "unknown field `warmth`"),
        ("seeds = 2\n\n[sweep]\nseed = [1, 2]\n", "`seed` cannot be swept"),
        (
            "seeds = 2\n\n[sweep]\n\"judge.temperature\" = [0.5, 0.5]\n",
            "two experiments would be called",
        ),
        (
            "seeds = 2\n\n[claims]\n\"it\" = { model = \"best\", beats = \"m1\" }\n",
            "expected a model, as `m4`",
        ),
        ("seeds = 2\n\n[claims]\n\"it\" = { model = \"m1\" }\n", "missing field `beats`"),
    ];
    for (more, message) in faults {
        let lab = lab(more);
        let outcome = lab.mrx(&["run", "loop"]).fails_with(1);
        let outcome = outcome.says(message).says("loop/experiment.toml:");
        outcome.does_not_say("--set ");
        assert!(!lab.path.join(".mrx/plans").exists(), "{more}");
    }
    let lab = lab("seeds = [1, 2]\n");
    lab.edit("loop/experiment.toml", "seeds = [1, 2]", "seeds = [1, 2]\nseed = 4");
    lab.mrx(&["run", "loop"]).fails_with(1);
}
