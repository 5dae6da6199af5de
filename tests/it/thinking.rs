//! Models that think before they answer: what they think is kept, and is no answer.

use crate::ids::{self, Kind};
use crate::lab::Lab;

#[test]
fn what_an_actor_thinks_is_a_column_and_no_judge_sees_it() {
    let lab = Lab::with_loop();
    lab.edit(
        "loop/model/answer.jinja",
        "{{ opening }}",
        "<think>Perhaps Score: 5.</think>\n\n{{ opening }}",
    );
    lab.mrx(&["run", "loop"]).success();
    let kept = "SELECT bool_and(thinking = 'Perhaps Score: 5.' AND NOT contains(text, '<think') AND text = trim(text))
         FROM responses WHERE part IS NULL";
    assert_eq!(lab.ask(kept), "true");
    let judgement = lab.ask("SELECT judgement_id FROM judgements ORDER BY 1 LIMIT 1");
    let shown = lab.mrx(&["show", "--prompt", &judgement]).success().prints("[user]");
    assert!(!shown.stdout.contains("Perhaps"), "{}", shown.stdout);
    assert_eq!(lab.ask("SELECT bool_and(NOT contains(chosen, '<think')) FROM pairs WHERE kept AND role = 'actor'"), "true");
}

#[test]
fn what_a_judge_thinks_is_no_verdict() {
    let lab = Lab::with_loop();
    lab.edit(
        "loop/model/judge.jinja",
        "The response is",
        "[[Score: 1]] or [[Score: 2]]? [[/The response is",
    );
    lab.edit(
        "loop/model/judge.jinja",
        "{%- if uniform() < 0.04 %}",
        "]]{%- if uniform() < 0.04 %}",
    );
    let file = std::fs::read_to_string(lab.path.join("loop/experiment.toml")).unwrap();
    lab.write("loop/experiment.toml", &format!("{file}\n[thinking]\nbegin = '[['\nend = ']]'\n"));
    lab.mrx(&["run", "loop", "read.m0"]).success();
    let apart = "SELECT bool_and(thinking LIKE 'Score: 1%Score: 2%' AND NOT contains(text, '[['))
         FROM judgements WHERE part IS NULL";
    assert_eq!(lab.ask(apart), "true");
    for (markers, what) in [
        ("begin = ''", "expected a marker, found an empty text"),
        ("begin = 'a'\nend = 'a'", "expected two different markers"),
        ("end = '<think>'", "expected two different markers"),
    ] {
        lab.write("loop/experiment.toml", &format!("{file}\n[thinking]\n{markers}\n"));
        lab.mrx(&["plan", "loop"]).fails_with(1).says(what);
    }
}

/// `f` begins a thought and `h` ends it: a model of random weights writes both now and then.
#[test]
fn thoughts_are_trained_on_unless_they_are_not_to_be() {
    let lab = ids::lab(Kind::ByteLevel, 0);
    let file = std::fs::read_to_string(lab.path.join("odd/experiment.toml")).unwrap();
    let lengths = "SELECT count(*) FILTER (tokens < len(ids)) > 0, count(*) > 20 FROM (
            FROM pairs JOIN reference_logps USING (pair_id) SELECT chosen_tokens AS tokens, chosen_ids AS ids
            UNION ALL FROM pairs JOIN reference_logps USING (pair_id) SELECT rejected_tokens, rejected_ids)";
    let thinking = "[pairs.actor]\ncut = 'keep'\n[thinking]\nbegin = 'f'\nend = 'h'\n";
    lab.write("odd/experiment.toml", &format!("{file}\n{thinking}"));
    lab.mrx(&["run", "odd"]).success();
    assert_eq!(lab.ask("SELECT count(thinking) > 10 FROM responses"), "true");
    assert_eq!(lab.ask(lengths), "false,true", "what was drawn is trained on, whole");
    lab.write("odd/experiment.toml", &format!("{file}\n{thinking}train = false\n"));
    lab.mrx(&["run", "odd"]).success();
    assert_eq!(lab.ask(lengths), "true,true", "thoughts are left out");
}
