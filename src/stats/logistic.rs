//! Weighted logistic regression with soft labels, to the exact optimum, with an L1 penalty or none.
//!
//! Minimises `Σ w·[−y·ln σ(x·β) − (1 − y)·ln σ(−x·β)] + λ·Σ|β|` by Newton steps; with a penalty, each
//! step minimises the quadratic model plus the penalty itself (Lee, Sun & Saunders 2014), so that a
//! coefficient that should be 0 is 0.

use nalgebra::{SMatrix, SVector};

use super::interval::sigmoid;

/// Rows, and how they are fitted. Every list has one entry per row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Logistic<'r, const N: usize> {
    pub(super) features: &'r [[f64; N]],
    /// In `[0, 1]`.
    pub(super) labels: &'r [f64],
    /// At least 0.
    pub(super) weights: &'r [f64],
    /// Which features are in the model; the coefficient of one that is not stays 0.
    pub(super) used: [bool; N],
    /// λ, at least 0.
    pub(super) penalty: f64,
}

/// Why there is no optimum to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// This feature is a combination of those before it.
    Collinear(usize),
    /// A combination of the features tells every 1 from every 0: the likelihood has no maximum.
    Separated,
}

/// Gradient and Hessian of the loss without its penalty.
struct Derivatives<const N: usize> {
    gradient: SVector<f64, N>,
    hessian: SMatrix<f64, N, N>,
}

impl<const N: usize> Logistic<'_, N> {
    /// Finds the optimum. A start that is close saves steps; one that leads astray costs a second try,
    /// from zero.
    pub(super) fn fit(&self, start: SVector<f64, N>) -> Result<SVector<f64, N>, Trouble> {
        match self.fit_from(start) {
            Err(Trouble::Separated) if start.amax() > 0.0 => self.fit_from(SVector::zeros()),
            found => found,
        }
    }

    fn fit_from(&self, start: SVector<f64, N>) -> Result<SVector<f64, N>, Trouble> {
        const STEPS: usize = 60;
        let mut at = start;
        let mut here = self.derivatives(&at);
        if let Some(feature) = self.collinear(here.hessian) {
            return Err(Trouble::Collinear(feature));
        }
        for _ in 0..STEPS {
            let full = self.step(&at, &here).ok_or(Trouble::Separated)?;
            // Newton squares what is left: after a step of 1e-7, nothing that f64 could tell.
            if full.amax() < TINY * (1.0 + at.amax()) {
                return Ok(at + full);
            }
            let slope = self.slope(&here, &at, &full, 0.0);
            // A step that ends where the loss rises as steeply as it fell has gone too far.
            let mut share = 1.0;
            loop {
                let to = at + full * share;
                let there = self.derivatives(&to);
                let too_far = self.slope(&there, &at, &full, share) > -0.5 * slope;
                here = there;
                if !too_far || share * full.amax() < TINY {
                    at = to;
                    break;
                }
                share *= 0.5;
            }
        }
        Err(Trouble::Separated)
    }

    /// The inverse of the information at an optimum.
    pub(super) fn inverse_information(&self, at: &SVector<f64, N>) -> Option<SMatrix<f64, N, N>> {
        Some(self.derivatives(at).hessian.cholesky()?.inverse())
    }

    /// What one row pulls the coefficients by: `w·(y − σ(x·β))·x`.
    pub(super) fn score(&self, at: &SVector<f64, N>, row: usize) -> SVector<f64, N> {
        let features = SVector::from(self.features[row]);
        features * (self.weights[row] * (self.labels[row] - sigmoid(features.dot(at))))
    }

    fn derivatives(&self, at: &SVector<f64, N>) -> Derivatives<N> {
        let dot = |features: &[f64; N]| features.iter().zip(at.iter()).map(|(x, b)| x * b).sum();
        // In passes that each fit into registers: faster than row by row.
        let dots: Vec<f64> = self.features.iter().map(dot).collect();
        let likely: Vec<f64> = dots.into_iter().map(sigmoid).collect();
        let (mut gradient, mut hessian) = ([0.0; N], [[0.0; N]; N]);
        let rows = self.features.iter().zip(self.labels).zip(self.weights).zip(&likely);
        for (((features, label), weight), likely) in rows {
            let (pull, bend) = (weight * (likely - label), weight * likely * (1.0 - likely));
            for a in 0..N {
                gradient[a] += pull * features[a];
                for b in 0..=a {
                    hessian[a][b] += bend * features[a] * features[b];
                }
            }
        }
        // A feature that is not used neither pulls nor bends with another.
        let hessian = SMatrix::from_fn(|a, b| match (self.used[a] && self.used[b], a == b) {
            (true, _) => hessian[a.max(b)][a.min(b)],
            (false, alone) => f64::from(u8::from(alone)),
        });
        let gradient = SVector::from_fn(|a, _| if self.used[a] { gradient[a] } else { 0.0 });
        Derivatives { gradient, hessian }
    }

    /// The step to the lowest point of the quadratic model plus the penalty; `None` where the model
    /// has none.
    fn step(&self, at: &SVector<f64, N>, here: &Derivatives<N>) -> Option<SVector<f64, N>> {
        const SWEEPS: usize = 10_000;
        let Derivatives { gradient, hessian } = here;
        if self.penalty == 0.0 {
            return Some(hessian.cholesky()?.solve(&-gradient));
        }
        let mut step = SVector::<f64, N>::zeros();
        for _ in 0..SWEEPS {
            let mut moved: f64 = 0.0;
            for a in 0..N {
                let bend = hessian[(a, a)];
                if bend <= 0.0 {
                    return None;
                }
                let others = hessian.row(a).transpose().dot(&step) - bend * step[a];
                let free = at[a] - (gradient[a] + others) / bend;
                let shrunk = free.signum() * (free.abs() - self.penalty / bend).max(0.0);
                moved = moved.max((shrunk - at[a] - step[a]).abs());
                step[a] = shrunk - at[a];
            }
            if moved < 1e-15 * (1.0 + at.amax()) {
                break;
            }
        }
        Some(step)
    }

    /// How fast loss and penalty change along a step, at a share of it.
    fn slope(
        &self,
        there: &Derivatives<N>,
        start: &SVector<f64, N>,
        step: &SVector<f64, N>,
        share: f64,
    ) -> f64 {
        let penalty = (0..N).map(|a| {
            let side = match start[a] + share * step[a] {
                // A coefficient that has come to 0, or is about to leave it.
                0.0 if share > 0.0 => start[a],
                0.0 => step[a],
                elsewhere => elsewhere,
            };
            if side == 0.0 { 0.0 } else { side.signum() * step[a] }
        });
        there.gradient.dot(step) + self.penalty * penalty.sum::<f64>()
    }

    /// The first feature that the ones before it say everything about: what is left of its own
    /// curvature when theirs is taken out is nothing.
    fn collinear(&self, mut left: SMatrix<f64, N, N>) -> Option<usize> {
        let whole = left.diagonal();
        // What rounding leaves of nothing grows with the rows that were added up.
        let nothing = (4.0 * f64::EPSILON * self.labels.len() as f64).max(1e-12);
        for a in (0..N).filter(|a| self.used[*a]) {
            if left[(a, a)] <= nothing * whole[a] {
                return Some(a);
            }
            let (column, pivot) = (left.column(a).into_owned(), left[(a, a)]);
            left -= column * column.transpose() / pivot;
        }
        None
    }
}

/// A step that is as good as none, in units of log-odds per unit of a feature.
const TINY: f64 = 1e-7;

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Case {
        x: Vec<Vec<f64>>,
        y: Vec<f64>,
        weight: Vec<f64>,
        #[serde(default)]
        cluster: Vec<usize>,
        #[serde(rename = "C")]
        inverse_penalty: Option<f64>,
        coefficients: Vec<f64>,
        #[serde(default)]
        cluster_covariance: Vec<Vec<f64>>,
    }

    fn cases(section: &str) -> Vec<Case> {
        let all = include_str!("../../tests/data/statistics.json");
        let all: serde_json::Value = serde_json::from_str(all).unwrap();
        serde_json::from_value(all[section].clone()).unwrap()
    }

    fn compare<const N: usize>(case: &Case) {
        let features: Vec<[f64; N]> =
            case.x.iter().map(|row| row.clone().try_into().unwrap()).collect();
        let logistic = Logistic {
            features: &features,
            labels: &case.y,
            weights: &case.weight,
            used: [true; N],
            penalty: case.inverse_penalty.map_or(0.0, f64::recip),
        };
        let fitted = logistic.fit(SVector::zeros()).unwrap();
        for (found, expected) in fitted.iter().zip(&case.coefficients) {
            assert!((found - expected).abs() < 1e-10, "{fitted} for {:?}", case.coefficients);
            assert!(*expected != 0.0 || *found == 0.0, "what should be 0 is exactly 0: {found}");
        }
        let clusters = case.cluster.iter().max().map_or(0, |most| most + 1);
        let mut pulls = vec![SVector::<f64, N>::zeros(); clusters];
        for (row, cluster) in case.cluster.iter().enumerate() {
            pulls[*cluster] += logistic.score(&fitted, row);
        }
        let meat: SMatrix<f64, N, N> = pulls.iter().map(|pull| pull * pull.transpose()).sum();
        let bread = logistic.inverse_information(&fitted).unwrap();
        let clusters = clusters as f64;
        let covariance = bread * meat * bread * (clusters / (clusters - 1.0));
        for (a, row) in case.cluster_covariance.iter().enumerate() {
            for (b, expected) in row.iter().enumerate() {
                assert!((covariance[(a, b)] - expected).abs() < 1e-9, "{covariance}");
            }
        }
    }

    #[test]
    fn optima_and_covariances_are_those_of_independent_solvers() {
        for case in cases("logistic").iter().chain(&cases("logistic_l1")) {
            match case.coefficients.len() {
                2 => compare::<2>(case),
                3 => compare::<3>(case),
                4 => compare::<4>(case),
                other => panic!("no case has {other} features"),
            }
        }
    }

    fn trouble<const N: usize>(features: &[[f64; N]], labels: &[f64]) -> Trouble {
        let weights = vec![1.0; labels.len()];
        let logistic =
            Logistic { features, labels, weights: &weights, used: [true; N], penalty: 0.0 };
        logistic.fit(SVector::zeros()).unwrap_err()
    }

    #[test]
    fn what_has_no_optimum_is_told() {
        assert_eq!(trouble(&[[1.0], [1.0]], &[1.0, 1.0]), Trouble::Separated);
        let line = [[1.0, -2.0], [1.0, -1.0], [1.0, 1.0], [1.0, 2.0]];
        assert_eq!(trouble(&line, &[0.0, 0.0, 1.0, 1.0]), Trouble::Separated);
        // One row on the border leaves a direction in which the likelihood never falls.
        let border = [[1.0, -2.0], [1.0, 0.0], [1.0, 0.0], [1.0, 2.0]];
        assert_eq!(trouble(&border, &[0.0, 0.0, 1.0, 1.0]), Trouble::Separated);
        let twice = [[1.0, 0.5, 1.0], [1.0, -0.5, -1.0], [1.0, 0.1, 0.2]];
        assert_eq!(trouble(&twice, &[0.2, 0.7, 0.4]), Trouble::Collinear(2));
    }

    #[test]
    fn a_bad_start_ends_in_the_same_optimum() {
        let features = [[1.0, -2.0], [1.0, -1.0], [1.0, 1.0], [1.0, 2.0], [1.0, 9.0]];
        let (labels, weights) = ([0.0, 1.0, 0.4, 1.0, 0.3], [1.0, 2.0, 1.0, 0.5, 1.0]);
        for penalty in [0.0, 0.3] {
            let logistic = Logistic {
                features: &features,
                labels: &labels,
                weights: &weights,
                used: [true; 2],
                penalty,
            };
            let near = logistic.fit(SVector::zeros()).unwrap();
            let far = logistic.fit(SVector::from([6.0, -3.0])).unwrap();
            assert!((near - far).amax() < 1e-9, "{near} and {far}");
        }
    }
}
