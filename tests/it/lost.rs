//! What is lost is noticed, told by name, and made again.

use std::fs;
use std::process::{Command, Stdio};

use crate::damage::Harm;
use crate::lab::Lab;

#[test]
fn a_store_without_its_format_is_not_taken_for_a_new_one() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop", "prompts.m0"]).success();
    for harm in ["deleted", "emptied", "\u{fffd}"] {
        match harm {
            "deleted" => fs::remove_file(lab.path.join(".mrx/FORMAT")).unwrap(),
            "emptied" => drop(lab.write(".mrx/FORMAT", "")),
            _ => fs::write(lab.path.join(".mrx/FORMAT"), b"\xb2\n").unwrap(),
        }
        for command in [&["run", "loop"][..], &["sql", "SELECT 1"], &["store", "verify"]] {
            let told = lab.mrx(command).fails_with(4).says("FORMAT").says("echo 2 > ");
            told.does_not_say("all is well");
        }
    }
    lab.write(".mrx/FORMAT", "2\n");
    lab.mrx(&["store", "verify"]).success().says("all is well");
}

#[test]
fn a_lost_manifest_is_told_and_made_again() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    let before = lab.digests("scripted");
    let plan = lab.store().plan("scripted").unwrap().unwrap();
    let run = plan.nodes.iter().find(|node| node.node == "judge.m1").unwrap().run.unwrap();
    fs::remove_file(lab.store().run_path(run)).unwrap();
    assert_eq!(plan.lost(&lab.store())[0].node, "judge.m1");
    let verified = lab.mrx(&["store", "verify"]).fails_with(4);
    verified.prints("missing  runs/").prints("the manifest of judge.m1 (scripted)");
    lab.mrx(&["plan", "loop"]).success().prints("its manifest is gone from the store");
    // As long as it is not made again, it stays lost.
    lab.mrx(&["run", "loop", "prompts.m0"]).success();
    lab.mrx(&["store", "verify"]).fails_with(4).prints("the manifest of judge.m1");
    let run = lab.mrx(&["run", "loop"]).success().says("its manifest is gone from the store");
    run.says("judge.m1").says("1 made, 37 reused");
    assert_eq!(lab.digests("scripted"), before);
    lab.mrx(&["store", "verify"]).success().says("all is well");
    lab.mrx(&["run", "loop"]).success().says("nothing to do");
}

#[test]
fn a_plan_and_a_pin_that_are_gone_are_noticed() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop", "respond.m0"]).success();
    fs::remove_file(lab.path.join(".mrx/plans/scripted.json")).unwrap();
    let told = lab.mrx(&["store", "verify"]).success().says("nothing is damaged");
    told.prints("unplanned  plans/scripted.json  2 runs were made for `scripted`");
    lab.mrx(&["run", "loop", "respond.m0"]).success().says("nothing to do");
    lab.mrx(&["store", "verify"]).success().says("all is well");
    lab.mrx(&["store", "pin", "respond.m0"]).success();
    let run = lab.store().plan("scripted").unwrap().unwrap().nodes[1].run.unwrap();
    fs::remove_file(lab.store().run_path(run)).unwrap();
    let told = lab.mrx(&["store", "verify"]).fails_with(4).prints("which is pinned, is not there");
    told.prints("the manifest of respond.m0");
}

#[test]
fn a_checkpoint_that_is_cut_short_is_made_again() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    let manifests = lab.store().manifests().unwrap();
    let trained = manifests.iter().find(|manifest| manifest.node == "train.m1").unwrap();
    let file = trained.objects.values().next().unwrap();
    let path = lab.store().object_path(file.object);
    assert_eq!(file.bytes, Some(path.metadata().unwrap().len()));
    Harm::CutShort.be_done_to(&path);
    let run = lab.mrx(&["run", "loop"]).success().says("is gone from the store, or cut short");
    run.says("made");
    lab.mrx(&["store", "verify"]).success().says("all is well");
}

/// Of several failures the worst decides: damage over a stage's own.
#[test]
fn damage_decides_the_exit_code_whoever_fails_last() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    Harm::Flipped.be_done_to(&lab.object("scripted", "judge.m0/judgements"));
    let sql = "SELECT prompt_id AS prompt, text::INTEGER AS value FROM responses";
    lab.write("loop/broken.sql", sql);
    let toml = fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    let estimate = "[estimate.broken]\nmeasure = \"mean\"\nsql = \"broken.sql\"\n";
    lab.write("loop/experiment.toml", &format!("{toml}\n{estimate}"));
    let run = lab.mrx(&["run", "loop", "--set", "pairs.actor.rho=0.5", "--json"]).fails_with(4);
    let failed = |node: &str| {
        let failed = |line: &&str| line.contains("\"failed\"") && line.contains(node);
        run.stdout.lines().position(|line| failed(&line)).unwrap()
    };
    assert!(failed("\"pair.m0\"") < failed("\"estimate.m0.broken\""), "damage comes first");
    run.says("is damaged").says("estimate.m0.broken");
}

/// Odd things in the place of the folder of work in hand end a run with a clear error, or work.
#[test]
fn odd_things_at_the_folder_of_work_in_hand_are_told() {
    let lab = Lab::with_loop();
    let run = |lab: &Lab| {
        let mut command = Command::new("timeout");
        // By force: a run that waits for ever hears no gentler signal.
        let patience = ["--signal=KILL", "20"];
        command.args(patience).args([env!("CARGO_BIN_EXE_mrx"), "run", "loop", "prompts.m0"]);
        command.current_dir(&lab.path).stdin(Stdio::null());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let partial = lab.path.join(".mrx/partial");
    fs::create_dir(lab.path.join(".mrx")).unwrap();
    fs::write(lab.path.join(".mrx/FORMAT"), "2\n").unwrap();
    std::os::unix::fs::symlink(lab.path.join("nowhere"), &partial).unwrap();
    let (code, said) = run(&lab);
    assert!(code == Some(1) || code == Some(3), "{code:?} {said}");
    assert!(said.contains("partial") && said.contains("a link that leads to no folder"), "{said}");
    fs::remove_file(&partial).unwrap();
    fs::write(&partial, "a file").unwrap();
    let (code, said) = run(&lab);
    assert!(code == Some(1) || code == Some(3), "{code:?} {said}");
    assert!(said.contains("partial") && said.contains("it is no folder"), "{said}");
    fs::remove_file(&partial).unwrap();
    let elsewhere = lab.path.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &partial).unwrap();
    let (code, said) = run(&lab);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "nothing is left behind");
}
