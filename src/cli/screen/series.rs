//! A number over time, as a line of small bars.

use std::collections::VecDeque;

/// Points of a course that are kept: a line of them never takes more room.
pub(super) const MOST: usize = 48;

/// Seconds that a point stands for, at least.
const BUCKET: f64 = 0.5;

/// The course of a number: means of what came, over at least half a second each.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    points: VecDeque<f64>,
    since: f64,
    sum: f64,
    count: f64,
    /// Where a total stood when this point began.
    total: Option<f64>,
}

impl Series {
    /// Takes a number as it is now.
    pub(super) fn take(&mut self, now: f64, value: f64) {
        self.sum += value;
        self.count += 1.0;
        if now - self.since >= BUCKET {
            self.keep(self.sum / self.count);
            (self.since, self.sum, self.count) = (now, 0.0, 0.0);
        }
    }

    /// Takes a total as it is now: its course is how fast it grows.
    pub(super) fn take_total(&mut self, now: f64, total: f64) {
        match self.total {
            None => (self.since, self.total) = (now, Some(total)),
            Some(before) if now - self.since >= BUCKET => {
                self.keep((total - before).max(0.0) / (now - self.since));
                (self.since, self.total) = (now, Some(total));
            }
            Some(_) => {}
        }
    }

    fn keep(&mut self, point: f64) {
        if self.points.len() == MOST {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }

    /// The mean of the last few points.
    #[expect(clippy::cast_precision_loss, reason = "a few points")]
    pub(super) fn of_late(&self) -> Option<f64> {
        const LATE: usize = 4;
        let late = self.points.iter().rev().take(LATE);
        let count = late.len();
        (count > 0).then(|| late.sum::<f64>() / count as f64)
    }

    /// How many points there are to draw.
    pub(super) fn len(&self) -> usize {
        self.points.len()
    }

    /// Draws the last points in so many columns: a rate from nothing up, another number from its least value to its
    /// largest.
    pub(super) fn drawn(&self, columns: usize) -> String {
        let shown: Vec<f64> =
            self.points.iter().skip(self.points.len().saturating_sub(columns)).copied().collect();
        let least = if self.total.is_some() { 0.0 } else { min(&shown) };
        bars(&shown, least, max(&shown))
    }
}

fn min(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn max(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// A bar for each value, one of eight heights; where all are the same, but for less than one in a hundred, half of that.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "one of eight")]
fn bars(values: &[f64], least: f64, most: f64) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let range = most - least;
    let flat = range.is_nan() || range <= 0.01 * most.abs().max(least.abs());
    let height = |value: &f64| match (value - least) / range {
        _ if flat => HEIGHTS[3],
        share if share.is_finite() => HEIGHTS[((share * 8.0) as usize).min(7)],
        _ => ' ',
    };
    values.iter().map(height).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_is_drawn_from_its_least_value_to_its_largest() {
        let mut series = Series::default();
        for step in 0..8 {
            series.take(f64::from(step), f64::from(step));
        }
        // What comes within half a second is one point; the first comes before its half second is over.
        assert_eq!(series.drawn(30), "▁▂▄▅▆▇█");
        assert_eq!(series.drawn(3), "▁▅█", "the last ones");
        assert_eq!(Series::default().drawn(8), "");
    }

    #[test]
    fn a_number_that_stays_is_a_flat_line_and_one_that_is_none_a_gap() {
        assert_eq!(bars(&[2.0; 3], 2.0, 2.0), "▄▄▄");
        assert_eq!(bars(&[0.0; 3], 0.0, 0.0), "▄▄▄");
        assert_eq!(bars(&[3.01, 3.0, 3.02], 3.0, 3.02), "▄▄▄", "noise is no course");
        assert_eq!(bars(&[0.0, f64::NAN, 1.0], 0.0, 1.0), "▁ █");
        assert_eq!(bars(&[f64::INFINITY], f64::INFINITY, f64::INFINITY), "▄");
    }

    #[test]
    fn many_numbers_in_a_second_are_a_few_points() {
        let mut series = Series::default();
        for at in 0..1000 {
            series.take(f64::from(at) / 100.0, f64::from(at % 2));
        }
        assert_eq!(series.len(), 19);
        assert!((series.of_late().unwrap() - 0.5).abs() < 0.02);
    }

    #[test]
    fn the_course_of_a_total_is_its_rate_from_nothing_up() {
        let mut series = Series::default();
        for at in 0..=40 {
            let now = f64::from(at) / 10.0;
            series
                .take_total(now, if now < 2.0 { 100.0 * now } else { 200.0 + 200.0 * (now - 2.0) });
        }
        assert_eq!(series.drawn(10), "▅▅▅▅████");
        assert!((series.of_late().unwrap() - 200.0).abs() < 1e-6);
    }
}
