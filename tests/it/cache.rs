//! What is made again, what is not, and whether mrx can say why.

use crate::lab::Lab;

#[test]
fn a_finished_experiment_is_nothing_to_do() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success().says("38 made");
    let plan_file = lab.path.join(".mrx/plans/scripted.json");
    let before = std::fs::read(&plan_file).unwrap();
    lab.mrx(&["run", "loop"]).success().says("nothing to do: all 38 nodes are in the store");
    assert_eq!(std::fs::read(&plan_file).unwrap(), before, "not even the plan is written again");
    lab.mrx(&["plan", "loop"]).success().says("nothing to do");
}

#[test]
fn neither_the_name_nor_the_place_is_part_of_a_key() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    std::fs::rename(lab.path.join("loop"), lab.path.join("elsewhere")).unwrap();
    lab.mrx(&["run", "elsewhere", "--set", "name=other"]).success().says("nothing to do");
    assert_eq!(lab.ask("SELECT count(DISTINCT run) FROM responses"), "4");
    assert_eq!(lab.ask("SELECT count(DISTINCT experiment) FROM responses"), "2");
}

#[test]
fn another_rho_makes_pairs_again_and_draws_nothing() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    // Pairs that come out the same keep their digest, and what stands on them stays too.
    let outcome = lab.mrx(&["run", "loop", "--set", "pairs.actor.rho=0.5", "--json"]).success();
    let finished: Vec<&str> =
        outcome.stdout.lines().filter(|l| l.contains("\"finished\"")).collect();
    assert!(!finished.is_empty());
    for line in finished {
        let cheap = ["pair.", "estimate.", "reference.", "train."];
        assert!(cheap.iter().any(|stage| line.contains(stage)), "{line}");
    }
}

#[test]
fn another_judge_template_judges_again_and_does_not_answer_again() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    let template = "Q: {{ prompt }}\nA: {{ response }}\nEnd with Score: <total points>";
    lab.write("loop/short.jinja", template);
    let outcome = lab.mrx(&["run", "loop", "--set", "judge.template=short.jinja", "--json"]);
    let made = |stage: &str| {
        let lines = outcome.stdout.lines().filter(|line| line.contains("\"finished\""));
        lines.filter(|line| line.contains(&format!("\"{stage}.m"))).count()
    };
    assert_eq!((made("prompts"), made("respond"), made("judge")), (0, 0, 4));
}

#[test]
fn the_plan_names_the_first_field_that_differs() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    let plan = |set: &str| lab.mrx(&["plan", "loop", "--set", set, "--format", "csv"]).success();
    plan("judge.temperature=0.7").prints("judge.m0,miss,,,").prints("temperature 0.8 → 0.7");
    plan("judge.temperature=0.7").prints("read.m0,waits,,,,after judge.m0");
    plan("pairs.actor.max_chosen_chars=9").prints("actor.max_chosen_chars 2500 → 9");
    lab.write("loop/t.jinja", "{{ prompt }}\n{{ response }}");
    plan("judge.template=t.jinja").prints("template changed in line 1");
    lab.edit("loop/prompts.jsonl", "What is 17 times 6?", "What is 17 times 7?");
    plan("seed=0").prints("files.prompts.jsonl");
}

#[test]
fn a_plan_that_drops_finished_nodes_says_so() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    let dropped = lab.mrx(&["run", "loop", "prompts.m0", "--set", "seed=7"]).success();
    dropped.says("38 finished nodes of `scripted` are not part of this plan");
    lab.mrx(&["run", "loop"]).success().says("nothing to do");
    let beside = ["run", "loop", "prompts.m0", "--set", "seed=7", "--set", "name=seven"];
    lab.mrx(&beside).success().does_not_say("not part of this plan");
    // The scripted checkpoints are equal, byte for byte: the nearest maker is named all the same.
    lab.mrx(&["show", "scripted/judge.m1"]).success().prints("train.m1");
}

#[test]
fn a_new_store_has_never_made_anything() {
    let lab = Lab::with_loop();
    let plan = lab.mrx(&["plan", "loop"]).success().prints("never made");
    plan.says("38 of 38 nodes would be made");
    assert!(!lab.path.join(".mrx").exists(), "looking makes no store");
}

#[test]
fn another_seed_is_other_text_under_other_ids() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop", "respond.m0"]).success();
    lab.mrx(&["run", "loop", "respond.m0", "--set", "seed=1", "--set", "name=one"]).success();
    assert_eq!(lab.ask("SELECT count(DISTINCT response_id) FROM responses"), "140");
    assert_eq!(lab.ask("SELECT count(DISTINCT seed) FROM responses"), "140");
}

#[test]
fn a_changed_model_is_another_model() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop", "respond.m0"]).success();
    lab.edit("loop/model/answer.jinja", "Keep it simple.", "Keep it short.");
    let plan = lab.mrx(&["plan", "loop", "--format", "csv"]).success();
    plan.prints("respond.m0,miss").prints("model.answer.jinja");
}

#[test]
fn one_node_brings_what_it_stands_on_and_nothing_else() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop", "pair.m0"]).success().says("8 made");
    lab.mrx(&["run", "loop", "pair.m0"]).success().says("nothing to do: all 8 nodes");
    lab.mrx(&["run", "loop", "pairs.m0"]).fails_with(2).says("did you mean `pair.m0`?");
    lab.mrx(&["run", "loop"]).success().says("30 made, 8 reused");
}

#[test]
fn a_lost_object_is_named_and_made_again_and_nothing_else_is() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    let before = lab.digests("scripted");
    std::fs::remove_file(lab.object("scripted", "judge.m1/judgements")).unwrap();
    lab.mrx(&["plan", "loop"]).success().prints("`judgements` is gone from the store");
    lab.mrx(&["store", "verify"])
        .fails_with(4)
        .prints("missing")
        .prints("`judgements` of judge.m1");
    let half = "SELECT count(*) FROM judgements WHERE model = 'm0'";
    lab.mrx(&["sql", half]).fails_with(4).says("is missing").says("`mrx run` of its experiment");
    lab.mrx(&["sql", "SELECT count(*) FROM responses"]).success();
    lab.mrx(&["sql", "--attach"]).fails_with(4).says("is missing");
    lab.mrx(&["run", "loop"]).success().says("1 made, 37 reused").says("is gone from the store");
    assert_eq!(lab.digests("scripted"), before);
    lab.mrx(&["store", "verify"]).success();
}

/// What is not read decides nothing; what it is computed with decides.
#[test]
fn only_files_that_are_read_and_the_arithmetic_decide() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    lab.write("loop/model/README.md", "A model of ours.");
    lab.write("loop/model/notes.txt", "Not to be forgotten.");
    lab.mrx(&["run", "loop"]).success().says("nothing to do");
    lab.mrx(&["plan", "loop", "--device", "cuda"])
        .success()
        .prints("engine.compute `f32` → `f32 on cuda`");
}
