//! How a visit gets on: whether its bodies move, whether it has answered, whether it failed. Shared by the instance's task and
//! the bodies, which the server draws from wherever it likes.

use std::{
    sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
    time::Duration,
};

use tokio::time::Instant;

pub struct Pace {
    start: Instant,
    /// Milliseconds after `start` at which a body moved last.
    moved_ms: AtomicU64,
    answered: AtomicBool,
    failed: AtomicBool,
}

impl Pace {
    pub fn start() -> Self {
        let (answered, failed) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { start: Instant::now(), moved_ms: AtomicU64::new(0), answered, failed }
    }

    /// A piece of a body passed.
    pub fn moved(&self) {
        let ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(ms, Relaxed);
    }

    /// The head of the answer is out.
    pub fn answered(&self) {
        self.moved();
        self.answered.store(true, Release);
    }

    pub fn has_answered(&self) -> bool {
        self.answered.load(Acquire)
    }

    /// Said before the store is dropped: to the body, a store that goes away looks like a guest that has finished.
    pub fn fail(&self) {
        self.failed.store(true, Release);
    }

    pub fn has_failed(&self) -> bool {
        self.failed.load(Acquire)
    }

    /// Resolves when nothing moved for too long: `first` up to the head of the answer, `idle` from then on. Gives that limit.
    pub async fn overdue(&self, first: Duration, idle: Duration) -> Duration {
        loop {
            let limit = if self.has_answered() { idle } else { first };
            let due = self.start + Duration::from_millis(self.moved_ms.load(Relaxed)) + limit;
            if due <= Instant::now() {
                return limit;
            }
            // An answer may come meanwhile and change the limit: never sleep longer than the shorter one.
            tokio::time::sleep_until(due.min(Instant::now() + first.min(idle))).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(50);
    const IDLE: Duration = Duration::from_millis(200);

    #[tokio::test(start_paused = true)]
    async fn a_visit_is_overdue_at_the_first_limit_and_after_its_answer_at_the_idle_one() {
        let silent = Pace::start();
        assert_eq!(silent.overdue(FIRST, IDLE).await, FIRST);
        let answered = Pace::start();
        answered.answered();
        assert_eq!(answered.overdue(FIRST, IDLE).await, IDLE);
        assert_eq!(answered.start.elapsed(), IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_moves_puts_the_limit_off() {
        let pace = Pace::start();
        let moving = async {
            for _ in 0..10 {
                tokio::time::sleep(FIRST / 2).await;
                pace.moved();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = moving => {}
            _ = pace.overdue(FIRST, IDLE) => {}
        }
        assert_eq!(pace.start.elapsed(), FIRST * 6);
    }
}
