//! A complete run of Arena-Hard, recomputed from its battles where they are at hand, and by games of a loop.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use mrx::stats::{Arena, Battle, Bootstrap, BradleyTerry, Clusters, Resampled};
use serde_json::{Value, json};

use crate::data::data;
use crate::judged::examples;

const BASELINE: &str = "Phi-3-medium-128k-instruct";

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The battles, and the question of each. Of a tie, upstream makes half a win for each side.
fn battles(folder: &Path) -> (Vec<Battle>, Vec<String>) {
    let rows = lines(&folder.join("arena_hard_battles.jsonl"));
    assert_eq!(rows.len(), 21_016);
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let battle = |row: &Value| Battle {
        first: text(row, "model_a"),
        second: text(row, "model_b"),
        outcome: match row["winner"].as_str().unwrap() {
            "model_a" => 1.0,
            "model_b" => 0.0,
            _ => 0.5,
        },
        weight: 1.0,
    };
    (rows.iter().map(battle).collect(), rows.iter().map(|row| text(row, "question_id")).collect())
}

/// The levels of both games of a question: the baseline's answer is shown first, then the model's.
type Levels = [&'static str; 2];

/// The judgements that the battles were made of, by model and question. A `>>` is three battles.
fn judgements(folder: &Path) -> BTreeMap<String, BTreeMap<String, Levels>> {
    let mut winners: BTreeMap<[String; 2], Vec<String>> = BTreeMap::new();
    for row in lines(&folder.join("arena_hard_battles.jsonl")) {
        let [model, question, winner] =
            ["model_b", "question_id", "winner"].map(|name| row[name].as_str().unwrap().to_owned());
        winners.entry([model, question]).or_default().push(winner);
    }
    let mut judgements: BTreeMap<String, BTreeMap<String, Levels>> = BTreeMap::new();
    for ([model, question], won) in winners {
        let of_first = match won.len() {
            6 => 3,
            // One by far and one not: where both went to the same side, which was which says nothing.
            4 if won[0] == won[2] => 3,
            2 | 4 => 1,
            other => panic!("{other} battles of {model} on {question}"),
        };
        let (first, second) = won.split_at(of_first);
        let level = |battles: &[String], [a, b]: [&str; 2]| match battles {
            [winner] if winner == a => "A>B",
            [winner] if winner == b => "B>A",
            [_] => "A=B",
            [winner, ..] if winner == a => "A>>B",
            _ => "B>>A",
        };
        // In the second game A is the model.
        let levels = [level(first, ["model_a", "model_b"]), level(second, ["model_b", "model_a"])];
        judgements.entry(model).or_default().insert(question, levels);
    }
    judgements
}

/// `Name | score: 83.8 | 95% CI: (-1.4, 1.3) | …`
fn published(folder: &Path) -> BTreeMap<String, [String; 3]> {
    let text = std::fs::read_to_string(folder.join("published_table_ac2fa3d.txt")).unwrap();
    let rows = text.lines().filter(|line| line.contains("score:"));
    rows.map(|line| {
        let parts: Vec<&str> = line.split(['|', ':', '(', ')', ',']).map(str::trim).collect();
        (parts[0].to_owned(), [parts[2], parts[5], parts[6]].map(ToOwned::to_owned))
    })
    .collect()
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len() - 1;
    let below = (0..last).rfind(|below| *below as f64 <= share * last as f64).unwrap();
    sorted[below] + (share * last as f64 - below as f64) * (sorted[below + 1] - sorted[below])
}

#[test]
fn scores_and_elos_are_the_published_ones() {
    let Some(data) = data() else { return };
    let folder = data.join("arena_hard");
    let (battles, questions) = battles(&folder);
    let arena = Arena::new(&battles, Clusters::of(questions)).unwrap();
    let plain = BradleyTerry::default();
    let (fitted, baseline) = (arena.fit(plain).unwrap(), arena.player(BASELINE).unwrap());
    let errors = arena.bouts().standard_errors_from(baseline, &fitted, plain).unwrap();

    let oracle = std::fs::read_to_string(data.join("bradley_terry/bt_oracle_battles.json"));
    let oracle: Value = serde_json::from_str(&oracle.unwrap()).unwrap();
    let oracle = &oracle["r4dm_arena_hard_local"]["bt_mle"];
    let shipped = lines(&folder.join("bootstrapping_results.jsonl"));
    assert_eq!(shipped.len(), 100);
    let published = published(&folder);
    assert_eq!(published.len(), 9);
    for (player, name) in arena.players().iter().enumerate() {
        let expected = &oracle[name];
        let number = |name: &str| expected[name].as_f64().unwrap();
        let elo = fitted.elo(player, baseline);
        assert!((elo - number("elo")).abs() < 1e-8, "{name}: {elo}");
        let error = errors[player] * 400.0 / std::f64::consts::LN_10;
        assert!((error - number("elo_se")).abs() < 1e-6, "{name}: {error}");

        let score = 100.0 * fitted.win_probability(player, baseline);
        let [printed, low, high] = &published[name];
        assert_eq!(format!("{score:.1}"), *printed, "{name}");
        // Upstream's interval: quantiles of its own rows, rounded to 2 digits, less the score.
        let percent = |elo: f64| 100.0 / (1.0 + 10_f64.powf((1000.0 - elo) / 400.0));
        let mut rows: Vec<f64> = shipped.iter().map(|row| row[name].as_f64().unwrap()).collect();
        rows.sort_by(f64::total_cmp);
        let rows: Vec<f64> = rows.into_iter().map(percent).collect();
        let end = |share: f64| {
            let rounded = (100.0 * percentile(&rows, share)).round() / 100.0;
            format!("{:.1}", rounded - score + 0.0)
        };
        let positive = |text: &str| text.replace("-0.0", "0.0");
        assert_eq!(positive(&end(0.025)), *low, "{name}");
        assert_eq!(positive(&end(0.975)), *high, "{name}");
    }
}

#[test]
fn rows_of_one_question_are_not_independent() {
    let Some(data) = data() else { return };
    let (battles, questions) = battles(&data.join("arena_hard"));
    let bootstrap = Bootstrap { resamples: 200, ..Bootstrap::default() };
    let widths = |clusters: Clusters| -> Vec<f64> {
        let arena = Arena::new(&battles, clusters).unwrap();
        let baseline = arena.player(BASELINE).unwrap();
        let model = BradleyTerry::default();
        let players = arena.players().len();
        let scores = arena.resampled(model, &bootstrap, |fitted| {
            (0..players).map(|player| fitted.win_probability(player, baseline)).collect()
        });
        let width = |score: &Resampled| {
            let interval = score.percentile(0.95).unwrap();
            interval.high - interval.low
        };
        scores.unwrap().iter().map(width).collect()
    };
    let by_row = widths(Clusters::rows(battles.len()));
    let by_question = widths(Clusters::of(questions));
    let compared = by_row.iter().zip(&by_question).filter(|(row, _)| **row > 0.0);
    let ratios: Vec<f64> = compared.map(|(row, question)| question / row).collect();
    assert_eq!(ratios.len(), 8, "the baseline's own score is 50 in every resample");
    let mean = ratios.iter().sum::<f64>() / 8.0;
    assert!(mean > 1.3, "by question the intervals are wider: {ratios:?}");
}

/// The example experiment on the questions and the judgements of a published run.
#[test]
fn five_levels_in_both_games_come_to_the_published_scores() {
    let Some(data) = data() else { return };
    let folder = data.join("arena_hard");
    let (published, judgements) = (published(&folder), judgements(&folder));
    let lab = examples();
    // The judge finds both verdicts in the prompt, and says the one of the game that it sees.
    let says = "{% set words = (prompt | split('verdicts '))[1] | split(' ') %}My final verdict is: \
        [[{% if '<assistant_a>\nBASELINE' in prompt %}{{ words[0] }}{% else %}{{ words[1] }}{% endif %}]]";
    lab.write("e/arena_hard/judge/level.jinja", says);
    for model in ["Llama-3-Instruct-8B-SimPO", "aya-23-8B", "alpindale_gemma-2b-it"] {
        let (mut questions, mut answers) = (String::new(), String::new());
        for (uid, [baseline_first, model_first]) in &judgements[model] {
            let prompt = format!("{uid} verdicts {baseline_first} {model_first} .");
            let question =
                json!({"uid": uid, "category": "hard_prompt", "cluster": "", "prompt": prompt});
            let said = json!([{"role": "user", "content": prompt},
                {"role": "assistant", "content": {"answer": "BASELINE"}}]);
            let _ = writeln!(questions, "{question}");
            let _ =
                writeln!(answers, "{}", json!({"uid": uid, "model": BASELINE, "messages": said}));
        }
        lab.write("e/arena_hard/question.jsonl", &questions);
        lab.write("e/arena_hard/model_answer/gpt-4-0314.jsonl", &answers);
        let name = format!("name={model}");
        lab.mrx(&["run", "e/arena_hard", "estimate.m0.arena_hard", "--set", &name]).success();
        let number = |name: &str| -> f64 {
            let sql = format!(
                "SELECT value FROM estimates WHERE experiment = '{model}' AND name = '{name}'"
            );
            lab.ask(&sql).parse().unwrap()
        };
        let score = number("arena_hard");
        assert_eq!(format!("{:.1}", 100.0 * score), published[model][0], "{model}");
        assert_eq!(number("arena_hard/unreadable").to_bits(), 0.0_f64.to_bits());
        // Elo by the exact fit to all models' battles: nobody else's games change one's own score.
        let elo = 400.0 * (score / (1.0 - score)).log10() + 1000.0;
        let exact = match model {
            "Llama-3-Instruct-8B-SimPO" => 1_285.886_617_691_393_2,
            "aya-23-8B" => 1_002.556_808_435_667_1,
            _ => 574.308_382_768_960_1,
        };
        assert!((elo - exact).abs() < 1e-8, "{model}: {elo}, {exact}");
        let graded = format!(
            "SELECT abs(value - (SELECT avg(preference) FROM verdicts WHERE experiment = '{model}')) < 1e-12,
                abs(value - {score}) > 1e-4 FROM estimates WHERE experiment = '{model}' AND name = 'win_rate'"
        );
        lab.mrx(&["run", "e/arena_hard", "estimate.m0.answers", "--set", &name]).success();
        assert_eq!(lab.ask(&graded), "true,true", "the graded win rate is another number");
    }
}

#[test]
fn levels_are_read_as_the_scripts_of_arena_hard_read_them_where_the_experiment_says_so() {
    let lab = examples();
    let toml = std::fs::read_to_string(lab.path.join("e/arena_hard/experiment.toml")).unwrap();
    let lenient = toml.replace("rule = \"arena\"", "").replace("# pattern = ", "pattern = ");
    lab.write("e/arena_hard/experiment.toml", &lenient.replace("# values = ", "values = "));
    lab.mrx(&["plan", "e/arena_hard"]).success();
    lab.write(
        "e/arena_hard/judge/level.jinja",
        "So: {{ (prompt | split('says '))[1] | split('.') | first }}",
    );
    lab.write(
        "e/arena_hard/judge.jinja",
        "{{ prompt }}{% if response_a == response_b %}{% endif %}",
    );
    let said = [
        ("[[A>B]]", 0.75),
        ("[a>>b]", 1.0),
        ("[[B<<A]]", 1.0),
        ("[B<A]", 0.75),
        ("[[B=A]]", 0.5),
        ("[[A<B]]", 0.25),
        ("[[A<<B]]", 0.0),
        ("[[A>B]] no [[B>>A]]", 0.0),
    ];
    let (mut questions, mut answers) = (String::new(), String::new());
    for (uid, (text, _)) in said.iter().enumerate() {
        let prompt = format!("{uid} says {text}.");
        let _ = writeln!(
            questions,
            "{}",
            json!({"uid": uid.to_string(), "category": "c", "prompt": prompt})
        );
        let messages = json!([{"role": "assistant", "content": {"answer": "ok"}}]);
        let _ = writeln!(answers, "{}", json!({"uid": uid.to_string(), "messages": messages}));
    }
    lab.write("e/arena_hard/question.jsonl", &questions);
    lab.write("e/arena_hard/model_answer/gpt-4-0314.jsonl", &answers);
    lab.mrx(&["run", "e/arena_hard", "evaluate.m0"]).success();
    for (uid, (text, expected)) in said.iter().enumerate() {
        let sql = format!(
            "SELECT preference FROM verdicts JOIN prompts USING (prompt_id)
             WHERE first_shown = 'model' AND prompt LIKE '{uid} says%'"
        );
        assert_eq!(lab.ask(&sql).parse::<f64>().ok(), Some(*expected), "{text}");
    }
}
