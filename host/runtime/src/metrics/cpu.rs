//! Processor time of a plugin, by the clock of the thread around each poll of its task.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use rustix::time::{ClockId, clock_gettime};

use crate::slot::Slot;

/// Runs a plugin's task and counts its processor time. A guest yields at every epoch, so the figure is never older than one.
pub async fn metered<T>(slot: Arc<Slot>, task: impl Future<Output = T>) -> T {
    let mut task = pin!(task);
    std::future::poll_fn(|context| poll(&slot, task.as_mut(), context)).await
}

fn poll<T>(slot: &Slot, task: Pin<&mut impl Future<Output = T>>, context: &mut Context<'_>) -> Poll<T> {
    let begin = thread_ns();
    let polled = task.poll(context);
    slot.metrics.cpu_ns.add(thread_ns().saturating_sub(begin));
    polled
}

/// Processor time of this thread. Unlike the wall clock it stands still while the system gives the core to others.
fn thread_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or_default()
}
