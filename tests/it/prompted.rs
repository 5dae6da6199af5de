//! `mrx show --prompt`: what a model was really asked.

use crate::lab::Lab;
use crate::local;

/// As many tokens as the row says were read, whichever stage drew it.
#[test]
fn what_a_row_was_asked_with_is_shown_with_its_tokens() {
    let lab = local::lab();
    lab.mrx(&["run", "small"]).success();
    for (table, id) in [("responses", "response_id"), ("judgements", "judgement_id")] {
        for model in ["m0", "m1"] {
            let at = |column: &str| {
                lab.ask(&format!(
                    "SELECT {column} FROM {table} WHERE model = '{model}' AND part IS NULL ORDER BY 1 LIMIT 1"
                ))
            };
            let row = at(id);
            let tokens =
                lab.ask(&format!("SELECT prompt_tokens FROM {table} WHERE {id} = '{row}' LIMIT 1"));
            let shown = lab.mrx(&["show", "--prompt", &row]).success();
            shown
                .prints(&row)
                .prints("[user]")
                .prints("as the model reads it\n<s> ")
                .prints(&format!("\n{tokens} tokens\n1 <s> | "));
        }
    }
    let prompt = lab.ask("SELECT prompt FROM responses JOIN prompts USING (prompt_id) WHERE responses.model = 'm0' ORDER BY response_id LIMIT 1");
    let row = lab
        .ask("SELECT response_id FROM responses WHERE model = 'm0' ORDER BY response_id LIMIT 1");
    lab.mrx(&["show", "--prompt", &row[..12]]).success().prints(&format!("<s> {prompt} </s> <s>"));
    lab.mrx(&["show", "--prompt", "judge.m0"])
        .success()
        .prints("rate ")
        .prints("drawn by judge.m0 of small");
    lab.mrx(&["show", "--prompt", "train.m1"])
        .fails_with(1)
        .says("`train.m1` asks no model anything");
    lab.mrx(&["show", "--prompt", "r_nothing"]).fails_with(1).says("no row of `responses`");
    // A folder that is no longer what it was is not taken for what was read.
    lab.write("small/model/chat_template.jinja", "other {{ messages[0].content }}");
    lab.mrx(&["show", "--prompt", "respond.m0"]).success().prints("not where they were");
    lab.mrx(&["show", "--prompt", "respond.m1"]).success().prints("as the model reads it\n<s> ");
}

#[test]
fn judgements_are_shown_to_the_meta_judge_as_it_saw_them() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    let first = "SELECT excerpt(text, length := 20) FROM judgements JOIN (SELECT first_judgement_id AS judgement_id
         FROM meta_judgements ORDER BY meta_judgement_id LIMIT 1) USING (judgement_id) LIMIT 1";
    let row =
        lab.ask("SELECT meta_judgement_id FROM meta_judgements ORDER BY meta_judgement_id LIMIT 1");
    let shown = lab.mrx(&["show", "--prompt", &row]).success();
    let said = lab.ask(first);
    let said = said.trim_matches(['"', '…']).to_owned();
    assert!(shown.stdout.contains(&said), "{said}: {}", shown.stdout);
}
