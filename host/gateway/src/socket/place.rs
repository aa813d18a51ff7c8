//! How far the client of a subscription is, and what of a connection's subscriptions outlives it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use midplane_broker::{Delivery, OnGap, OnOverflow, Since, SubscribeOptions, SubscribeReport};
use midplane_model::{Pattern, PeerId, Position, Positions};

/// What a client asked for, without the place.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub patterns: Vec<Pattern>,
    pub on_gap: OnGap,
    pub on_overflow: OnOverflow,
    pub echo: bool,
}

impl Wish {
    /// `voice`: whose events an `echo: false` leaves out.
    pub fn options(&self, since: Since, voice: PeerId) -> SubscribeOptions {
        SubscribeOptions {
            patterns: self.patterns.clone(),
            since,
            on_gap: self.on_gap,
            on_overflow: self.on_overflow,
            except: (!self.echo).then_some(voice),
        }
    }
}

/// How far a subscription is. Shared by the one that delivers and the one that confirms.
#[derive(Debug, Clone)]
pub(crate) struct Reach(Arc<Mutex<Reached>>);

#[derive(Debug, Clone, Default)]
struct Reached {
    /// `n` of the last event that was queued for the socket.
    n: u64,
    /// What was queued.
    queued: Positions,
    /// What the client has certainly received.
    confirmed: Positions,
    /// How often the client has asked to go on elsewhere: what was asked to be confirmed before says nothing then.
    moves: u64,
}

/// What is to be confirmed.
pub(crate) struct Question {
    reach: Reach,
    moves: u64,
    positions: Positions,
}

impl Question {
    /// The client has received everything up to these positions.
    pub fn confirm(self) {
        let mut reached = self.reach.lock();
        if reached.moves == self.moves {
            reached.confirmed.extend(self.positions);
        }
    }
}

impl Reach {
    /// A subscription begins, or goes on elsewhere: its client has nothing to confirm before that.
    pub fn begin(n: u64, report: &SubscribeReport) -> Self {
        let positions = starts(report).collect::<Positions>();
        Self(Arc::new(Mutex::new(Reached { n, queued: positions.clone(), confirmed: positions, moves: 0 })))
    }

    /// The client asked to go on elsewhere, so that is where it is.
    pub fn moved(&self, report: &SubscribeReport) {
        let mut reached = self.lock();
        reached.moves += 1;
        for (stream, position) in starts(report) {
            reached.queued.insert(stream.clone(), position.clone());
            reached.confirmed.insert(stream, position);
        }
    }

    /// A delivery has been queued for the socket.
    pub fn queued(&self, delivery: &Delivered) {
        let mut reached = self.lock();
        reached.n = delivery.n.unwrap_or(reached.n);
        reached.queued.insert(delivery.stream.clone(), delivery.position.clone());
    }

    pub fn n(&self) -> u64 {
        self.lock().n
    }

    pub fn question(&self) -> Question {
        let reached = self.lock();
        Question { reach: self.clone(), moves: reached.moves, positions: reached.queued.clone() }
    }

    fn confirmed(&self) -> Positions {
        self.lock().confirmed.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Reached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn starts(report: &SubscribeReport) -> impl Iterator<Item = (Arc<str>, Position)> + '_ {
    report.streams.iter().map(|(stream, report)| {
        let position = Position { epoch: report.epoch.clone(), seq: report.from.saturating_sub(1) };
        (stream.clone(), position)
    })
}

/// Where a subscription is after a delivery.
pub(crate) struct Delivered {
    n: Option<u64>,
    stream: Arc<str>,
    position: Position,
}

impl Delivered {
    /// None for the end of a subscription.
    pub fn of(delivery: &Delivery, n: Option<u64>) -> Option<Self> {
        let (stream, epoch, seq) = match delivery {
            Delivery::Event { event, .. } => (&event.stream, &event.epoch, event.seq),
            Delivery::Cursor { stream, epoch, seq } => (stream, epoch, *seq),
            Delivery::Gap { stream, epoch, resume_at, .. } => (stream, epoch, resume_at.saturating_sub(1)),
            Delivery::Closed => return None,
        };
        Some(Self { n, stream: stream.clone(), position: Position { epoch: epoch.clone(), seq } })
    }
}

/// A subscription whose connection has ended.
#[derive(Debug)]
pub(crate) struct Kept {
    pub number: u64,
    pub wish: Wish,
    pub n: u64,
    pub positions: Positions,
}

impl Kept {
    pub fn new(number: u64, wish: Wish, reach: &Reach) -> Self {
        Self { number, wish, n: reach.n(), positions: reach.confirmed() }
    }
}

/// What of a connection's subscriptions outlives it: wishes and positions, no event.
#[derive(Debug, Default)]
pub(crate) struct Away {
    /// The number that was given last.
    pub last: u64,
    pub subscriptions: Vec<Kept>,
}

impl Away {
    pub fn len(&self) -> usize {
        self.subscriptions.len()
    }
}
