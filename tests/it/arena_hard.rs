//! A complete run of Arena-Hard, recomputed from its battles where they are at hand.

use std::collections::BTreeMap;
use std::path::Path;

use mrx::stats::{Arena, Battle, Bootstrap, BradleyTerry, Clusters, Resampled};
use serde_json::Value;

use crate::data::data;

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
