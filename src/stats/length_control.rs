//! The length-controlled win rate of AlpacaEval 2 (Dubois et al. 2024): what the win rate would be if
//! both answers were equally long.
//!
//! A logistic model says how likely the model's answer i is preferred:
//! `σ(φ·tanh(z_i) + ψ·d_i + θ)`, with z the difference of lengths, baseline minus model, in units of its
//! standard deviation, and d the difficulty of the instruction. The win rate is then read off with the
//! difference of lengths set to 0.
//!
//! Without difficulties, which exist for AlpacaEval's own prompts alone, ψ·d falls away: the general
//! form, for any prompts.

use std::collections::BTreeSet;

use nalgebra::SVector;

use super::bootstrap::Clusters;
use super::interval::{is_nothing, sigmoid, student_interval, wilson};
use super::logistic::{Logistic, Trouble};
use super::{Bootstrap, Error, Interval, Method, Resampled};

/// Games of one model against a baseline, with what the model of length control needs.
#[derive(Debug, Clone, PartialEq)]
pub struct LengthControl {
    /// How far the model is preferred, in `[0, 1]`.
    pub preferences: Vec<f64>,
    /// Length of the baseline's answer minus that of the model's, in characters.
    pub differences: Vec<f64>,
    /// Each prompt's difficulty, in log-odds; `None` leaves the term out.
    pub difficulties: Option<Vec<f64>>,
    /// How much each game counts, at least 0.
    pub weights: Vec<f64>,
    /// Which games belong together.
    pub clusters: Clusters,
    /// Further rows that the model has to explain: a model told to answer at other lengths. They pin φ
    /// and ψ down and say nothing of θ.
    pub gamed: Vec<Gamed>,
    /// C of the L1 penalty `|φ| + |ψ| + |θ| + C·Σ w·CE`, above 0; `None` for no penalty.
    pub inverse_penalty: Option<f64>,
}

/// A row of a model that was told to be verbose, or concise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gamed {
    /// How far it is preferred, in `[0, 1]`.
    pub preference: f64,
    /// Its difference of lengths, in units of its own standard deviation.
    pub length: f64,
    /// The prompt's difficulty.
    pub difficulty: f64,
    /// How much the row counts; 0.1 upstream.
    pub weight: f64,
}

/// The fitted model; a term that is not in it is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LengthModel {
    /// φ, of the difference of lengths.
    pub length: f64,
    /// ψ, of the difficulty.
    pub difficulty: f64,
    /// θ, how good the model is at equal lengths, in log-odds.
    pub model: f64,
}

impl LengthModel {
    /// Predicts the win rate at equal lengths over prompts of these difficulties.
    #[must_use]
    pub fn win_rate(&self, difficulties: &[f64]) -> f64 {
        let sum: f64 = difficulties.iter().map(|d| self.at(*d)).sum();
        sum / difficulties.len() as f64
    }

    fn coefficients(&self) -> SVector<f64, 3> {
        SVector::from([self.model, self.length, self.difficulty])
    }

    /// Predicts how far the model is preferred at equal lengths on one prompt.
    #[must_use]
    pub fn at(&self, difficulty: f64) -> f64 {
        sigmoid(self.model + self.difficulty * difficulty)
    }
}

/// The terms, in the order of a row's features. Of terms that say the same, the last is blamed.
const TERMS: [&str; 3] = ["model", "length", "difficulty"];

/// What one fit sees: the rows of the games that count, then the gamed ones.
struct Rows {
    features: Vec<[f64; 3]>,
    labels: Vec<f64>,
    weights: Vec<f64>,
}

/// A fit, and where it came from.
struct Fitted {
    model: LengthModel,
    rows: Rows,
    used: [bool; 3],
}

impl LengthControl {
    /// Takes games without difficulties, gamed rows, weights or penalty: the general form.
    #[must_use]
    pub fn new(preferences: Vec<f64>, differences: Vec<f64>, clusters: Clusters) -> Self {
        let weights = vec![1.0; preferences.len()];
        let (difficulties, gamed, inverse_penalty) = (None, Vec::new(), None);
        Self { preferences, differences, difficulties, weights, clusters, gamed, inverse_penalty }
    }

    /// Fits the model.
    ///
    /// # Errors
    /// For invalid rows, and where the optimum does not exist: every win can be told from every
    /// loss ([`Error::Separated`]), or a term is a combination of others ([`Error::Collinear`]).
    pub fn fit(&self) -> Result<LengthModel, Error> {
        self.check()?;
        Ok(self.fit_on(&self.clusters.once(), None)?.model)
    }

    /// The win rate at equal lengths, in `[0, 1]`.
    ///
    /// # Errors
    /// As [`LengthControl::fit`].
    pub fn win_rate(&self) -> Result<f64, Error> {
        let model = self.fit()?;
        Ok(self.predict(&model, &self.clusters.once()))
    }

    /// Fits anew on every resample of the clusters, the standard deviation of the lengths included,
    /// and without each cluster. Gamed rows stay as they are: they are no part of the sample.
    ///
    /// # Errors
    /// As [`LengthControl::fit`].
    pub fn resampled(&self, bootstrap: &Bootstrap) -> Result<Resampled, Error> {
        let start = self.fit()?;
        Ok(bootstrap.run(&self.clusters, |counts| vec![self.rate_on(counts, start)]).remove(0))
    }

    /// The same without leaving clusters out: enough for percentiles and a standard error.
    ///
    /// # Errors
    /// As [`LengthControl::fit`].
    pub fn drawn(&self, bootstrap: &Bootstrap) -> Result<Resampled, Error> {
        let start = self.fit()?;
        Ok(bootstrap.draw(&self.clusters, |counts| vec![self.rate_on(counts, start)]).remove(0))
    }

    /// The win rate at equal lengths on a resample; NaN where it does not exist.
    fn rate_on(&self, counts: &[f64], start: LengthModel) -> f64 {
        let fitted = self.fit_on(counts, Some(start));
        fitted.map_or(f64::NAN, |fitted| self.predict(&fitted.model, counts))
    }

    /// The win rate's standard error without a bootstrap: the sandwich over clusters, with C/(C − 1),
    /// through the derivative of the prediction (the spread of difficulties included). It takes the
    /// standard deviation of the lengths for known. `None` with a penalty, or below two clusters.
    ///
    /// # Errors
    /// As [`LengthControl::fit`].
    pub fn standard_error(&self) -> Result<Option<f64>, Error> {
        self.check()?;
        let counts = self.clusters.once();
        let Fitted { model, rows, used } = self.fit_on(&counts, None)?;
        let clusters = self.units();
        if self.inverse_penalty.is_some() || clusters < 2.0 {
            return Ok(None);
        }
        let (rate, total) = (self.predict(&model, &counts), self.weights.iter().sum::<f64>());
        let mut slope = SVector::<f64, 3>::zeros();
        let mut moved = vec![0.0; self.clusters.count()];
        for (row, cluster) in self.clusters.of_row().iter().enumerate() {
            let (difficulty, weight) = (self.difficulty(row), self.weights[row] / total);
            let predicted = model.at(difficulty);
            let steep = weight * predicted * (1.0 - predicted);
            slope += SVector::from([steep, 0.0, steep * difficulty]);
            moved[*cluster] += weight * (predicted - rate);
        }
        let (logistic, at) = (rows.logistic(used, 0.0), model.coefficients());
        let Some(inverse) = logistic.inverse_information(&at) else { return Ok(None) };
        let along = inverse * slope;
        let counted = self.clusters.of_row().iter().zip(&self.weights).filter(|(_, w)| **w > 0.0);
        for (row, (cluster, _)) in counted.enumerate() {
            moved[*cluster] += logistic.score(&at, row).dot(&along);
        }
        let squares: f64 = moved.iter().map(|moved| moved * moved).sum();
        Ok(Some((squares * clusters / (clusters - 1.0)).sqrt()))
    }

    /// The win rate's interval: Student's t over clusters around its log-odds. `None` with a penalty:
    /// what it does to the spread only a bootstrap tells.
    ///
    /// # Errors
    /// As [`LengthControl::fit`].
    pub fn interval(&self, level: f64) -> Result<Option<(Interval, Method)>, Error> {
        if self.inverse_penalty.is_some() {
            return Ok(None);
        }
        let (rate, error) = (self.win_rate()?, self.standard_error()?);
        let clusters = self.units();
        let spread = rate * (1.0 - rate);
        let error = error.filter(|error| !is_nothing(*error, rate) && spread > 0.0);
        Ok(Some(error.map_or_else(
            || (wilson(rate, clusters, level), Method::WilsonForNoSpread),
            |error| {
                let odds = (rate / (1.0 - rate)).ln();
                let interval = student_interval(odds, error / spread, clusters - 1.0, level);
                (interval.map(sigmoid), Method::Logit)
            },
        )))
    }

    /// Clusters with a game that counts: the independent units.
    fn units(&self) -> f64 {
        let rows = self.clusters.of_row().iter().zip(&self.weights);
        let counted = rows.filter(|(_, weight)| **weight > 0.0).map(|(cluster, _)| *cluster);
        counted.collect::<BTreeSet<usize>>().len() as f64
    }

    /// By how much another model's win rate at equal lengths is higher, both fitted on the same
    /// resamples of the prompts: clusters have to be numbered together, as [`Clusters::together`] does.
    ///
    /// # Errors
    /// As [`LengthControl::fit`], and where the clusters differ in number.
    pub fn difference(&self, other: &Self, bootstrap: &Bootstrap) -> Result<Resampled, Error> {
        Error::check_lengths(self.clusters.count(), other.clusters.count())?;
        let starts = (self.fit()?, other.fit()?);
        let mut resampled = bootstrap.run(&self.clusters, |counts| {
            vec![other.rate_on(counts, starts.1) - self.rate_on(counts, starts.0)]
        });
        Ok(resampled.remove(0))
    }

    fn check(&self) -> Result<(), Error> {
        let rows = self.preferences.len();
        for length in [self.differences.len(), self.weights.len(), self.clusters.of_row().len()] {
            Error::check_lengths(rows, length)?;
        }
        if let Some(difficulties) = &self.difficulties {
            Error::check_lengths(rows, difficulties.len())?;
            Error::check_finite(difficulties)?;
        }
        Error::check_finite(&self.differences)?;
        Error::check_weights(&self.weights)?;
        if self.weights.iter().all(|weight| *weight == 0.0) {
            return Err(Error::NoRows);
        }
        Error::check_preferences(self.preferences.iter().map(|p| Some(*p)))
    }

    /// The standard deviation of the differences of lengths. Its n − 1 is that of clusters: upstream, a
    /// game is one; weights then may be on any scale, and a game may be cut in two.
    fn deviation(&self, counts: &[f64]) -> f64 {
        let of_row = self.clusters.of_row().iter().zip(&self.weights).zip(&self.differences);
        let weighted = of_row.map(|((cluster, weight), x)| (counts[*cluster] * weight, x));
        let add = |(total, sum), (weight, x): (f64, &f64)| (total + weight, sum + weight * x);
        let (total, sum) = weighted.clone().fold((0.0, 0.0), add);
        let mean = sum / total;
        let squares: f64 = weighted.map(|(weight, x)| weight * (x - mean) * (x - mean)).sum();
        let clusters: f64 = counts.iter().sum();
        let deviation = (squares / total * clusters / (clusters - 1.0)).sqrt();
        if is_nothing(deviation, mean) { 0.0 } else { deviation }
    }

    fn difficulty(&self, row: usize) -> f64 {
        self.difficulties.as_ref().map_or(0.0, |difficulties| difficulties[row])
    }

    fn predict(&self, model: &LengthModel, counts: &[f64]) -> f64 {
        if self.difficulties.is_none() {
            return model.at(0.0);
        }
        let (mut sum, mut total) = (0.0, 0.0);
        for (row, cluster) in self.clusters.of_row().iter().enumerate() {
            let weight = counts[*cluster] * self.weights[row];
            sum += weight * model.at(self.difficulty(row));
            total += weight;
        }
        sum / total
    }

    fn fit_on(&self, counts: &[f64], start: Option<LengthModel>) -> Result<Fitted, Error> {
        let of_row = self.clusters.of_row();
        let weight = |row: usize| counts[of_row[row]] * self.weights[row];
        let spread = self.deviation(counts);
        let has_length = spread > 0.0 || !self.gamed.is_empty();
        let used = [true, has_length, self.difficulties.is_some()];
        // All answers equally longer than the baseline's: there is nothing to tell length by.
        let unit = if spread > 0.0 { spread.recip() } else { 0.0 };
        let mut rows = Rows::with_capacity(of_row.len() + self.gamed.len());
        // About a third of the rows are in no resample.
        for row in (0..of_row.len()).filter(|row| weight(*row) > 0.0) {
            let length = tanh(self.differences[row] * unit);
            rows.push([1.0, length, self.difficulty(row)], self.preferences[row], weight(row));
        }
        for gamed in &self.gamed {
            rows.push([0.0, tanh(gamed.length), gamed.difficulty], gamed.preference, gamed.weight);
        }
        let penalty = self.inverse_penalty.map_or(0.0, f64::recip);
        let start = start.map_or_else(SVector::zeros, |model| model.coefficients());
        let fitted = rows.logistic(used, penalty).fit(start).map_err(|trouble| match trouble {
            Trouble::Collinear(term) => Error::Collinear { term: TERMS[term] },
            Trouble::Separated => Error::Separated,
        })?;
        let model = LengthModel { model: fitted[0], length: fitted[1], difficulty: fitted[2] };
        Ok(Fitted { model, rows, used })
    }
}

impl Rows {
    fn with_capacity(rows: usize) -> Self {
        Self {
            features: Vec::with_capacity(rows),
            labels: Vec::with_capacity(rows),
            weights: Vec::with_capacity(rows),
        }
    }

    fn push(&mut self, features: [f64; 3], label: f64, weight: f64) {
        self.features.push(features);
        self.labels.push(label);
        self.weights.push(weight);
    }

    fn logistic(&self, used: [bool; 3], penalty: f64) -> Logistic<'_, 3> {
        let Self { features, labels, weights } = self;
        Logistic { features, labels, weights, used, penalty }
    }
}

/// The hyperbolic tangent, to 1e-16 and not to the last digit of what is near 0, which is faster.
fn tanh(x: f64) -> f64 {
    2.0 * sigmoid(2.0 * x) - 1.0
}
