//! The page in a browser: what it says in the console, whether everybody can use it, and that nothing of what
//! models say runs. `MRX_BROWSER` names a Chromium, `MRX_NODE_MODULES` a folder in which `npm install
//! playwright-core axe-core` was run; where either is not there, this is skipped.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::hostile::{HOSTILE, hostile};
use crate::lab::{Lab, PROJECT, skip};

/// Opens pages by `browser.mjs`, which says what is wrong with them.
fn look(lab: &Lab, pages: &[&str]) {
    let [Some(_), Some(_)] = ["MRX_BROWSER", "MRX_NODE_MODULES"].map(std::env::var_os) else {
        return skip("the report in a browser: set MRX_BROWSER and MRX_NODE_MODULES");
    };
    let script = Path::new(PROJECT).join("tests/it/report/browser.mjs");
    let mut command = Command::new("node");
    command.arg(script).args(pages.iter().map(|page| lab.path.join(page)));
    let outcome = command.output().unwrap();
    let said = String::from_utf8_lossy(&outcome.stdout);
    let wrong = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{said}\n{wrong}");
}

#[test]
fn a_page_of_hostile_rows_is_calm_and_usable_by_all() {
    let lab = hostile();
    lab.mrx(&["run", "loop"]).success();
    lab.mrx(&["report", "loop", "-o", "one.html"]).success();
    let other = ["--set", "name=other", "--set", "pairs.actor.rho=0.0"];
    lab.mrx(&[&["run", "loop"][..], &other[..]].concat()).success();
    lab.mrx(&["report", "scripted", "other", "-o", "two.html"]).success();
    lab.mrx(&["run", "loop", "prompts.m0", "--set", "name=few", "--set", "seed=1"]).success();
    lab.mrx(&["report", "few", "-o", "few.html"]).success();
    let toml = std::fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    let toml = toml.replace("seed = 0\n", "seeds = 2\n").replace("\"scripted\"", "\"seeded\"");
    let claim = json!({ "model": "m1", "beats": "m0", "by": "response_chars" });
    let claims = json!({ "claims": { HOSTILE[1]: claim } });
    let claims = toml::to_string(&claims).unwrap();
    let more = format!("[sweep]\n\"pairs.actor.rho\" = [0.0, 0.32]\n\n{claims}");
    lab.write("loop/seeds.toml", &format!("{toml}\n{more}"));
    lab.mrx(&["run", "loop/seeds.toml"]).success();
    lab.mrx(&["report", "seeded", "-o", "seeds.html"]).success();
    look(&lab, &["one.html", "two.html", "few.html", "seeds.html"]);
}
