//! Statistics against figures that others published, where their data is at hand.

use std::collections::BTreeMap;

use mrx::stats::Agreement;

use crate::data::{data, rows};

/// What a judge preferred, `1` or `2`, or nothing that could be read.
fn verdict(text: &str) -> usize {
    match text {
        "1" => 1,
        "2" => 2,
        _ => 0,
    }
}

#[test]
fn judges_of_llmbar_agree_with_people_and_with_themselves_as_published() {
    let Some(data) = data() else { return };
    let mut verdicts = BTreeMap::<(String, String), Vec<[usize; 3]>>::new();
    for row in rows(&data.join("agreement/llmbar_verdicts_slim.csv")) {
        let judged = ["gold_label", "winner_orig_order", "winner_swapped_order_mapped_back"];
        let key = (row["dataset"].clone(), row["evaluator"].clone());
        verdicts.entry(key).or_default().push(judged.map(|name| verdict(&row[name])));
    }
    let mut compared = 0;
    for published in rows(&data.join("agreement/llmbar_published_statistics.csv")) {
        let key = (published["dataset"].clone(), published["evaluator"].clone());
        let Some(rows) = verdicts.get(&key) else { continue };
        let number = |name: &str| published[name].parse::<f64>().unwrap();
        assert_eq!(rows.len().to_string(), published["n"], "{key:?}");
        let n = number("n");
        let close = |found: f64, expected: f64, what: &str| {
            assert!((found - expected).abs() < 1e-12, "{key:?}: {what} {found} for {expected}");
        };
        let right = |order: usize| {
            Agreement::of(rows.iter().map(|row| (row[0], row[order])), 3).unwrap().share()
        };
        close(right(1) * n, number("correct_orig"), "right in the first order");
        close(right(2) * n, number("correct_swapped"), "right in the second order");
        let both = Agreement::of(rows.iter().map(|row| (row[1], row[2])), 3).unwrap();
        close(both.share() * n, number("equal"), "the same in both orders");
        // Upstream's κ takes what could not be read for a `2`; its count of equals does not.
        let read = |verdict: usize| if verdict == 1 { 1 } else { 2 };
        let kappa = Agreement::of(rows.iter().map(|row| (read(row[1]), read(row[2]))), 3).unwrap();
        // Raters that only ever say one thing have no κ; upstream prints what a division makes of it.
        if let Some(kappa) = kappa.kappa() {
            close(kappa, number("published_kappa_agreement"), "κ");
        }
        compared += 1;
    }
    assert_eq!(compared, 66);
}
