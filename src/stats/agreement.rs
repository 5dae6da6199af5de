//! Two raters of the same things: how often they agree, and how much of that is beyond chance.

use super::bootstrap::Clusters;
use super::error::Error;

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
    /// Where there is no pair, or a category is not one of them.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn agreement(pairs: &[(usize, usize)], categories: usize) -> Result<Agreement, Error> {
        let clusters = Clusters::rows(pairs.len());
        Ok(Ratings::new(pairs.to_vec(), categories, clusters)?.agreement())
    }

    #[test]
    fn kappa_is_that_of_cohens_own_table() {
        // Two raters of 50 grant proposals: both yes 20, both no 15, 5 and 10 apart.
        let agreement = Agreement::of(vec![vec![20.0, 5.0], vec![10.0, 15.0]]);
        assert!((agreement.share().unwrap() - 0.7).abs() < 1e-12);
        assert!((agreement.kappa().unwrap() - 0.4).abs() < 1e-12);
    }

    #[test]
    fn one_category_says_nothing_beyond_chance() {
        assert_eq!(agreement(&[(1, 1), (1, 1)], 2).unwrap().kappa(), None);
        assert_eq!(agreement(&[], 2), Err(Error::NoRows));
        let error = agreement(&[(0, 0), (0, 2)], 2).unwrap_err();
        assert_eq!(error.to_string(), "row 1: category 2 is not one of 2");
    }
}
