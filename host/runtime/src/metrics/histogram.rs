//! How long calls take, in fixed buckets.

use std::time::Duration;

use super::Counter;

/// Upper ends of the buckets in microseconds: from what a trivial call takes to the longest default deadline. A last one has none.
pub const BOUNDS_US: [u64; 18] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000,
];

pub struct Histogram {
    /// Each sample is in the first bucket that it fits into.
    buckets: [Counter; BOUNDS_US.len() + 1],
    sum_ns: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| Counter::default()), sum_ns: Counter::default() }
    }
}

impl Histogram {
    pub fn observe(&self, sample: Duration) {
        let index = BOUNDS_US.partition_point(|bound| Duration::from_micros(*bound) < sample);
        self.buckets[index].add(1);
        self.sum_ns.add(u64::try_from(sample.as_nanos()).unwrap_or(u64::MAX));
    }

    pub fn sum_ns(&self) -> u64 {
        self.sum_ns.get()
    }

    /// How many samples are at most as large as each bound; the last figure counts all.
    pub fn cumulative(&self) -> [u64; BOUNDS_US.len() + 1] {
        let mut total = 0;
        std::array::from_fn(|index| {
            total += self.buckets[index].get();
            total
        })
    }
}

/// The bound below which this part of the samples lies; none when that is the bucket without one, or nothing was counted.
pub fn quantile_us(cumulative: &[u64; BOUNDS_US.len() + 1], part: f64) -> Option<u64> {
    let all = cumulative[BOUNDS_US.len()];
    let wanted = ((all as f64 * part).ceil() as u64).max(1);
    let index = cumulative.iter().position(|count| *count >= wanted)?;
    BOUNDS_US.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_counts_up_to_its_own_bound_and_beyond() {
        let histogram = Histogram::default();
        for us in [50, 51, 999, 1_000, 60_000_000] {
            histogram.observe(Duration::from_micros(us));
        }
        let cumulative = histogram.cumulative();
        assert_eq!(cumulative[..5], [1, 2, 2, 2, 4]);
        assert_eq!((cumulative[BOUNDS_US.len() - 1], cumulative[BOUNDS_US.len()]), (4, 5));
        assert_eq!(histogram.sum_ns(), 60_002_100_000);
        assert_eq!(quantile_us(&cumulative, 0.5), Some(1_000));
        assert_eq!(quantile_us(&cumulative, 0.99), None);
    }

    #[test]
    fn nothing_counted_has_no_quantile() {
        assert_eq!(quantile_us(&Histogram::default().cumulative(), 0.5), None);
    }
}
