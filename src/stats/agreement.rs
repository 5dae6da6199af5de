//! Two raters of the same things: how often they agree, beyond chance or in rank.

use super::Error;

/// How two raters' categories fall together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// Counts, by the first rater's category and then the second's.
    counts: Vec<Vec<u64>>,
}

impl Agreement {
    /// Counts pairs of categories, each below `categories`.
    ///
    /// # Errors
    /// Where there is no pair, or a category is none.
    pub fn of(
        pairs: impl IntoIterator<Item = (usize, usize)>,
        categories: usize,
    ) -> Result<Self, Error> {
        let mut counts = vec![vec![0; categories]; categories];
        let mut any = false;
        for (row, (a, b)) in pairs.into_iter().enumerate() {
            let out = a.max(b);
            if out >= categories {
                return Err(Error::Category { row, found: out, categories });
            }
            counts[a][b] += 1;
            any = true;
        }
        if any { Ok(Self { counts }) } else { Err(Error::NoRows) }
    }

    fn total(&self) -> f64 {
        self.counts.iter().flatten().sum::<u64>() as f64
    }

    /// The share of pairs that are of one category, in `[0, 1]`.
    #[must_use]
    pub fn share(&self) -> f64 {
        let same: u64 = self.counts.iter().enumerate().map(|(at, row)| row[at]).sum();
        same as f64 / self.total()
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
        let rows: Vec<f64> = self.counts.iter().map(|row| row.iter().sum::<u64>() as f64).collect();
        let columns: Vec<f64> = (0..self.counts.len())
            .map(|b| self.counts.iter().map(|row| row[b]).sum::<u64>() as f64)
            .collect();
        let (mut found, mut chance) = (0.0, 0.0);
        for (a, row) in self.counts.iter().enumerate() {
            for (b, count) in row.iter().enumerate() {
                found += cost(a, b) * *count as f64;
                chance += cost(a, b) * rows[a] * columns[b] / total;
            }
        }
        (chance > 0.0).then(|| 1.0 - found / chance)
    }
}

/// Spearman's ρ: Pearson's correlation of the ranks, equal values sharing their mean rank. `None`
/// where one side has one value only.
///
/// # Errors
/// Where the sides differ in length, are empty, or hold what is not a number.
pub fn spearman(x: &[f64], y: &[f64]) -> Result<Option<f64>, Error> {
    check(x, y)?;
    Ok(pearson(&ranks(x), &ranks(y)))
}

/// Kendall's τ-b (1945), which allows for ties. `None` where one side has one value only.
///
/// # Errors
/// As [`spearman`].
pub fn kendall(x: &[f64], y: &[f64]) -> Result<Option<f64>, Error> {
    check(x, y)?;
    let (mut balance, mut untied_x, mut untied_y) = (0i64, 0u64, 0u64);
    for i in 0..x.len() {
        for j in 0..i {
            let (dx, dy) = (order(x[i], x[j]), order(y[i], y[j]));
            balance += dx * dy;
            untied_x += u64::from(dx != 0);
            untied_y += u64::from(dy != 0);
        }
    }
    let scale = (untied_x as f64).sqrt() * (untied_y as f64).sqrt();
    Ok((scale > 0.0).then(|| balance as f64 / scale))
}

fn order(a: f64, b: f64) -> i64 {
    i64::from(a > b) - i64::from(a < b)
}

fn check(x: &[f64], y: &[f64]) -> Result<(), Error> {
    if x.len() != y.len() {
        return Err(Error::Lengths { x: x.len(), y: y.len() });
    }
    if x.is_empty() {
        return Err(Error::NoRows);
    }
    match x.iter().zip(y).position(|(x, y)| !x.is_finite() || !y.is_finite()) {
        Some(row) => Err(Error::NotFinite { row }),
        None => Ok(()),
    }
}

/// Ranks from 1; equal values share the mean of theirs.
fn ranks(x: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|a, b| x[*a].total_cmp(&x[*b]));
    let mut ranks = vec![0.0; x.len()];
    let mut first = 0;
    for group in order.chunk_by(|a, b| order_of_equals(x[*a], x[*b])) {
        let mean = first as f64 + (group.len() + 1) as f64 / 2.0;
        for at in group {
            ranks[*at] = mean;
        }
        first += group.len();
    }
    ranks
}

fn order_of_equals(a: f64, b: f64) -> bool {
    order(a, b) == 0
}

fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mx, my) = (mean(x), mean(y));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        xx += (x - mx) * (x - mx);
        yy += (y - my) * (y - my);
        xy += (x - mx) * (y - my);
    }
    (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Option<f64>, expected: f64) {
        assert!((found.unwrap() - expected).abs() < 1e-12, "{found:?} for {expected}");
    }

    #[test]
    fn kappa_is_that_of_cohens_own_table() {
        // Two raters of 50 grant proposals: both yes 20, both no 15, 5 and 10 apart.
        let pairs = [((0, 0), 20), ((0, 1), 5), ((1, 0), 10), ((1, 1), 15)];
        let each = pairs.into_iter().flat_map(|(pair, n)| std::iter::repeat_n(pair, n));
        let agreement = Agreement::of(each, 2).unwrap();
        close(Some(agreement.share()), 0.7);
        close(agreement.kappa(), 0.4);
    }

    #[test]
    fn weights_make_near_misses_cheaper() {
        // sklearn.metrics.cohen_kappa_score([0,1,2,2,1,0], [0,2,2,1,1,1], weights=...)
        let agreement = Agreement::of([(0, 0), (1, 2), (2, 2), (2, 1), (1, 1), (0, 1)], 3).unwrap();
        close(agreement.kappa(), 0.25);
        close(agreement.weighted_kappa(|a, b| a.abs_diff(b) as f64), 1.0 - 3.0 / (30.0 / 6.0));
    }

    #[test]
    fn one_category_says_nothing_beyond_chance() {
        assert_eq!(Agreement::of([(1, 1), (1, 1)], 2).unwrap().kappa(), None);
        assert!(matches!(Agreement::of([], 2), Err(Error::NoRows)));
        let error = Agreement::of([(0, 0), (0, 2)], 2).unwrap_err();
        assert_eq!(error.to_string(), "row 1: category 2 is not one of 2");
    }

    #[test]
    fn rank_correlations_allow_for_ties() {
        // scipy.stats.spearmanr and kendalltau of the same lists.
        let (x, y) = ([1.0, 2.0, 2.0, 3.0, 5.0], [2.0, 1.0, 4.0, 4.0, 5.0]);
        close(spearman(&x, &y).unwrap(), 0.763_157_894_736_842_1);
        close(kendall(&x, &y).unwrap(), 0.666_666_666_666_666_7);
        assert_eq!(spearman(&x, &[1.0; 5]).unwrap(), None);
        assert_eq!(kendall(&x, &[1.0; 5]).unwrap(), None);
        assert!(spearman(&[1.0], &[f64::NAN]).is_err());
        assert!(kendall(&[1.0], &[]).is_err());
    }
}
