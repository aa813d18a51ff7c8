//! What a reader takes from its backlog or from the store, at most one page a step. Called under the stream's lock.

use std::sync::Arc;

use midplane_model::{Event, Pattern};

use crate::{
    backlog::Backlog, limits::BrokerLimits, recovery::Loss, store::Store, subscribers::SubscriptionId,
    subscription::GapReason,
};

/// What a reader took in one step.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) events: Vec<Arc<Event>>,
    /// Whether `events` are known to match; a page of the store is not filtered yet.
    pub(crate) matched: bool,
    /// Everything up to here was taken, or never matched.
    pub(crate) position: u64,
    pub(crate) loss: Option<Loss>,
    /// Only the newest event per topic is wanted up to this `seq`.
    pub(crate) conflate_until: Option<u64>,
    /// Nothing is left to take; the reader will be woken.
    pub(crate) idle: bool,
}

/// A reader's place, as it presents it.
pub(crate) struct Reader<'a> {
    pub(crate) id: SubscriptionId,
    pub(crate) patterns: &'a [Pattern],
    pub(crate) position: u64,
    /// The position its client knows.
    pub(crate) told: u64,
    /// Read no further than this.
    pub(crate) until: u64,
}

/// Takes what is next. `None` when the reader was closed for being slow.
pub(crate) fn take(
    backlog: &mut Backlog,
    store: &Store,
    reader: &Reader<'_>,
    head: u64,
    limits: &BrokerLimits,
) -> Option<Taken> {
    Some(match backlog {
        Backlog::Closed => return None,
        Backlog::Ring { .. } => take_ring(backlog, reader, head),
        Backlog::Pending { .. } => take_pending(backlog, store, reader, head, limits),
        Backlog::Scanning { conflate: conflate @ true } => {
            *conflate = false;
            Taken { conflate_until: Some(head), ..Taken::nothing(reader.position) }
        }
        Backlog::Scanning { .. } => take_page(backlog, store, reader, head, limits),
    })
}

impl Taken {
    fn nothing(position: u64) -> Self {
        Self { events: Vec::new(), matched: true, position, loss: None, conflate_until: None, idle: false }
    }
}

fn take_ring(backlog: &mut Backlog, reader: &Reader<'_>, head: u64) -> Taken {
    let Backlog::Ring { events, bytes, dropped } = backlog else { return Taken::nothing(reader.position) };
    let loss = (*dropped > 0).then(|| Loss {
        after: reader.position,
        resume_at: events.front().map_or(head + 1, |event| event.seq),
        at_least: *dropped,
        reason: GapReason::SlowConsumer,
    });
    (*dropped, *bytes) = (0, 0);
    let events: Vec<_> = events.drain(..).collect();
    Taken { idle: events.is_empty() && loss.is_none(), events, loss, ..Taken::nothing(head) }
}

fn take_pending(backlog: &mut Backlog, store: &Store, reader: &Reader<'_>, head: u64, limits: &BrokerLimits) -> Taken {
    let Backlog::Pending { seqs, dropped } = backlog else { return Taken::nothing(reader.position) };
    let evicted = evicted(store, reader);
    // What is evicted is told by the loss; what is superseded has a newer value further on.
    while seqs.front().is_some_and(|&seq| seq <= store.highest_evicted()) {
        seqs.pop_front();
    }
    let loss = match (*dropped, evicted) {
        (0, evicted) => evicted,
        (dropped, evicted) => Some(Loss {
            after: reader.position,
            resume_at: seqs.front().map_or(head + 1, |&seq| seq),
            at_least: dropped.max(evicted.map_or(0, |loss| loss.at_least)),
            reason: GapReason::SlowConsumer,
        }),
    };
    *dropped = 0;
    let mut taken = Taken { loss, ..Taken::nothing(reader.position.max(store.highest_evicted())) };
    let mut bytes = 0;
    while let Some(seq) = seqs.pop_front() {
        taken.position = seq;
        let Some(event) = store.get(seq) else { continue };
        bytes += event.payload.get().len();
        taken.events.push(Arc::clone(event));
        if taken.events.len() >= limits.page_events || bytes >= limits.page_bytes {
            break;
        }
    }
    if seqs.is_empty() {
        taken.position = head;
        taken.idle = taken.events.is_empty() && taken.loss.is_none();
    }
    taken
}

fn take_page(backlog: &mut Backlog, store: &Store, reader: &Reader<'_>, head: u64, limits: &BrokerLimits) -> Taken {
    let loss = evicted(store, reader);
    let position = reader.position.max(store.highest_evicted());
    let until = reader.until.min(head);
    let page = store.page_after(position, until, limits);
    let position = if page.complete { position.max(until) } else { page.events.last().map_or(position, |e| e.seq) };
    if position >= head {
        // From here on publishers note what matches: nothing lies between this page and the next event.
        *backlog = Backlog::caught_up();
    }
    Taken { events: page.events, matched: false, loss, ..Taken::nothing(position) }
}

/// What matched the reader and has left the store since its position.
fn evicted(store: &Store, reader: &Reader<'_>) -> Option<Loss> {
    let at_least = store.evicted_after(reader.position, reader.patterns)?;
    let resume_at = store.highest_evicted() + 1;
    Some(Loss { after: reader.position, resume_at, at_least, reason: GapReason::Evicted })
}
