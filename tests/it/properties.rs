//! What must not change a number: names, order, and how a weight is cut.

use mrx::stats::{
    Arena, Battle, BradleyTerry, Clusters, Games, LengthControl, Paired, Ranks, Ratings, Strengths,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// A game: prompt, how far the model is preferred, by how much the baseline is longer, and its weight.
type Game = (u8, Option<f64>, f64, f64);

fn game() -> impl Strategy<Value = Game> {
    let preference = prop_oneof![
        1 => Just(None),
        4 => Just(Some(0.0)),
        4 => Just(Some(1.0)),
        2 => Just(Some(0.5)),
        4 => (0.0..=1.0).prop_map(Some),
    ];
    (0_u8..12, preference, -900.0..900.0, 0.1..3.0)
}

fn games(rows: &[Game], name: impl Fn(u8) -> u8) -> Games {
    Games::weighted(
        rows.iter().map(|row| row.1).collect(),
        rows.iter().map(|row| row.3).collect(),
        Clusters::of(rows.iter().map(|row| name(row.0))),
    )
    .unwrap()
}

fn length_control(rows: &[Game]) -> LengthControl {
    let rows: Vec<&Game> = rows.iter().filter(|row| row.1.is_some()).collect();
    let control = LengthControl::new(
        rows.iter().filter_map(|row| row.1).collect(),
        rows.iter().map(|row| row.2).collect(),
        Clusters::of(rows.iter().map(|row| row.0)),
    );
    LengthControl { weights: rows.iter().map(|row| row.3).collect(), ..control }
}

/// Each row twice, with parts of its weight.
fn split(rows: &[Game]) -> Vec<Game> {
    rows.iter()
        .flat_map(|row| [0.25, 0.75].map(|part| (row.0, row.1, row.2, part * row.3)))
        .collect()
}

fn same(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-9,
        (a, b) => a == b,
    }
}

fn battle() -> impl Strategy<Value = (u8, u8, f64, f64)> {
    (0_u8..5, 0_u8..5, prop_oneof![Just(0.0), Just(1.0), Just(0.5)], 0.1..3.0)
}

fn arena(rows: &[(u8, u8, f64, f64)], name: impl Fn(u8) -> String) -> Option<Arena> {
    let battles: Vec<Battle> = rows
        .iter()
        .map(|(first, second, outcome, weight)| Battle {
            first: name(*first),
            second: name(*second),
            outcome: *outcome,
            weight: *weight,
        })
        .collect();
    Arena::new(&battles, Clusters::rows(battles.len())).ok()
}

fn player(number: u8) -> String {
    format!("m{number}")
}

/// Another name for every player, in another order.
fn renamed(number: u8) -> String {
    format!("x{}", (number * 3 + 2) % 5)
}

proptest! {
    #[test]
    fn a_win_rate_depends_on_no_name_no_order_and_no_cut(
        rows in vec(game(), 2..60), turn in 0_usize..60,
    ) {
        let as_is = games(&rows, |prompt| prompt);
        let rate = |games: &Games| games.tally().rate();
        let ends = |games: &Games| games.interval(0.95).map(|(interval, _)| interval);
        let mut turned = rows.clone();
        turned.rotate_left(turn % rows.len());
        for other in [
            games(&rows, |prompt| 200 - prompt),
            games(&turned, |prompt| prompt),
            games(&split(&rows), |prompt| prompt),
        ] {
            prop_assert!(same(rate(&as_is), rate(&other)));
            prop_assert!(same(ends(&as_is).map(|e| e.low), ends(&other).map(|e| e.low)));
            prop_assert!(same(ends(&as_is).map(|e| e.high), ends(&other).map(|e| e.high)));
        }
        let other_side = |row: &Game| (row.0, row.1.map(|p| 1.0 - p), row.2, row.3);
        let mirrored = games(&rows.iter().map(other_side).collect::<Vec<_>>(), |prompt| prompt);
        prop_assert!(same(rate(&as_is), rate(&mirrored).map(|rate| 1.0 - rate)));
        prop_assert!(same(ends(&as_is).map(|e| e.low), ends(&mirrored).map(|e| 1.0 - e.high)));
        prop_assert!(same(as_is.tally().bounds().map(|b| b.low), mirrored.tally().bounds().map(|b| 1.0 - b.high)));
    }

    #[test]
    fn length_control_depends_on_no_order_and_no_side(
        rows in vec(game(), 8..60), turn in 0_usize..60,
    ) {
        let rate = |rows: &[Game]| length_control(rows).win_rate().ok();
        let error = |rows: &[Game]| length_control(rows).standard_error().ok().flatten();
        let as_is = rate(&rows);
        let mut turned = rows.clone();
        turned.rotate_left(turn % rows.len());
        prop_assert!(same(as_is, rate(&turned)));
        // A weight cut in two is the same weight, and the same prompt.
        prop_assert!(same(as_is, rate(&split(&rows))));
        prop_assert!(same(error(&rows), error(&split(&rows))));
        // The baseline, seen as the model: every difference and every preference the other way round.
        let mirrored: Vec<Game> =
            rows.iter().map(|(p, preference, d, w)| (*p, preference.map(|p| 1.0 - p), -d, *w)).collect();
        prop_assert!(same(as_is, rate(&mirrored).map(|rate| 1.0 - rate)));
    }

    #[test]
    fn swapping_two_models_turns_their_difference_round(
        first in vec(game(), 2..40), second in vec(game(), 2..40),
    ) {
        let clusters = |rows: &[Game]| rows.iter().map(|row| row.0).collect::<Vec<_>>();
        let [a, b] = Clusters::together(clusters(&first), clusters(&second));
        let (first, second) = (games(&first, |p| p).over(a), games(&second, |p| p).over(b));
        match (Paired::new(&first, &second), Paired::new(&second, &first)) {
            (Ok(one), Ok(other)) => {
                prop_assert!(same(Some(one.difference()), Some(-other.difference())));
                prop_assert!(same(one.standard_error(), other.standard_error()));
                let ((one_ends, _), (other_ends, _)) = (one.interval(0.9), other.interval(0.9));
                prop_assert!(same(Some(one_ends.low), Some(-other_ends.high)));
                let (signs, turned) = (one.signs(), other.signs());
                prop_assert_eq!((signs.better, signs.worse, signs.equal), (turned.worse, turned.better, turned.equal));
            }
            (one, other) => prop_assert_eq!(one.err(), other.err()),
        }
    }

    #[test]
    fn strengths_depend_on_no_name_no_order_and_no_cut(
        rows in vec(battle(), 6..60), turn in 0_usize..60,
    ) {
        let plain = BradleyTerry::default();
        let ridge = BradleyTerry { prior: 0.1, order_effect: true };
        let mut turned = rows.clone();
        turned.rotate_left(turn % rows.len());
        let cut: Vec<_> = rows
            .iter()
            .flat_map(|(a, b, o, w)| [(*a, *b, *o, 0.25 * w), (*a, *b, *o, 0.75 * w)])
            .collect();
        // Seen from the other side: who was shown first was shown second, and lost where it won.
        let swapped: Vec<_> = rows.iter().map(|(a, b, o, w)| (*a, *b, 1.0 - o, *w)).collect();
        let Some(as_is) = arena(&rows, player) else { return Ok(()) };
        for model in [plain, ridge] {
            let Ok(strengths) = as_is.fit(model) else { continue };
            let of = |strengths: &Strengths, place: usize| Some(strengths.of_player[place]);
            for other in [arena(&turned, player), arena(&cut, player)] {
                let other = other.unwrap().fit(model).unwrap();
                for place in 0..as_is.players().len() {
                    prop_assert!(same(of(&strengths, place), of(&other, place)));
                }
            }
            let named = arena(&rows, renamed).unwrap();
            let other = named.fit(model).unwrap();
            for (place, name) in as_is.players().iter().enumerate() {
                let number = name[1..].parse().unwrap();
                let there = named.player(&renamed(number)).unwrap();
                prop_assert!(same(of(&strengths, place), of(&other, there)));
            }
            let lost = arena(&swapped, player).unwrap().fit(model).unwrap();
            for place in 0..as_is.players().len() {
                prop_assert!(same(of(&strengths, place), of(&lost, place).map(|s| -s)));
            }
            prop_assert!(same(Some(strengths.order_effect), Some(-lost.order_effect)));
            let lifted = Strengths {
                of_player: strengths.of_player.iter().map(|s| s + 7.5).collect(),
                ..strengths.clone()
            };
            for place in 0..as_is.players().len() {
                let (here, there) = (strengths.win_probability(place, 0), lifted.win_probability(place, 0));
                prop_assert!(same(Some(here), Some(there)));
            }
        }
    }

    #[test]
    fn raters_are_equals_and_categories_have_no_names(pairs in vec((0_usize..4, 0_usize..4), 1..60)) {
        let agreement = |pairs: Vec<(usize, usize)>| {
            let clusters = Clusters::rows(pairs.len());
            Ratings::new(pairs, 4, clusters).unwrap().agreement()
        };
        let as_is = agreement(pairs.clone());
        let swapped = agreement(pairs.iter().map(|(a, b)| (*b, *a)).collect());
        let renamed = agreement(pairs.iter().map(|(a, b)| (3 - a, 3 - b)).collect());
        let linear = |a: usize, b: usize| a.abs_diff(b) as f64;
        for other in [swapped, renamed] {
            prop_assert!(same(as_is.kappa(), other.kappa()));
            prop_assert!(same(as_is.weighted_kappa(linear), other.weighted_kappa(linear)));
            prop_assert_eq!(as_is.share(), other.share());
        }
    }

    #[test]
    fn ranks_follow_order_alone(pairs in vec((-3_i8..4, -3_i8..4), 2..60)) {
        let side = |of: fn(&(i8, i8)) -> i8| pairs.iter().map(|pair| f64::from(of(pair))).collect::<Vec<_>>();
        let (x, y) = (side(|pair| pair.0), side(|pair| pair.1));
        let ranks = |x: &[f64], y: &[f64]| Ranks::new(x, y, Clusters::rows(x.len())).unwrap();
        let once = Clusters::rows(pairs.len()).once();
        let as_is = ranks(&x, &y);
        let bent: Vec<f64> = x.iter().map(|x| x.exp()).collect();
        let down: Vec<f64> = x.iter().map(|x| -x).collect();
        for (other, sign) in [(ranks(&bent, &y), 1.0), (ranks(&y, &x), 1.0), (ranks(&down, &y), -1.0)] {
            prop_assert!(same(as_is.spearman(&once), other.spearman(&once).map(|r| sign * r)));
            prop_assert!(same(as_is.kendall(&once), other.kendall(&once).map(|r| sign * r)));
        }
    }
}
