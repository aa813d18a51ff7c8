//! The clock of epochs: a thread that makes guests yield.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// How often guests are made to yield. A spinning guest delays other work on its thread by at most this.
const EPOCH: Duration = Duration::from_millis(5);

/// Dropping it stops and joins the thread.
pub struct Clock {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    /// Advances the epochs of all these engines, until it is dropped.
    pub fn start(engines: [wasmtime::Engine; 2]) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        // A thread of its own: an async timer would stand still exactly when guests keep the executor busy.
        let run = move || {
            while !stopping.load(Ordering::Relaxed) {
                std::thread::park_timeout(EPOCH);
                engines.iter().for_each(wasmtime::Engine::increment_epoch);
            }
        };
        let thread = std::thread::Builder::new().name("epochs".into()).spawn(run)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            _ = thread.join();
        }
    }
}
