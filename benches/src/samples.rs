//! Statistics of times.

use std::time::Duration;

/// Two points of a distribution of times, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Percentiles {
    /// Half of the samples took no longer.
    pub(crate) p50: f64,
    /// 99 of 100 samples took no longer.
    pub(crate) p99: f64,
}

impl Percentiles {
    /// Sorts the samples; zero if there are none.
    pub(crate) fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        Self { p50: at(&samples, 50), p99: at(&samples, 99) }
    }
}

/// The smallest sample that is not less than `percent` of the samples.
fn at(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).map_or(0.0, |sample| sample.as_secs_f64() * 1e6)
}

/// Jobs per second.
pub(crate) fn rate(jobs: usize, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of jobs are far below 2^53")]
    let jobs = jobs as f64;
    jobs / took.as_secs_f64()
}

/// The middle one of an odd number of figures; zero if there are none.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// Rounds to three decimal places below 100 and to none above, which is the precision of the
/// measurement.
pub(crate) fn rounded(figure: f64) -> f64 {
    let scale = if figure < 100.0 { 1000.0 } else { 1.0 };
    (figure * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let samples = (1..=200).rev().map(Duration::from_micros).collect();
        assert_eq!(Percentiles::of(samples), Percentiles { p50: 100.0, p99: 198.0 });
    }

    #[test]
    fn median_is_the_middle_figure() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn single_sample_is_every_percentile() {
        let one = Percentiles::of(vec![Duration::from_micros(7)]);
        assert_eq!(one, Percentiles { p50: 7.0, p99: 7.0 });
    }
}
