//! The figures as JSON, for `plugin.get`.

use serde_json::{Map, Value, json};

use super::histogram::{BOUNDS_US, quantile_us};
use crate::slot::Slot;

impl Slot {
    /// The member `metrics` of `plugin.get`.
    pub fn show_metrics(&self) -> Value {
        let metrics = &self.metrics;
        let errors: Map<String, Value> =
            metrics.errors().map(|(code, count)| (code.as_str().to_owned(), count.into())).collect();
        let cumulative = metrics.latency.cumulative();
        let [counts @ .., all] = &cumulative;
        let buckets = BOUNDS_US.iter().zip(counts).map(|(le_us, count)| json!({ "le_us": le_us, "count": count }));
        json!({
            "calls": metrics.calls.get(),
            "errors": errors,
            "traps": metrics.traps.get(),
            "latency": {
                "count": all,
                "sum_us": metrics.latency.sum_ns() / 1_000,
                // The bound of the bucket it lies in; null beyond the last one.
                "p50_us_max": quantile_us(&cumulative, 0.5),
                "p99_us_max": quantile_us(&cumulative, 0.99),
                "buckets": buckets.collect::<Vec<_>>(),
            },
            "queue": { "now": self.queued(), "highest": metrics.queue.highest() },
            "memory": { "now_bytes": metrics.memory.now(), "peak_bytes": metrics.memory.highest() },
            "guest_cpu_us": metrics.cpu_ns.get() / 1_000,
            "restarts": metrics.restarts.get(),
            "reloads": {
                "count": metrics.reloads.get(),
                "last_pause_us": metrics.pauses.last().as_micros() as u64,
                "longest_pause_us": metrics.pauses.longest().as_micros() as u64,
            },
            "events": metrics.events.get(),
            "events_refused": metrics.events_refused(),
            "log_lines_dropped": metrics.log_lines_dropped.get(),
            "storage": {
                "entries": metrics.stored().entries,
                "bytes": metrics.stored().bytes,
                "refused": metrics.storage_refused.get(),
            },
        })
    }
}
