//! What others tell a pump's thread: that there is a new terminal, that one is to be looked at, that it should end.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Wake,
};

use mio::{Interest, Registry, Token, unix::SourceFd};

use super::{super::terminal::Terminal, seat::Seat};

/// Of the thread's own waker.
pub(super) const ALARM: Token = Token(0);

/// Bounded by the number of terminals: each joins once and has one call at a time.
pub(super) struct Post {
    registry: Registry,
    alarm: mio::Waker,
    told: Mutex<Told>,
    last_key: AtomicUsize,
    /// Terminals that have a call here and have not ended.
    seats: AtomicUsize,
}

#[derive(Default)]
pub(super) struct Told {
    pub(super) joining: Vec<Seat>,
    pub(super) called: Vec<Arc<Call>>,
    pub(super) stop: bool,
}

impl Post {
    pub(super) fn new(registry: Registry) -> io::Result<Arc<Self>> {
        let alarm = mio::Waker::new(&registry, ALARM)?;
        let (told, last_key, seats) = (Mutex::default(), AtomicUsize::new(ALARM.0), AtomicUsize::new(0));
        Ok(Arc::new(Self { registry, alarm, told, last_key, seats }))
    }

    pub(super) fn seats(&self) -> usize {
        self.seats.load(Ordering::Relaxed)
    }

    pub(super) fn new_call(self: &Arc<Self>) -> Arc<Call> {
        self.seats.fetch_add(1, Ordering::Relaxed);
        let key = self.last_key.fetch_add(1, Ordering::Relaxed) + 1;
        Arc::new(Call { post: Arc::clone(self), key, made: AtomicBool::new(false) })
    }

    pub(super) fn stop(&self) {
        self.tell(|told| told.stop = true);
    }

    /// Everything that was told since.
    pub(super) fn take(&self) -> Told {
        let told = std::mem::take(&mut *self.told());
        for call in &told.called {
            // Before anybody looks: what changes after the look calls again.
            call.made.store(false, Ordering::SeqCst);
        }
        told
    }

    pub(super) fn leave(&self, pty: &OwnedFd) {
        // It is closed anyway.
        let _ = self.registry.deregister(&mut SourceFd(&pty.as_raw_fd()));
    }

    fn tell(&self, say: impl FnOnce(&mut Told)) {
        say(&mut self.told());
        // Fails only where the queue is gone, and with it who would be woken.
        let _ = self.alarm.wake();
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls for the thread, to look at one terminal. Any number of calls before it looks are one.
pub(in super::super) struct Call {
    post: Arc<Post>,
    pub(super) key: usize,
    made: AtomicBool,
}

impl Call {
    /// Has the thread serve the terminal from now on, until its output is complete.
    ///
    /// # Errors
    /// When the machine watches no more descriptors.
    pub(in super::super) fn serve(self: &Arc<Self>, terminal: &Arc<Terminal>, pty: Arc<OwnedFd>) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        let fd = pty.as_raw_fd();
        // Locked until it has its seat, or its first event would come to nobody.
        let mut told = self.post.told();
        self.post.registry.register(&mut SourceFd(&fd), Token(self.key), interest)?;
        told.joining.push(Seat::new(self.key, Arc::clone(terminal), pty));
        drop(told);
        self.wake_by_ref();
        Ok(())
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.made.swap(true, Ordering::SeqCst) {
            self.post.tell(|told| told.called.push(Arc::clone(self)));
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.post.seats.fetch_sub(1, Ordering::Relaxed);
    }
}
