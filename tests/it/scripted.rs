//! The whole loop on the scripted model: what the tables hold, and how they hang together.

use crate::lab::Lab;

#[test]
fn four_iterations_make_every_table() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success().says("38 made");
    let count = |query: &str| lab.ask(query).parse::<i64>().unwrap();
    assert_eq!(count("SELECT count(DISTINCT prompt_id) FROM prompts"), 40, "shares are disjoint");
    assert_eq!(count("SELECT count(*) FROM responses WHERE model = 'm0'"), 70);
    let distinct = count("SELECT count(DISTINCT (prompt_id, text_digest)) FROM responses");
    assert_eq!(
        count("SELECT count(*) FROM judgements"),
        11 * distinct,
        "equal answers are judged once"
    );
    assert_eq!(count("SELECT count(*) FROM pairs WHERE role = 'judge' AND model = 'm2'"), 0);
    assert_eq!(
        count("SELECT count(*) FROM pairs WHERE role = 'actor'"),
        40,
        "a row for each prompt"
    );
    assert_eq!(count("SELECT count(DISTINCT model) FROM checkpoints"), 4);
}

#[test]
fn every_reference_leads_to_a_row() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    for [table, column, to, key] in mrx::query::references().unwrap() {
        let orphans = lab.ask(&format!(
            "SELECT count(*) FROM {table} a ANTI JOIN {to} b ON a.{column} = b.{key} WHERE a.{column} IS NOT NULL"
        ));
        assert_eq!(orphans, "0", "{table}.{column} → {to}.{key}");
    }
}

#[test]
fn a_reading_stands_beside_the_text_it_was_read_from() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    let wrong = lab.ask(
        "SELECT count(*) FROM judgements j JOIN readings r USING (experiment, judgement_id)
         WHERE j.score IS DISTINCT FROM r.value OR j.status != r.status OR j.rule != r.rule
            OR (j.status = 'ok') != (j.text LIKE '%Score: ' || j.score::INTEGER || '%')",
    );
    assert_eq!(wrong, "0");
    let wrong = lab.ask(
        "SELECT count(*) FROM meta_judgements m JOIN readings r USING (experiment, meta_judgement_id)
         WHERE m.winner IS DISTINCT FROM r.value
            OR m.winner != CASE WHEN m.text LIKE '%Winner: Judgement A' THEN 1 ELSE -1 END",
    );
    assert_eq!(wrong, "0");
    assert_ne!(lab.ask("SELECT count(*) FROM judgements WHERE status = 'missing'"), "0");
}

/// The pair stage, told again in SQL.
#[test]
fn actor_pairs_follow_the_rule_of_the_paper() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    let wrong = lab.ask(
        "WITH scored AS (
             SELECT model, prompt_id, response_id, avg(score) AS s FROM judgements
             GROUP BY ALL HAVING s IS NOT NULL
         ), edges AS (
             SELECT model, prompt_id, max(s) AS hi, min(s) AS lo,
                 CASE model WHEN 'm0' THEN 0 WHEN 'm3' THEN 0.4 ELSE 0.32 END AS rho
             FROM scored GROUP BY ALL
         ), tiers AS (
             SELECT e.*, min(len(r.text)) FILTER (s >= (1 - rho) * hi + rho * lo - 1e-9) AS shortest,
                 max(len(r.text)) FILTER (s <= (1 - rho) * lo + rho * hi + 1e-9) AS longest
             FROM edges e JOIN scored USING (model, prompt_id)
                 JOIN responses r USING (model, prompt_id, response_id) GROUP BY ALL
         )
         SELECT count(*) FROM pairs p JOIN tiers t USING (model, prompt_id)
         WHERE role = 'actor' AND p.kept
           AND (len(p.chosen) != t.shortest OR len(p.rejected) != t.longest
                OR p.score_chosen < p.score_rejected)",
    );
    assert_eq!(wrong, "0");
    assert_eq!(lab.ask("SELECT bool_and(kept = (reason IS NULL)) FROM pairs"), "true");
}

/// Judge pairs: the chosen judgement is the strongest of its tournament, the rejected the weakest.
#[test]
fn judge_pairs_take_the_strongest_and_the_weakest() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    let wrong = lab.ask(
        "SELECT count(*) FROM pairs p
         JOIN (SELECT model, prompt_id, max(strength) AS hi, min(strength) AS lo, sum(strength) AS zero
               FROM ratings GROUP BY ALL) r USING (model, prompt_id)
         WHERE role = 'judge' AND kept
           AND (abs(score_chosen - hi) > 1e-9 OR abs(score_rejected - lo) > 1e-9 OR abs(zero) > 1e-9)",
    );
    assert_eq!(wrong, "0");
    let omega = lab.ask(
        "SELECT bool_and(abs(omega_first - second / (first + second)) < 1e-12) FROM ratings
         JOIN (SELECT model, count(*) FILTER (winner = 1) AS first, count(*) FILTER (winner = -1) AS second
               FROM meta_judgements GROUP BY ALL) USING (model)",
    );
    assert_eq!(omega, "true", "a win from the position that wins more counts less");
}

#[test]
fn without_a_meta_judge_it_is_self_rewarding() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop", "--set", "meta_judge.enabled=false"]).success().says("32 made");
    assert_eq!(lab.ask("SELECT count(*) FROM meta_judgements"), "0");
    assert_eq!(lab.ask("SELECT count(*) FROM pairs WHERE role = 'judge'"), "0");
}

#[test]
fn a_judge_that_never_varies_leaves_no_pairs_and_says_why() {
    let lab = Lab::with_loop();
    lab.write("loop/model/judge.jinja", "Splendid. Score: 5");
    let outcome = lab.mrx(&["run", "loop"]).fails_with(3);
    outcome.says("train.m1: no pairs to train on; dropped: 10 equal_scores, 10 no_variance");
    assert_eq!(lab.ask("SELECT count(*) FROM judgements WHERE score = 5"), "770", "all is kept");
}

#[test]
fn a_judge_that_is_cut_short_gives_no_score() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop", "read.m0", "--set", "judge.max_tokens=3"]).success();
    assert_eq!(
        lab.ask("SELECT share(status = 'truncated' AND score IS NULL) FROM judgements"),
        "1.0"
    );
}

#[test]
fn one_answer_and_one_judgement_are_too_few_for_pairs() {
    let lab = Lab::with_loop();
    let set = ["--set", "respond.samples=1", "--set", "judge.samples=1"];
    let outcome = lab.mrx(&[&["run", "loop"][..], &set[..]].concat()).fails_with(3);
    outcome.says("10 no_variance");
}

#[test]
fn a_judge_that_never_gives_a_score_leaves_its_words_and_no_pairs() {
    let lab = Lab::with_loop();
    lab.write("loop/model/judge.jinja", "Splendid, in every way.");
    let outcome = lab.mrx(&["run", "loop"]).fails_with(3);
    outcome.says("train.m1: no pairs to train on; dropped: 20 no_valid_score");
    assert_eq!(
        lab.ask("SELECT share(status = 'missing' AND score IS NULL) FROM judgements"),
        "1.0"
    );
    let unread =
        "SELECT value FROM estimates e WHERE name = 'judge_status' AND e.group = 'missing'";
    assert_eq!(lab.ask(unread), "1.0");
    // A number that does not exist is a row that says so.
    assert_eq!(
        lab.ask("SELECT value, method FROM estimates WHERE name = 'judge_score'"),
        ",none: there are no rows"
    );
}

#[test]
fn one_prompt_is_enough() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop", "--set", "prompts.per_iteration=1"]).success();
    assert_eq!(lab.ask("SELECT count(*), count(DISTINCT model) FROM prompts"), "4,4");
    assert_eq!(
        lab.ask("SELECT count(*) FROM estimates WHERE name = 'judge_score' AND value IS NOT NULL"),
        "4"
    );
}

/// Judge pairs are capped by a seeded draw; the candidates stay, with the reason.
#[test]
fn judge_pairs_may_be_capped() {
    let lab = Lab::with_loop();
    let cap = |name: &str, share: &str| {
        let set = format!("pairs.judge.{name}={share}");
        lab.mrx(&["run", "loop", "pair.m0", "--set", &set]).success();
        lab.ask("SELECT count(*) FILTER (role = 'actor' AND kept), count(*) FILTER (role = 'judge' AND kept), count(*) FILTER (role = 'judge'), string_agg(DISTINCT reason, ' ') FROM pairs")
    };
    // 10 actor pairs: 2 of 12 are at most a fifth, 3 of 13 are more.
    assert_eq!(cap("max_share", "0.2"), "10,2,10,too_many_judge_pairs");
    assert_eq!(cap("max_share", "0"), "10,0,10,too_many_judge_pairs");
    assert_eq!(cap("max_share", "false"), "10,10,10,");
    cap("max_share_per_score", "0.3");
    let most = "SELECT max(n) FROM (SELECT count(*) AS n FROM pairs p JOIN judgements j ON j.judgement_id = p.chosen_judgement_id WHERE role = 'judge' AND kept GROUP BY score)";
    assert_eq!(lab.ask(most), "3", "no score is preferred by more than 3 of 10");
    assert_ne!(lab.ask("SELECT count(*) FROM pairs WHERE reason = 'too_many_of_score'"), "0");
    lab.mrx(&["run", "loop", "--set", "pairs.judge.max_share=2"])
        .fails_with(1)
        .says("expected a number from 0 to 1, or false for no limit");
}

#[test]
fn scores_may_be_hidden_from_the_meta_judge_and_decimals_refused() {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop", "meta_judge.m0"]).success();
    // The scripted meta-judge copies what it is shown.
    lab.edit(
        "loop/model/meta_judge.jinja",
        "Judgement {{ pick",
        "{% if 'Score: ' in prompt %}Seen. {% endif %}Judgement {{ pick",
    );
    let seen = "SELECT share(text LIKE 'Seen.%') FROM meta_judgements";
    lab.mrx(&["run", "loop", "meta_judge.m0"]).success();
    assert_eq!(lab.ask(seen), "1.0");
    lab.mrx(&["run", "loop", "meta_judge.m0", "--set", "meta_judge.strip_scores=true"]).success();
    assert_eq!(lab.ask(seen), "0.0");
    lab.edit("loop/model/judge.jinja", "Score: {{ score }}", "Score: {{ score }}.5");
    lab.mrx(&["run", "loop", "read.m0", "--set", "judge.decimals=false"]).success();
    assert_eq!(lab.ask("SELECT count(*) FROM judgements WHERE status = 'ok'"), "0");
    assert_eq!(lab.ask("SELECT any_value(rule) FROM judgements"), "whole-score-2");
    lab.mrx(&["run", "loop", "--set", "judge.decimals=false", "--set", "judge.marker=rating"])
        .fails_with(1)
        .says("`decimals` belongs to the marker `score`");
}
