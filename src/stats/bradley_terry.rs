//! Bradley–Terry strengths of a small tournament, by weighted maximum likelihood.
//!
//! Meta-Rewarding (section 2.2) maximises `Σ B_mn · log σ(ε_m − ε_n)` over strengths ε. That is
//! shift-invariant, and runs away where a player never loses, so a ridge prior `λ/2 · Σ ε²` is
//! added: it pins the mean to 0 and keeps the optimum finite (Agresti, Categorical Data Analysis,
//! section 11.6, for the model; the prior is a Gaussian of variance 1/λ).

use nalgebra::{DMatrix, DVector};

/// A battle matrix: weighted wins of each player over each other.
#[derive(Debug, Clone)]
pub struct Bouts {
    wins: DMatrix<f64>,
}

impl Bouts {
    /// A tournament of `players` who have not met.
    #[must_use]
    pub fn new(players: usize) -> Self {
        Self { wins: DMatrix::zeros(players, players) }
    }

    /// Adds a win of weight `weight` (at least 0) of player `winner` over player `loser`.
    ///
    /// # Panics
    /// For a player that is not in the tournament.
    pub fn add(&mut self, winner: usize, loser: usize, weight: f64) {
        self.wins[(winner, loser)] += weight;
    }

    /// Returns the weighted wins of a player.
    ///
    /// # Panics
    /// For a player that is not in the tournament.
    #[must_use]
    pub fn wins_of(&self, player: usize) -> f64 {
        self.wins.row(player).sum()
    }

    /// Fits strengths, in natural-log units with mean 0, under a ridge prior of `prior` (above 0).
    ///
    /// The penalised log-likelihood is strictly concave, so the optimum is one and Newton with
    /// halved steps reaches it from zero.
    #[must_use]
    pub fn fit(&self, prior: f64) -> Vec<f64> {
        const STEPS: usize = 100;
        let players = self.wins.nrows();
        let mut strengths = DVector::zeros(players);
        for _ in 0..STEPS {
            let (gradient, information) = self.derivatives(&strengths, prior);
            let Some(factor) = information.cholesky() else { break };
            let mut step = factor.solve(&gradient);
            // Next to the optimum the objective is flat, and rounding must not halve good steps.
            let start = self.objective(&strengths, prior);
            let start = start - 1e-12 * start.abs().max(1.0);
            while self.objective(&(&strengths + &step), prior) < start && step.amax() > 1e-12 {
                step *= 0.5;
            }
            strengths += &step;
            if step.amax() < 1e-12 {
                break;
            }
        }
        let mean = if players == 0 { 0.0 } else { strengths.mean() };
        strengths.add_scalar_mut(-mean);
        strengths.iter().copied().collect()
    }

    fn objective(&self, strengths: &DVector<f64>, prior: f64) -> f64 {
        let mut sum = -0.5 * prior * strengths.norm_squared();
        for (m, n, wins) in self.entries() {
            sum -= wins * (strengths[n] - strengths[m]).exp().ln_1p();
        }
        sum
    }

    /// Gradient and negative Hessian of the penalised log-likelihood.
    fn derivatives(&self, strengths: &DVector<f64>, prior: f64) -> (DVector<f64>, DMatrix<f64>) {
        let players = self.wins.nrows();
        let mut gradient = strengths * -prior;
        let mut information = DMatrix::identity(players, players) * prior;
        for (m, n, wins) in self.entries() {
            let loses = 1.0 / (1.0 + (strengths[m] - strengths[n]).exp());
            gradient[m] += wins * loses;
            gradient[n] -= wins * loses;
            let weight = wins * loses * (1.0 - loses);
            information[(m, m)] += weight;
            information[(n, n)] += weight;
            information[(m, n)] -= weight;
            information[(n, m)] -= weight;
        }
        (gradient, information)
    }

    fn entries(&self) -> impl Iterator<Item = (usize, usize, f64)> + '_ {
        let players = self.wins.nrows();
        (0..players)
            .flat_map(move |m| (0..players).map(move |n| (m, n, self.wins[(m, n)])))
            .filter(|(m, n, wins)| m != n && *wins > 0.0)
    }

    /// Approximate standard errors of fitted strengths, from the observed information; `None`
    /// without any bout.
    ///
    /// Wins count `scale` times: weights that sum to 1 over two bouts are scaled to the two bouts
    /// they stand for. The prior makes the information invertible; the mean, which no bout
    /// informs, is projected out.
    #[must_use]
    pub fn standard_errors(&self, strengths: &[f64], prior: f64, scale: f64) -> Option<Vec<f64>> {
        self.entries().next()?;
        let players = self.wins.nrows();
        let scaled = Self { wins: &self.wins * scale };
        let (_, information) = scaled.derivatives(&DVector::from_column_slice(strengths), prior);
        let covariance = information.cholesky()?.inverse();
        #[expect(clippy::cast_precision_loss, reason = "a tournament has few players")]
        let share = 1.0 / players as f64;
        let centre = DMatrix::identity(players, players) - DMatrix::repeat(players, players, share);
        let projected = &centre * covariance * &centre;
        Some(projected.diagonal().iter().map(|variance| variance.max(0.0).sqrt()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_players_agree_with_the_closed_form() {
        let mut bouts = Bouts::new(2);
        bouts.add(0, 1, 3.0);
        bouts.add(1, 0, 1.0);
        let fit = bouts.fit(1e-9);
        let gap = fit[0] - fit[1];
        assert!((gap - 3.0_f64.ln()).abs() < 1e-8, "log odds of 3 to 1, found {gap}");
        // The gap's variance is 1 / (n p q) = 1 / (4 · 3/4 · 1/4); each strength is half the gap.
        let errors = bouts.standard_errors(&fit, 1e-9, 1.0).unwrap();
        let expected = 0.5 * (1.0_f64 / (4.0 * 0.75 * 0.25)).sqrt();
        assert!((errors[0] - expected).abs() < 1e-6, "{errors:?} and {expected}");
    }

    #[test]
    fn a_player_who_never_loses_stays_finite_and_first() {
        let mut bouts = Bouts::new(3);
        bouts.add(0, 1, 1.0);
        bouts.add(0, 2, 1.0);
        bouts.add(1, 2, 1.0);
        let strengths = bouts.fit(0.01);
        assert!(strengths[0] > strengths[1] && strengths[1] > strengths[2], "{strengths:?}");
        assert!(strengths.iter().all(|strength| strength.is_finite()));
        assert!(strengths.iter().sum::<f64>().abs() < 1e-12);
    }

    #[test]
    fn without_bouts_all_are_equal_and_nothing_is_known() {
        let nobody_met = Bouts::new(4);
        assert_eq!(nobody_met.fit(0.01), [0.0; 4]);
        assert_eq!(nobody_met.standard_errors(&[0.0; 4], 0.01, 1.0), None);
        assert!(Bouts::new(0).fit(0.01).is_empty());
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
        let (here, there) = (here.fit(0.01), there.fit(0.01));
        for player in 0..4 {
            assert!((here[player] - there[order[player]]).abs() < 1e-10);
        }
    }
}
