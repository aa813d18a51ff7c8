//! The thread of a pump: waits for all its terminals at once and serves them by turns.

use std::{
    collections::HashMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Events, Poll};

use super::{
    super::state::READ_BYTES,
    lanes::Lanes,
    post::{ALARM, Post},
    seat::{After, Seat},
};

/// Turns of the slow lane before the kernel is asked again who else has something: a tenth of a millisecond.
const SLOW_TURNS: usize = 4;
/// Events taken from the kernel at once; the rest comes with the next question.
const EVENTS: usize = 256;

pub(super) struct Thread {
    poll: Poll,
    post: Arc<Post>,
    seats: HashMap<usize, Seat>,
    lanes: Lanes,
    buffer: Vec<u8>,
}

impl Thread {
    pub(super) fn new() -> io::Result<(Arc<Post>, Self)> {
        let poll = Poll::new()?;
        let post = Post::new(poll.registry().try_clone()?)?;
        let (seats, lanes, buffer) = (HashMap::new(), Lanes::default(), vec![0; READ_BYTES]);
        Ok((Arc::clone(&post), Self { poll, post, seats, lanes, buffer }))
    }

    /// Until it is told to stop.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let timeout = self.timeout();
            // An interrupted or failed wait only means to look again.
            if self.poll.poll(&mut events, timeout).is_err() {
                events.clear();
            }
            let told = self.post.take();
            if told.stop {
                return;
            }
            self.seats.extend(told.joining.into_iter().map(|seat| (seat.key, seat)));
            for event in events.iter().filter(|event| event.token() != ALARM) {
                if let Some(seat) = self.seats.get_mut(&event.token().0) {
                    seat.notice(event);
                    self.lanes.line_up(seat);
                }
            }
            for key in told.called.iter().map(|call| call.key).chain(self.due()) {
                if let Some(seat) = self.seats.get_mut(&key) {
                    self.lanes.call(seat);
                }
            }
            self.serve();
        }
    }

    /// How long nothing is to be done, if nothing happens.
    fn timeout(&self) -> Option<Duration> {
        if !self.lanes.are_empty() {
            return Some(Duration::ZERO);
        }
        let next = self.seats.values().filter_map(|seat| seat.again_at).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Those that are to be looked at by now.
    fn due(&self) -> Vec<usize> {
        let now = Instant::now();
        self.seats.values().filter(|seat| seat.again_at.is_some_and(|at| at <= now)).map(|seat| seat.key).collect()
    }

    /// All of the quick lane, then some of the slow one.
    fn serve(&mut self) {
        for _ in 0..self.lanes.quick.len() {
            let first = self.lanes.quick.pop_front();
            self.serve_one(first);
        }
        for _ in 0..SLOW_TURNS {
            let first = self.lanes.slow.pop_front();
            self.serve_one(first);
        }
    }

    fn serve_one(&mut self, key: Option<usize>) {
        let Some(seat) = key.and_then(|key| self.seats.get_mut(&key)) else { return };
        seat.lane = None;
        // Its state is consistent after every statement, and the other terminals have done nothing.
        let turn = catch_unwind(AssertUnwindSafe(|| seat.turn(&mut self.buffer)));
        let after = turn.unwrap_or_else(|_| {
            tracing::error!("a turn of a terminal failed; some of its output may be missing");
            After::Rest
        });
        match after {
            After::More => self.lanes.line_up(seat),
            After::Rest => {}
            After::Complete => {
                let key = seat.key;
                if let Some(seat) = self.seats.remove(&key) {
                    self.post.leave(&seat.pty);
                    seat.complete();
                }
            }
        }
    }
}
