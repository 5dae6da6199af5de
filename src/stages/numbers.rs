//! What a few scores come to.

/// The mean and the population variance of at least one number.
#[expect(clippy::cast_precision_loss, reason = "a response has few judgements")]
pub(super) fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n)
}
