//! Moves bytes between pseudo-terminals and their [`State`](super::state::State)s: few threads for all terminals, each with many of
//! them, both directions, no terminal waiting for another.
//!
//! A thread for each terminal was measured and given up: a hundred that print are a hundred threads against the few that serve
//! clients, and the host starves. One thread that is late makes programs wait instead, each at its own full pseudo-terminal.
//!
//! Reading is never held up by a client, except by lossless ones, for a bounded time and for their own terminal alone. Who goes first
//! is said in [`lanes`]; what is done for one terminal at a time, in [`seat`].

mod lanes;
mod post;
mod seat;
mod thread;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{Builder, JoinHandle, available_parallelism},
};

pub(super) use post::Call;
use post::Post;

/// Threads at most. One moves some 150 MB/s; processors beyond are left to the programs and to those who look on.
const THREADS_MAX: usize = 4;

/// The threads that move bytes: each begins when there are more terminals than threads, and all end with [`Pumps::end`].
pub(super) struct Pumps {
    threads_max: usize,
    threads: Mutex<Vec<Pump>>,
}

struct Pump {
    post: Arc<Post>,
    thread: JoinHandle<()>,
}

impl Pumps {
    pub(super) fn new() -> Self {
        // As many again are left to those who serve clients.
        let threads_max = available_parallelism().map_or(1, |processors| processors.get() / 2).clamp(1, THREADS_MAX);
        Self { threads_max, threads: Mutex::default() }
    }

    /// How a new terminal calls for its thread: the one with the fewest terminals.
    ///
    /// # Errors
    /// When the machine has no thread or descriptor left.
    pub(super) fn call(&self) -> io::Result<Arc<Call>> {
        let mut threads = self.threads();
        let idlest = threads.iter().map(|pump| &pump.post).min_by_key(|post| post.seats());
        match idlest.filter(|post| post.seats() == 0 || threads.len() == self.threads_max) {
            Some(post) => Ok(post.new_call()),
            None => {
                let (post, pump) = thread::Thread::new()?;
                let name = format!("terminals {}", threads.len() + 1);
                let thread = Builder::new().name(name).spawn(move || pump.run())?;
                let call = post.new_call();
                threads.push(Pump { post, thread });
                Ok(call)
            }
        }
    }

    /// Ends the threads, whatever they still have. Blocks until they are gone.
    pub(super) fn end(&self) {
        let threads = std::mem::take(&mut *self.threads());
        for Pump { post, thread } in threads {
            post.stop();
            if thread.join().is_err() {
                tracing::error!("a thread that moves the bytes of terminals panicked");
            }
        }
    }

    fn threads(&self) -> MutexGuard<'_, Vec<Pump>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pumps {
    /// Who has not called [`Pumps::end`] leaves threads that end by themselves.
    fn drop(&mut self) {
        self.threads().iter().for_each(|pump| pump.post.stop());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_spread_over_few_threads_and_all_of_them_end() {
        let pumps = Pumps { threads_max: 2, threads: Mutex::default() };
        let calls: Vec<_> = (0..5).map(|_| pumps.call().unwrap()).collect();
        let seats = |pumps: &Pumps| pumps.threads().iter().map(|pump| pump.post.seats()).collect::<Vec<_>>();
        assert_eq!(seats(&pumps), [3, 2]);
        // One that has lost all its terminals takes the next.
        drop(calls);
        let _call = pumps.call().unwrap();
        assert_eq!(seats(&pumps).iter().sum::<usize>(), 1);
        pumps.end();
        assert_eq!(pumps.threads().len(), 0);
    }
}
