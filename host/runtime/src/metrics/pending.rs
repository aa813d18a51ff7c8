//! One call on its way, counted once, whatever becomes of it.

use std::time::Instant;

use midplane_model::{Deadline, ErrorCode, Fault};

use super::Metrics;

/// Counts how the call ends. Dropped before that, it counts as given up by its caller.
pub struct Pending<'a> {
    metrics: &'a Metrics,
    deadline: Deadline,
    accepted: Option<Instant>,
    settled: bool,
}

impl Metrics {
    /// A call found the plugin; `deadline` is its caller's.
    pub fn call(&self, deadline: Deadline) -> Pending<'_> {
        self.calls.add(1);
        Pending { metrics: self, deadline, accepted: None, settled: false }
    }
}

impl Pending<'_> {
    /// The call has a place in the mailbox, as the `depth`th message there.
    pub fn accepted(&mut self, depth: usize) {
        self.accepted = Some(Instant::now());
        self.metrics.queue.set(depth as u64);
    }

    pub fn settle<T>(mut self, answer: &Result<T, Fault>) {
        self.close(answer.as_ref().err().map(|fault| fault.code));
    }

    fn close(&mut self, error: Option<ErrorCode>) {
        self.settled = true;
        if let Some(code) = error {
            self.metrics.errors[code as usize].add(1);
        }
        if let Some(accepted) = self.accepted {
            self.metrics.latency.observe(accepted.elapsed());
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.settled {
            // Whoever waits keeps the same deadline, and may notice first that it is over.
            let late = self.deadline.remaining().is_zero();
            self.close(Some(if late { ErrorCode::Timeout } else { ErrorCode::Cancelled }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn counted(metrics: &Metrics) -> (u64, Vec<(ErrorCode, u64)>, u64) {
        let all = metrics.latency.cumulative();
        (metrics.calls.get(), metrics.errors().collect(), all[all.len() - 1])
    }

    #[test]
    fn an_answer_and_a_fault_are_counted_once_and_a_refusal_has_no_latency() {
        let metrics = Metrics::default();
        let deadline = Deadline::after(Duration::from_secs(60));
        let mut call = metrics.call(deadline);
        call.accepted(1);
        call.settle(&Ok(()));
        metrics.call(deadline).settle::<()>(&Err(Fault::internal()));
        assert_eq!(counted(&metrics), (2, vec![(ErrorCode::Internal, 1)], 1));
    }

    #[test]
    fn a_call_that_is_given_up_is_cancelled_or_late() {
        let metrics = Metrics::default();
        let mut call = metrics.call(Deadline::after(Duration::from_secs(60)));
        call.accepted(1);
        drop(call);
        drop(metrics.call(Deadline::after(Duration::ZERO)));
        let expected = vec![(ErrorCode::Timeout, 1), (ErrorCode::Cancelled, 1)];
        assert_eq!(counted(&metrics), (2, expected, 1));
    }
}
