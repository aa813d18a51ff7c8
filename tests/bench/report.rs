//! Figures and how they are printed.

use std::time::Duration;

#[derive(Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    pub fn of(samples: impl IntoIterator<Item = Duration>) -> Self {
        Self(samples.into_iter().collect())
    }

    pub fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// The sample below which this part of all lies; 1.0 is the largest.
    pub fn quantile(&self, part: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let index = ((sorted.len() as f64 - 1.0) * part).round() as usize;
        sorted.get(index).copied().unwrap_or_default()
    }
}

/// One row of the table.
pub fn line(what: &str, figure: Duration, against: &str, limit: Duration) {
    let ratio = figure.as_secs_f64() / limit.as_secs_f64().max(1e-9);
    println!("| {what} | {figure:.1?} | {against}: {limit:.1?} | {ratio:.1} |");
}

/// Median, p99 and the largest, each beside the same of another measurement.
pub fn spread(what: &str, figures: &Samples, against: &str, limits: &Samples) {
    for (name, part) in [("median", 0.5), ("p99", 0.99), ("largest", 1.0)] {
        line(&format!("{what}, {name}"), figures.quantile(part), against, limits.quantile(part));
    }
}

/// How much was done in a second, beside what something else did.
pub fn rate(what: &str, count: usize, took: Duration, against: &str, limit: Duration) {
    let a_second = |took: Duration| count as f64 / took.as_secs_f64().max(1e-9);
    let (figure, limit) = (a_second(took), a_second(limit));
    println!("| {what} | {figure:.0}/s | {against}: {limit:.0}/s | {:.2} |", figure / limit);
}
