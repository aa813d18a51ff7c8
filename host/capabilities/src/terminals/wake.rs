//! Wakes a thread out of `poll`.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
};

/// Wakes the holder of the [`Alarm`]; any number of wakes before it looks are one.
pub(super) struct Waker(UnixStream);

/// Readable once woken.
pub(super) struct Alarm(UnixStream);

/// A socket pair, because it is the one non-blocking pair of descriptors that every Unix makes in one step.
pub(super) fn pair() -> io::Result<(Waker, Alarm)> {
    let (waker, alarm) = UnixStream::pair()?;
    waker.set_nonblocking(true)?;
    alarm.set_nonblocking(true)?;
    Ok((Waker(waker), Alarm(alarm)))
}

impl Waker {
    pub(super) fn wake(&self) {
        // Full means that wakes are waiting; closed means that nobody is left to wake.
        let _ = (&self.0).write(&[1]);
    }
}

impl Alarm {
    pub(super) fn reset(&self) {
        let mut sink = [0; 64];
        while (&self.0).read(&mut sink).is_ok_and(|count| count == sink.len()) {}
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
