//! Bradley–Terry strengths of a tournament, by weighted maximum likelihood.
//!
//! Player m beats n with probability `σ(ε_m − ε_n)`; shown first, with `σ(ε_m − ε_n + η)` where an order
//! effect is asked for. Meta-Rewarding (section 2.2) maximises `Σ B_mn · log σ(ε_m − ε_n)`. That is
//! shift-invariant, so the mean is pinned to 0, and it runs away where a group of players never loses to
//! the others: without a prior that is an error, and a ridge prior `λ/2 · Σ ε²` keeps it finite
//! (Agresti, Categorical Data Analysis, section 11.6; the prior is a Gaussian of variance 1/λ).

use nalgebra::{DMatrix, DVector};
use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;
use rayon::prelude::*;

use super::error::Error;
use super::interval::sigmoid;

/// A battle matrix: weighted wins of each player over each other, by where the winner was shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Bouts {
    wins: [DMatrix<f64>; 3],
}

/// Where the winner of a bout was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WinnerShown {
    /// There was no order, or it is not known.
    Unknown,
    /// First.
    First,
    /// Second.
    Second,
}

/// What is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BradleyTerry {
    /// λ, the precision of the Gaussian prior on strengths; 0 is none.
    pub prior: f64,
    /// Whether being shown first may help.
    pub order_effect: bool,
}

/// Fitted strengths.
#[derive(Debug, Clone, PartialEq)]
pub struct Strengths {
    /// ε of each player, in natural-log units with mean 0.
    pub of_player: Vec<f64>,
    /// η, by how much being shown first helps, in natural-log units; 0 where it was not asked for.
    pub order_effect: f64,
}

impl Strengths {
    /// How likely one player beats another, with no order.
    #[must_use]
    pub fn win_probability(&self, player: usize, other: usize) -> f64 {
        sigmoid(self.of_player[player] - self.of_player[other])
    }

    /// A player's rating on the scale of chess, where another has 1,000.
    #[must_use]
    pub fn elo(&self, player: usize, anchor: usize) -> f64 {
        let decades = (self.of_player[player] - self.of_player[anchor]) / std::f64::consts::LN_10;
        1000.0 + 400.0 * decades
    }
}

impl Bouts {
    /// A tournament of `players` who have not met.
    #[must_use]
    pub fn new(players: usize) -> Self {
        Self { wins: std::array::from_fn(|_| DMatrix::zeros(players, players)) }
    }

    /// Adds a win of weight `weight` (at least 0) of player `winner` over player `loser`.
    ///
    /// # Panics
    /// For a player that is not in the tournament.
    pub fn add(&mut self, winner: usize, loser: usize, weight: f64) {
        self.add_shown(winner, loser, weight, WinnerShown::Unknown);
    }

    /// Adds a win, and says where the winner was shown.
    ///
    /// # Panics
    /// For a player that is not in the tournament.
    pub fn add_shown(&mut self, winner: usize, loser: usize, weight: f64, shown: WinnerShown) {
        self.wins[shown as usize][(winner, loser)] += weight;
    }

    /// Returns the weighted wins of a player.
    ///
    /// # Panics
    /// For a player that is not in the tournament.
    #[must_use]
    pub fn wins_of(&self, player: usize) -> f64 {
        self.wins.iter().map(|wins| wins.row(player).sum()).sum()
    }

    fn players(&self) -> usize {
        self.wins[0].nrows()
    }

    /// Fits strengths.
    ///
    /// With a prior the penalised log-likelihood is strictly concave, so the optimum is one, and
    /// Newton with halved steps reaches it from zero.
    ///
    /// # Errors
    /// [`Error::Unconnected`] without a prior, where some players never lose to the others;
    /// [`Error::Collinear`] where the order says nothing that the players do not; and
    /// [`Error::Separated`] where who was shown first decides every bout.
    pub fn fit(&self, model: BradleyTerry) -> Result<Strengths, Error> {
        const STEPS: usize = 100;
        if model.prior == 0.0 {
            self.check_connected()?;
        }
        let likelihood = Likelihood::of(self, model);
        let mut at = DVector::zeros(likelihood.terms());
        let mut here = likelihood.derivatives(&at);
        if model.order_effect && likelihood.order_is_confounded(&here) {
            return Err(Error::Collinear { term: "order effect" });
        }
        let mut moved = f64::INFINITY;
        for _ in 0..STEPS {
            let Derivatives { gradient, information } = here;
            let factor = information.cholesky().ok_or(Error::Separated)?;
            let mut step = factor.solve(&gradient);
            // Newton squares what is left: after a step of 1e-7, nothing that f64 could tell.
            if step.amax() < TINY * (1.0 + at.amax()) {
                return Ok(self.strengths(at + step));
            }
            let rise = gradient.dot(&step);
            loop {
                let to = &at + &step;
                here = likelihood.derivatives(&to);
                // A step that ends where the likelihood falls as steeply as it rose has gone too far.
                let too_far = here.gradient.dot(&step) <= -0.5 * rise;
                if !too_far || step.amax() < TINY {
                    at = to;
                    break;
                }
                step *= 0.5;
            }
            moved = step.amax();
        }
        // Strengths have an optimum, by now as near as rounding lets; an order effect need not.
        if moved <= 1e-3 { Ok(self.strengths(at)) } else { Err(Error::Separated) }
    }

    fn strengths(&self, at: DVector<f64>) -> Strengths {
        let players = self.players();
        let mut of_player = at.rows(0, players).into_owned();
        let mean = if players == 0 { 0.0 } else { of_player.mean() };
        of_player.add_scalar_mut(-mean);
        let order_effect = at.get(players).copied().unwrap_or(0.0);
        Strengths { of_player: of_player.iter().copied().collect(), order_effect }
    }

    /// The bouts of every two players who met. Where order matters, apart by who was shown first.
    fn pairs(&self, order_effect: bool) -> Vec<Duel> {
        let players = self.players();
        let [unknown, first, second] = &self.wins;
        let mut pairs = Vec::with_capacity(players * players);
        let mut add = |m, n, side, wins, losses| {
            if wins + losses > 0.0 {
                pairs.push(Duel { m, n, side, wins, losses });
            }
        };
        for m in 0..players {
            for n in 0..players {
                if m < n && order_effect {
                    add(m, n, 0.0, unknown[(m, n)], unknown[(n, m)]);
                } else if m < n {
                    let wins = |m, n| unknown[(m, n)] + first[(m, n)] + second[(m, n)];
                    add(m, n, 0.0, wins(m, n), wins(n, m));
                }
                if m != n && order_effect {
                    add(m, n, 1.0, first[(m, n)], second[(n, m)]);
                }
            }
        }
        pairs
    }

    /// Without a prior, every player has to be beaten, at some remove, by every other (Ford 1957).
    fn check_connected(&self) -> Result<(), Error> {
        let players = self.players();
        let mut beats = DiGraph::<(), ()>::new();
        let nodes: Vec<_> = (0..players).map(|_| beats.add_node(())).collect();
        for Duel { m, n, wins, losses, .. } in self.pairs(false) {
            if wins > 0.0 {
                beats.update_edge(nodes[m], nodes[n], ());
            }
            if losses > 0.0 {
                beats.update_edge(nodes[n], nodes[m], ());
            }
        }
        let groups = tarjan_scc(&beats);
        // The groups come in the order of an arrow's end before its start: the last one is beaten by
        // no other.
        match groups.last() {
            None => Err(Error::NoRows),
            Some(_) if players == 1 => Err(Error::OnePlayer),
            Some(_) if groups.len() == 1 => Ok(()),
            Some(unbeaten) => {
                let mut unbeaten: Vec<usize> = unbeaten.iter().map(|node| node.index()).collect();
                unbeaten.sort_unstable();
                Err(Error::Unconnected { unbeaten, players })
            }
        }
    }

    /// Approximate standard errors of fitted strengths, from the observed information; `None`
    /// without any bout.
    ///
    /// Wins count `scale` times: weights that sum to 1 over two bouts are scaled to the two bouts
    /// they stand for. The prior, or the pinned mean, makes the information invertible; the mean,
    /// which no bout informs, is projected out.
    #[must_use]
    pub fn standard_errors(
        &self,
        fitted: &Strengths,
        model: BradleyTerry,
        scale: f64,
    ) -> Option<Vec<f64>> {
        let covariance = self.covariance(fitted, model, scale)?;
        Some(covariance.diagonal().iter().map(|variance| variance.max(0.0).sqrt()).collect())
    }

    /// The standard errors of how far each player lies above one of them.
    #[must_use]
    pub fn standard_errors_from(
        &self,
        anchor: usize,
        fitted: &Strengths,
        model: BradleyTerry,
    ) -> Option<Vec<f64>> {
        let c = self.covariance(fitted, model, 1.0)?;
        let variance = |i| c[(i, i)] + c[(anchor, anchor)] - 2.0 * c[(i, anchor)];
        Some((0..self.players()).map(|player| variance(player).max(0.0).sqrt()).collect())
    }

    fn covariance(
        &self,
        fitted: &Strengths,
        model: BradleyTerry,
        scale: f64,
    ) -> Option<DMatrix<f64>> {
        let players = self.players();
        let mut at = DVector::from_column_slice(&fitted.of_player);
        if model.order_effect {
            at = at.push(fitted.order_effect);
        }
        let mut likelihood = Likelihood::of(self, model);
        likelihood.pairs.first()?;
        for pair in &mut likelihood.pairs {
            pair.wins *= scale;
            pair.losses *= scale;
        }
        let covariance = likelihood.derivatives(&at).information.cholesky()?.inverse();
        let mut covariance = covariance.view((0, 0), (players, players)).into_owned();
        for mut column in covariance.column_iter_mut() {
            let mean = column.mean();
            column.add_scalar_mut(-mean);
        }
        for mut row in covariance.row_iter_mut() {
            let mean = row.mean();
            row.add_scalar_mut(-mean);
        }
        Some(covariance)
    }
}

/// The bouts of two players.
#[derive(Debug, Clone, Copy)]
struct Duel {
    m: usize,
    n: usize,
    /// 1 where m was shown first, 0 where order does not count.
    side: f64,
    /// m's wins over n.
    wins: f64,
    /// n's wins over m.
    losses: f64,
}

/// The log-likelihood of strengths, and of the order effect behind them where it is fitted.
struct Likelihood {
    pairs: Vec<Duel>,
    players: usize,
    model: BradleyTerry,
}

/// The gradient and the negative Hessian of the log-likelihood with its prior.
struct Derivatives {
    gradient: DVector<f64>,
    information: DMatrix<f64>,
}

/// A step that is as good as none, in natural-log units.
const TINY: f64 = 1e-7;

impl Likelihood {
    fn of(bouts: &Bouts, model: BradleyTerry) -> Self {
        Self { pairs: bouts.pairs(model.order_effect), players: bouts.players(), model }
    }

    fn terms(&self) -> usize {
        self.players + usize::from(self.model.order_effect)
    }

    /// Whether the strengths say all that the order does: some are always shown first.
    fn order_is_confounded(&self, here: &Derivatives) -> bool {
        let players = self.players;
        let own = here.information[(players, players)];
        let shared = here.information.view((0, players), (players, 1)).into_owned();
        let strengths = here.information.view((0, 0), (players, players)).into_owned();
        let explained = strengths.cholesky().map(|factor| shared.dot(&factor.solve(&shared)));
        explained.is_none_or(|explained| own - explained <= 1e-10 * own)
    }

    fn derivatives(&self, at: &DVector<f64>) -> Derivatives {
        let (players, terms, prior) = (self.players, self.terms(), self.model.prior);
        let mut gradient = at * -prior;
        let mut information = DMatrix::zeros(terms, terms);
        let effect = at.get(players).copied().unwrap_or(0.0);
        for player in 0..players {
            information[(player, player)] = prior;
        }
        if prior == 0.0 {
            // No bout informs the mean; pinned so, it stays where it is, at 0.
            information.view_mut((0, 0), (players, players)).fill(1.0 / players as f64);
        }
        let (mut effect_gradient, mut effect_information) = (0.0, 0.0);
        for Duel { m, n, side, wins, losses } in &self.pairs {
            let (m, n) = (*m, *n);
            let likely = sigmoid(at[m] - at[n] + side * effect);
            let pull = wins * (1.0 - likely) - losses * likely;
            let bend = (wins + losses) * likely * (1.0 - likely);
            gradient[m] += pull;
            gradient[n] -= pull;
            information[(m, m)] += bend;
            information[(n, n)] += bend;
            information[(m, n)] -= bend;
            information[(n, m)] -= bend;
            if *side != 0.0 {
                effect_gradient += pull;
                effect_information += bend;
                for (player, sign) in [(m, 1.0), (n, -1.0)] {
                    information[(player, players)] += sign * bend;
                    information[(players, player)] += sign * bend;
                }
            }
        }
        if self.model.order_effect {
            gradient[players] = effect_gradient;
            information[(players, players)] = effect_information;
        }
        Derivatives { gradient, information }
    }
}

/// Strengths with their standard errors, where there was any bout.
#[derive(Debug, Clone, PartialEq)]
pub struct Rated {
    /// The strengths.
    pub strengths: Strengths,
    /// Of each player.
    pub standard_errors: Option<Vec<f64>>,
}

/// Fits many tournaments at once, on all threads, each with its standard errors at `scale`. The
/// answers do not depend on the number of threads.
///
/// # Errors
/// The first tournament's that has one; see [`Bouts::fit`].
pub fn fit_each(
    tournaments: &[Bouts],
    model: BradleyTerry,
    scale: f64,
) -> Result<Vec<Rated>, Error> {
    let fit = |bouts: &Bouts| {
        let strengths = bouts.fit(model)?;
        let standard_errors = bouts.standard_errors(&strengths, model, scale);
        Ok(Rated { strengths, standard_errors })
    };
    tournaments.par_iter().map(fit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ridge(prior: f64) -> BradleyTerry {
        BradleyTerry { prior, order_effect: false }
    }

    #[test]
    fn two_players_agree_with_the_closed_form() {
        let mut bouts = Bouts::new(2);
        bouts.add(0, 1, 3.0);
        bouts.add(1, 0, 1.0);
        let fit = bouts.fit(ridge(1e-9)).unwrap();
        let gap = fit.of_player[0] - fit.of_player[1];
        assert!((gap - 3.0_f64.ln()).abs() < 1e-8, "log odds of 3 to 1, found {gap}");
        // The gap's variance is 1 / (n p q) = 1 / (4 · 3/4 · 1/4); each strength is half the gap.
        let errors = bouts.standard_errors(&fit, ridge(1e-9), 1.0).unwrap();
        let expected = 0.5 * (1.0_f64 / (4.0 * 0.75 * 0.25)).sqrt();
        assert!((errors[0] - expected).abs() < 1e-6, "{errors:?} and {expected}");
    }

    #[test]
    fn a_player_who_never_loses_stays_finite_and_first() {
        let mut bouts = Bouts::new(3);
        bouts.add(0, 1, 1.0);
        bouts.add(0, 2, 1.0);
        bouts.add(1, 2, 1.0);
        let strengths = bouts.fit(ridge(0.01)).unwrap().of_player;
        assert!(strengths[0] > strengths[1] && strengths[1] > strengths[2], "{strengths:?}");
        assert!(strengths.iter().all(|strength| strength.is_finite()));
        assert!(strengths.iter().sum::<f64>().abs() < 1e-12);
    }

    #[test]
    fn without_bouts_all_are_equal_and_nothing_is_known() {
        let nobody_met = Bouts::new(4);
        let fit = nobody_met.fit(ridge(0.01)).unwrap();
        assert_eq!(fit.of_player, [0.0; 4]);
        assert_eq!(nobody_met.standard_errors(&fit, ridge(0.01), 1.0), None);
        assert!(Bouts::new(0).fit(ridge(0.01)).unwrap().of_player.is_empty());
    }

    #[test]
    fn relabelling_the_players_relabels_the_strengths() {
        let order = [2, 0, 3, 1];
        let wins = [(0, 1, 2.0), (1, 2, 1.5), (2, 3, 0.5), (3, 0, 1.0), (2, 0, 0.25)];
        let (mut here, mut there) = (Bouts::new(4), Bouts::new(4));
        for (winner, loser, weight) in wins {
            here.add(winner, loser, weight);
            there.add(order[winner], order[loser], weight);
        }
        let (here, there) = (here.fit(ridge(0.01)).unwrap(), there.fit(ridge(0.01)).unwrap());
        for (player, name) in order.into_iter().enumerate() {
            assert!((here.of_player[player] - there.of_player[name]).abs() < 1e-10);
        }
    }
}
