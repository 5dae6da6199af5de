//! `[train] keep_epochs` and `choose`: a node for the model after each epoch, and the choice among them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use mrx::store::Digest;

use crate::lab::{Lab, copy_folder};
use crate::local::lab;

/// The scripted loop with held-out prompts of which three in ten are for validation, and an oracle.
fn validated(train: &str) -> Lab {
    let lab = Lab::with_loop();
    let toml = std::fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    let evaluate = "\n[evaluate]\nprompts = \"eval.sql\"\nvalidation = 0.3\noracle = \"oracle.sql\"\ntemperature = 0.8\n";
    lab.write("loop/experiment.toml", &format!("{toml}{evaluate}\n[train]\n{train}"));
    lab.write("loop/eval.sql", "SELECT 'Eval ' || i AS prompt FROM range(10) t(i)");
    lab.write("loop/oracle.sql", "SELECT answer_id, 1000 - len(response) AS score FROM answers");
    lab
}

const BEST: &str = "epochs = 3\nkeep_epochs = true\nchoose = \"best\"\n";

#[test]
fn the_best_epoch_is_chosen_by_prompts_that_no_test_uses() {
    let lab = validated(BEST);
    lab.mrx(&["run", "loop"]).success();
    let asked = |part: &str| {
        lab.ask(&format!("SELECT count(*), count(DISTINCT prompt_id), max(position) FROM prompts WHERE part = '{part}'"))
    };
    assert_eq!((asked("validation"), asked("eval")), ("3,3,2".to_owned(), "7,7,6".to_owned()));
    let both = "SELECT count(*) FROM prompts a JOIN prompts b USING (prompt_id) WHERE a.part = 'validation' AND b.part = 'eval'";
    assert_eq!(lab.ask(both), "0");
    // What is tested, and what judges are shown, is not what was chosen by.
    let tested = "SELECT count(*) FROM (SELECT prompt_id FROM responses WHERE part IN ('eval', 'panel') \
                  UNION ALL SELECT prompt_id FROM verdicts WHERE part IS NULL \
                  UNION ALL SELECT prompt_id FROM judgements WHERE part = 'panel') \
                  SEMI JOIN (SELECT prompt_id FROM prompts WHERE part = 'validation') USING (prompt_id)";
    assert_eq!(lab.ask(tested), "0");
    let n = "SELECT max(n) FROM estimates WHERE name = 'win_rate' AND part = 'answers'";
    assert_eq!(lab.ask(n), "7");
    let choices = "SELECT count(*), count(DISTINCT model), min(rule), min(estimate), min(n), bool_and(value BETWEEN low AND high) FROM choices";
    assert_eq!(lab.ask(choices), "12,4,best,win_rate,3,true");
    // A scripted model is the same after every epoch, and of equal ones the earliest is taken.
    let chosen = "SELECT string_agg(DISTINCT epoch, ' ') FROM choices WHERE chosen";
    assert_eq!(lab.ask(chosen), "1");
    let values = "SELECT count(*) FROM choices c JOIN estimates e ON e.name = c.estimate AND e.model = c.model \
                  AND e.part = 'epoch' || c.epoch AND e.value = c.value AND e.low = c.low AND e.high = c.high AND e.level = c.level";
    assert_eq!(lab.ask(values), "12");
    // The table at the end knows models, not epochs.
    let again = lab.mrx(&["run", "loop"]).success().says("nothing to do");
    let rows =
        again.stdout.lines().filter(|line| line.starts_with('m') && !line.starts_with("model"));
    assert_eq!(rows.count(), 5, "{}", again.stdout);
    lab.mrx(&["show", "scripted/train.m1"]).success().prints("choose.best").prints("estimates_3");
    lab.mrx(&["store", "gc", "--grace", "0s"]).success().says("nothing to delete");
    lab.mrx(&["store", "verify"]).success();
    lab.mrx(&["diff", "scripted/m1", "scripted/m2"]).success();
}

#[test]
fn whatever_is_chosen_what_follows_is_as_if_nothing_else_had_been_kept() {
    let lab = validated("epochs = 3\n");
    lab.mrx(&["run", "loop"]).success();
    let plain = lab.digests("scripted");
    assert_eq!(lab.ask("SELECT count(*) FROM choices"), "0");
    lab.mrx(&["run", "loop", "--set", "train.choose=last"]).success().says("nothing to do");
    let kept = ["--set", "train.keep_epochs=true", "--set", "train.choose=[3, \"last\", 1, 2]"];
    let outcome = lab.mrx(&[&["run", "loop", "--json"], &kept[..]].concat()).success();
    let made = outcome.stdout.lines().filter(|line| line.contains("\"finished\""));
    for line in made {
        assert!(
            line.contains("\"train.m"),
            "the model is the same, and so is all that is done with it: {line}"
        );
    }
    let digests = lab.digests("scripted");
    for (node, digest) in plain.iter().filter(|(node, _)| !node.ends_with("/metrics")) {
        assert_eq!(digests.get(node), Some(digest), "{node}");
    }
    let chosen = "SELECT string_agg(format('{} {} {}', model, rule, epoch), ', ' ORDER BY model) FROM choices WHERE chosen";
    assert_eq!(lab.ask(chosen), "\"m1 epoch 3, m2 last 3, m3 epoch 1, m4 epoch 2\"");
    assert_eq!(
        lab.ask("SELECT count(*) FROM choices WHERE estimate IS NULL AND value IS NULL"),
        "12"
    );
    let files = "SELECT string_agg(DISTINCT file[:8], ' ' ORDER BY file[:8]) FROM checkpoints WHERE node = 'train.m1.all'";
    assert_eq!(lab.ask(files), "epoch-1/ epoch-2/ epoch-3/");
}

#[test]
fn a_comparison_tells_the_choice_and_not_what_follows_from_it() {
    let lab = validated("epochs = 2\n");
    lab.mrx(&["run", "loop", "estimate.m1.answers"]).success();
    let best =
        ["--set", "name=best", "--set", "train.keep_epochs=true", "--set", "train.choose=best"];
    let rate = ["--set", "train.learning_rate=1e-5"];
    lab.mrx(&[&["run", "loop", "estimate.m1.answers"], &best[..], &rate[..]].concat()).success();
    let told = |first: &str, second: &str| {
        let diff = lab.mrx(&["diff", first, second]).success().stdout;
        let (_, settings) = diff.split_once("What differed").unwrap();
        let lines = settings
            .lines()
            .skip(3)
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(told("scripted/m1", "best/m1"), @r"
    respond.m0.validation only of best/m1
    train.m1.all settings.learning_rate 5e-6 → 0.00001
    train.m1.all keep_epochs (absent) → true
    train.m1 only of best/m1
    ");
    insta::assert_snapshot!(told("best/m1", "scripted/m1"), @r"
    train.m1 settings.learning_rate 0.00001 → 5e-6
    train.m1 keep_epochs true → (absent)
    respond.m0.validation only of best/m1
    train.m1 only of best/m1
    ");
}

#[test]
fn a_model_that_is_carried_on_is_the_same_after_every_epoch() {
    let lab = lab();
    let keep = ["--set", "respond.samples=[4, 1]", "--set", "train.on_no_pairs=keep"];
    let run = |sets: &[&str]| {
        lab.mrx(&[&["run", "small", "train.m2"], &keep[..], sets].concat()).success();
        lab.digests("small")
    };
    let plain = run(&[]);
    let kept =
        run(&["--set", "train.keep_epochs=[false, true]", "--set", "train.choose=[\"last\", 4]"]);
    assert_eq!(kept["train.m2/checkpoints"], plain["train.m2/checkpoints"]);
    assert_eq!(lab.ask("SELECT count(DISTINCT object) FROM checkpoints WHERE node = 'train.m2.all' AND file LIKE '%safetensors'"), "1");
    lab.mrx(&["store", "verify"]).success();
}

#[test]
fn ready_made_answers_are_played_in_validation_too() {
    let lab = validated(BEST);
    lab.write(
        "loop/answers.sql",
        "SELECT 'Eval ' || i AS prompt, 'No.' AS response FROM range(10) t(i)",
    );
    let run = ["run", "loop", "train.m1", "--set", "evaluate.baseline=answers.sql"];
    lab.mrx(&run).success();
    let played =
        "SELECT string_agg(DISTINCT baseline, ' '), count(*), count(DISTINCT part) FROM verdicts";
    assert_eq!(lab.ask(played), "answers,9,3");
    let answered = "SELECT count(*) FROM responses WHERE node = 'answers.baseline.validation'";
    assert_eq!(lab.ask(answered), "3");
}

#[test]
fn any_standard_estimate_of_answers_may_be_chosen_by() {
    let lab = validated(BEST);
    let run =
        |by: &str| lab.mrx(&["run", "loop", "train.m1", "--set", &format!("train.choose_by={by}")]);
    run("oracle_score").success();
    assert_eq!(lab.ask("SELECT DISTINCT estimate FROM choices"), "oracle_score");
    let known = "expected a standard estimate of answers: `win_rate`, `length_controlled_win_rate`, `oracle_score`, `response_chars`, `responses_cut`; found `wins`";
    run("wins").fails_with(1).says(known);
    // An estimate that does not exist for any epoch chooses none.
    lab.write("loop/oracle.sql", "SELECT answer_id, NULL::INT AS score FROM answers");
    run("win_rate")
        .fails_with(3)
        .says("train.m1: no epoch has a value of `win_rate` to be chosen by; the last: none")
        .says("epoch 2 has no win_rate, and is not chosen");
}

#[test]
fn without_anybody_who_decides_there_is_no_win_rate_to_choose_by() {
    let lab = validated(BEST);
    lab.edit("loop/experiment.toml", "oracle = \"oracle.sql\"\n", "");
    lab.mrx(&["plan", "loop"]).fails_with(1).says(
        "nothing decides games to choose by: expected `choose_by`, one of `response_chars`, `responses_cut`",
    );
    lab.mrx(&["run", "loop", "train.m1", "--set", "train.choose_by=response_chars"]).success();
    assert_eq!(lab.ask("SELECT count(*) FROM responses WHERE node = 'respond.m0.validation'"), "0");
    assert_eq!(lab.ask("SELECT count(*) FROM choices WHERE value > 0"), "3");
}

#[test]
fn what_cannot_be_chosen_is_refused_where_it_stands() {
    let lab = validated("epochs = 3\nkeep_epochs = true\n");
    let plan = |sets: &[&str]| {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        lab.mrx(&["plan", "loop"].into_iter().chain(sets).collect::<Vec<_>>()).fails_with(1)
    };
    plan(&["train.choose=4"]).says("--set train.choose=4: expected an epoch from 1 to 3, found 4");
    plan(&["train.choose=[1, 2, 3, 4]"]).says("expected an epoch from 1 to 3, found 4");
    for bad in ["0", "first", "true", "1.5"] {
        plan(&[&format!("train.choose={bad}")])
            .says("expected an epoch from 1, `last` or `best`, or a list with one per iteration");
    }
    plan(&["train.choose=[1, \"worst\", 1, 1]"]).says("expected an epoch from 1, `last` or `best`");
    plan(&["train.choose=[1, 2]"]).says("expected 4 values, one per iteration, found 2");
    let not_kept = "expected `keep_epochs = true` beside this: only the last epoch is kept";
    plan(&["train.choose=2", "train.keep_epochs=false"]).says(not_kept);
    plan(&["train.choose=best", "train.keep_epochs=[true, true, false, true]"]).says(not_kept);
    plan(&["train.max_steps=5"]).says("expected no `max_steps` beside `keep_epochs`");
    plan(&["train.choose=best", "train.epochs=21"])
        .says("expected at most 20 epochs to choose the best of, found 21");
    plan(&["train.trainer=import"]).says("expected no `keep_epochs` with the trainer `import`");
    plan(&["train.choose_by=win_rate"]).says("`choose_by` belongs to `choose = \"best\"`");
    plan(&["evaluate.validation=1"]).says("expected a number above 0 and below 1");
    lab.edit("loop/experiment.toml", "validation = 0.3\n", "");
    let no_prompts =
        "expected `[evaluate]` with `validation`, a share of its prompts, to choose the best by";
    plan(&["train.choose=best"]).says(no_prompts);
    lab.write(
        "loop/experiment.toml",
        "name = \"x\"\nmodel = { path = \"model\" }\nprompts = { sql = \"prompts.sql\", files = [\"prompts.jsonl\"] }\n\
         train = { keep_epochs = true, choose = \"best\" }\n",
    );
    plan(&[]).says(no_prompts);
}

#[test]
fn a_share_that_leaves_no_prompt_on_one_side_is_told_by_its_numbers() {
    let lab = validated(BEST);
    let run = |node: &str, share: &str| {
        lab.mrx(&["run", "loop", node, "--set", &format!("evaluate.validation={share}")])
    };
    let some = "expected at least one prompt for validation, and one for evaluation";
    run("prompts.validation", "0.01")
        .fails_with(3)
        .says("the query gives 10 prompts, of which a share of 0.01 is 0")
        .says(some);
    run("prompts.eval", "0.99").fails_with(3).says("a share of 0.99 is 10").says(some);
    // A prompt of the loop among them is warned about.
    lab.write("loop/eval.sql", "SELECT 'Eval ' || i AS prompt FROM range(6) t(i) UNION ALL (SELECT instruction FROM read_json('prompts.jsonl'))");
    lab.edit(
        "loop/experiment.toml",
        "prompts = \"eval.sql\"",
        "prompts = \"eval.sql\"\nfiles = [\"prompts.jsonl\"]",
    );
    run("prompts.m0", "0.5").success().says("prompts are validation prompts, too");
    run("prompts.m3", "0.5").success().says("prompts are evaluation prompts, too");
}

#[test]
fn a_plan_counts_what_is_drawn_to_choose() {
    let lab = validated(BEST);
    let plan = lab.mrx(&["plan", "loop"]).success();
    plan.says("and 12 more texts for each validation prompt: how many there are is known once prompts.validation is made");
    let calls = |lab: &Lab| -> u64 {
        let plan = lab.mrx(&["plan", "loop"]).success();
        let line = plan.stdout.lines().find(|line| line.starts_with("local")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().replace(',', "").parse().unwrap()
    };
    let before = calls(&lab);
    lab.mrx(&["run", "loop", "prompts.validation"]).success();
    assert_eq!(calls(&lab) - before, 4 * 3 * 3, "iterations, epochs, prompts");
    lab.mrx(&["plan", "loop"]).success().does_not_say("more texts for each validation prompt");
}

#[test]
fn the_model_of_an_epoch_is_that_of_a_training_of_so_many() {
    let lab = lab();
    let run = |sets: &[&str]| {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let run = ["run", "small", "train.m1"].into_iter().chain(sets);
        lab.mrx(&run.collect::<Vec<_>>()).success();
        lab.digests("small")["train.m1/checkpoints"]
    };
    let [whole, two] = [run(&[]), run(&["train.epochs=2", "train.schedule_epochs=6"])];
    assert_ne!(whole, two);
    assert_eq!(run(&["train.keep_epochs=true"]), whole);
    assert_eq!(run(&["train.keep_epochs=true", "train.choose=2"]), two);
    assert_eq!(run(&["train.keep_epochs=true", "train.choose=6"]), whole);
    let weights = "SELECT count(DISTINCT object), count(*) FROM checkpoints WHERE node = 'train.m1.all' AND tensor LIKE '%layers.0%q_proj%'";
    assert_eq!(lab.ask(weights), "6,6", "each epoch moves them");
    lab.mrx(&["run", "small", "train.m1.epoch2", "--set", "train.keep_epochs=true"]).success();
    assert_eq!(lab.digests("small")["train.m1.epoch2/checkpoints"], two);
}

const TRAIN: [&str; 3] = ["run", "small", "train.m1"];

/// A lab whose training takes some hundred steps of many epochs, all of which are kept, up to the pairs; and
/// the tables that an undisturbed training ends in.
fn long_training() -> (Lab, BTreeMap<String, Digest>, Duration) {
    let lab = lab();
    let long = "epochs = 120\nkeep_epochs = true\nchoose = 17";
    lab.edit("small/experiment.toml", "epochs = 6", long);
    lab.mrx(&["run", "small", "pair.m0"]).success();
    copy_folder(&lab.path.join(".mrx"), &lab.path.join("before"));
    let began = Instant::now();
    lab.mrx(&TRAIN).success();
    let whole = began.elapsed();
    let undisturbed = lab.digests("small");
    restore(&lab, "before");
    (lab, undisturbed, whole)
}

fn restore(lab: &Lab, from: &str) {
    fs::remove_dir_all(lab.path.join(".mrx")).unwrap();
    copy_folder(&lab.path.join(from), &lab.path.join(".mrx"));
}

fn start(lab: &Lab) -> Child {
    lab.command(&TRAIN).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The weights of ended epochs among the work in hand, the first one's first.
fn in_hand(lab: &Lab) -> Vec<PathBuf> {
    let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let runs = list(&lab.path.join(".mrx/partial"));
    let files = runs.flat_map(|run| list(&run.path().join("epochs"))).map(|file| file.path());
    let mut files: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "state"))
        .collect();
    files.sort();
    files
}

#[test]
fn killed_between_epochs_none_is_lost() {
    let (lab, undisturbed, mut whole) = long_training();
    for part in [0.2, 0.35, 0.5, 0.65, 0.8, 0.95] {
        restore(&lab, "before");
        for share in [part * 0.6, part] {
            lab.kill(&TRAIN, &mut whole, share, || restore(&lab, "before"));
            lab.mrx(&["store", "verify"]).success();
        }
        lab.mrx(&TRAIN).success();
        assert_eq!(lab.digests("small"), undisturbed, "killed at {part} of the way");
    }
}

#[test]
fn the_weights_of_an_epoch_that_are_damaged_or_gone_are_made_again() {
    let (lab, undisturbed, _) = long_training();
    let mut child = start(&lab);
    let patience = Instant::now();
    while in_hand(&lab).len() < 80 {
        assert!(patience.elapsed() < Duration::from_mins(1), "no epochs were kept");
        sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    copy_folder(&lab.path.join(".mrx"), &lab.path.join("killed"));
    let of_epoch = |epoch: usize| in_hand(&lab).swap_remove(epoch - 1);
    let name = of_epoch(3).file_name().unwrap().to_string_lossy().into_owned();
    let again = "which ends an epoch, are not there: steps 1 to";
    let mut bytes = fs::read(of_epoch(3)).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(of_epoch(3), bytes).unwrap();
    lab.mrx(&["store", "verify"]).fails_with(4).prints(&name);
    lab.mrx(&TRAIN).success().says(&name).says("is damaged: its bytes hash to").says(again);
    assert_eq!(lab.digests("small"), undisturbed, "damaged");
    restore(&lab, "killed");
    fs::remove_file(of_epoch(1)).unwrap();
    lab.mrx(&TRAIN).success().says(again).does_not_say("is damaged");
    assert_eq!(lab.digests("small"), undisturbed, "gone");
    restore(&lab, "killed");
    lab.mrx(&TRAIN).success().does_not_say("taken again");
    assert_eq!(lab.digests("small"), undisturbed, "not damaged at all");
}

/// Models that differ from epoch to epoch, and an oracle that has a favourite letter.
#[test]
fn the_epoch_that_answers_best_becomes_the_model() {
    let lab = lab();
    let toml = fs::read_to_string(lab.path.join("small/experiment.toml")).unwrap();
    let evaluate = "\n[evaluate]\nprompts = \"eval.sql\"\nvalidation = 0.5\noracle = \"oracle.sql\"\ntemperature = 1\nmax_tokens = 6\n";
    lab.write(
        "small/experiment.toml",
        &format!("{toml}keep_epochs = true\nchoose = \"best\"\n{evaluate}"),
    );
    lab.edit("small/experiment.toml", "learning_rate = 2e-4", "learning_rate = 3e-3");
    lab.write(
        "small/eval.sql",
        "SELECT chr((97 + i % 9)::INTEGER) || ' eval ' || i AS prompt FROM range(60) t(i)",
    );
    lab.write(
        "small/oracle.sql",
        "SELECT answer_id, len(response) - len(replace(response, 'a', '')) AS score FROM answers",
    );
    lab.mrx(&["run", "small"]).success();
    let chosen = "SELECT count(*), bool_and(c.chosen = (c.epoch = (SELECT arg_min(o.epoch, (-o.value, o.epoch)) FROM choices o WHERE o.model = c.model))) FROM choices c";
    assert_eq!(lab.ask(chosen), "12,true");
    assert_ne!(lab.ask("SELECT count(DISTINCT value) FROM choices WHERE model = 'm1'"), "1");
    let digests = lab.digests("small");
    for model in ["m1", "m2"] {
        let epoch =
            lab.ask(&format!("SELECT epoch FROM choices WHERE chosen AND model = '{model}'"));
        let checkpoint = digests[&format!("train.{model}.epoch{epoch}/checkpoints")];
        assert_eq!(digests[&format!("train.{model}/checkpoints")], checkpoint);
    }
    // What the best is worth on the prompts that are for tests is another number, from other prompts.
    let tested = "SELECT count(*) FROM verdicts SEMI JOIN (SELECT prompt_id FROM prompts WHERE part = 'validation') USING (prompt_id) WHERE part IS NULL";
    assert_eq!(lab.ask(tested), "0");
}
