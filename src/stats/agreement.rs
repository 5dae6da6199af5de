//! Two raters of the same things: how often they agree, and how much of that is beyond chance.

use super::Error;
use super::bootstrap::Clusters;

/// Two raters' categories of the same things, each of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ratings {
    pairs: Vec<(usize, usize)>,
    categories: usize,
    clusters: Clusters,
}

impl Ratings {
    /// Takes pairs of categories, each below `categories`.
    ///
    /// # Errors
    /// Where there is no pair, or a category is none.
    pub fn new(
        pairs: Vec<(usize, usize)>,
        categories: usize,
        clusters: Clusters,
    ) -> Result<Self, Error> {
        Error::check_lengths(pairs.len(), clusters.of_row().len())?;
        match pairs.iter().position(|(a, b)| *a.max(b) >= categories) {
            Some(row) => {
                let found = pairs[row].0.max(pairs[row].1);
                Err(Error::Category { row, found, categories })
            }
            None => Ok(Self { pairs, categories, clusters }),
        }
    }

    /// Which pairs belong together.
    #[must_use]
    pub const fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// How the categories fall together.
    #[must_use]
    pub fn agreement(&self) -> Agreement {
        self.agreement_of(&self.clusters.once())
    }

    /// The same, each pair counted as often as its cluster counts.
    #[must_use]
    pub fn agreement_of(&self, counts: &[f64]) -> Agreement {
        let mut table = vec![vec![0.0; self.categories]; self.categories];
        for ((a, b), cluster) in self.pairs.iter().zip(self.clusters.of_row()) {
            table[*a][*b] += counts[*cluster];
        }
        Agreement { table }
    }
}

/// How two raters' categories fall together.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    /// Weights, by the first rater's category and then the second's.
    table: Vec<Vec<f64>>,
}

impl Agreement {
    /// Takes a table of counts, by the first rater's category and then the second's.
    #[must_use]
    pub const fn of(table: Vec<Vec<f64>>) -> Self {
        Self { table }
    }

    /// Leaves out the things that either rater put in one category: ties, or what could not be read.
    #[must_use]
    pub fn without(mut self, category: usize) -> Self {
        for (a, row) in self.table.iter_mut().enumerate() {
            for (b, weight) in row.iter_mut().enumerate() {
                if a == category || b == category {
                    *weight = 0.0;
                }
            }
        }
        self
    }

    fn total(&self) -> f64 {
        self.table.iter().flatten().sum()
    }

    /// The share of pairs that are of one category, in `[0, 1]`; `None` where there is no pair.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let same: f64 = self.table.iter().enumerate().map(|(at, row)| row[at]).sum();
        (self.total() > 0.0).then(|| same / self.total())
    }

    /// Cohen's κ (1960): 1 for raters that always agree, 0 for what chance would give. `None` where
    /// both raters only ever use one and the same category.
    #[must_use]
    pub fn kappa(&self) -> Option<f64> {
        self.weighted_kappa(|a, b| if a == b { 0.0 } else { 1.0 })
    }

    /// Cohen's κ with a cost for each disagreement (1968): |a − b| for linear weights, (a − b)² for
    /// quadratic ones.
    #[must_use]
    pub fn weighted_kappa(&self, cost: impl Fn(usize, usize) -> f64) -> Option<f64> {
        let total = self.total();
        let rows: Vec<f64> = self.table.iter().map(|row| row.iter().sum()).collect();
        let columns: Vec<f64> =
            (0..self.table.len()).map(|b| self.table.iter().map(|row| row[b]).sum()).collect();
        let (mut found, mut chance) = (0.0, 0.0);
        for (a, row) in self.table.iter().enumerate() {
            for (b, weight) in row.iter().enumerate() {
                found += cost(a, b) * weight;
                chance += cost(a, b) * rows[a] * columns[b] / total;
            }
        }
        (chance > 0.0).then(|| 1.0 - found / chance)
    }
}
