//! Counters of the gateway, as Prometheus text.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use midplane_model::ErrorCode;

/// Counters are independent of each other, so relaxed order is enough.
pub(crate) struct Metrics {
    calls: AtomicU64,
    refused: AtomicU64,
    /// By position in [`ErrorCode::ALL`].
    errors: Vec<AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let errors = ErrorCode::ALL.iter().map(|_| AtomicU64::new(0)).collect();
        Self { calls: AtomicU64::new(0), refused: AtomicU64::new(0), errors }
    }
}

impl Metrics {
    pub(crate) fn call(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    /// A request without a valid credential.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn error(&self, code: ErrorCode) {
        let known = ErrorCode::ALL.iter().zip(&self.errors).find(|(known, _)| **known == code);
        if let Some((_, counter)) = known {
            counter.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn render(&self, connections: usize) -> String {
        let mut text = format!(
            "# TYPE midplane_connections gauge\nmidplane_connections {connections}\n\
             # TYPE midplane_calls_total counter\nmidplane_calls_total {}\n\
             # TYPE midplane_unauthenticated_total counter\nmidplane_unauthenticated_total {}\n\
             # TYPE midplane_errors_total counter\n",
            self.calls.load(Relaxed),
            self.refused.load(Relaxed),
        );
        for (code, counter) in ErrorCode::ALL.iter().zip(&self.errors) {
            let _ = writeln!(text, "midplane_errors_total{{code=\"{}\"}} {}", code.as_str(), counter.load(Relaxed));
        }
        text
    }
}
