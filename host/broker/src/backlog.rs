//! What waits for one subscription in one stream. Guarded by the stream's lock; publishers put in, the reader takes out.

use std::{collections::VecDeque, sync::Arc};

use midplane_model::Event;

use crate::{limits::BrokerLimits, subscription::OnOverflow};

#[derive(Debug)]
pub(crate) enum Backlog {
    /// The reader has caught up with the store; these matching `seq`s are news. `dropped` were given up before the front.
    Pending { seqs: VecDeque<u64>, dropped: u64 },
    /// The reader is behind and walks the store by itself. `conflate` once if it shall skip superseded events on the way.
    Scanning { conflate: bool },
    /// A stream without a store: the events themselves, the oldest dropped when there are too many.
    Ring { events: VecDeque<Arc<Event>>, bytes: usize, dropped: u64 },
    /// More waited than allowed, and the subscriber asked to be closed then.
    Closed,
}

impl Backlog {
    /// A reader with nothing to catch up.
    pub(crate) fn caught_up() -> Self {
        Self::Pending { seqs: VecDeque::new(), dropped: 0 }
    }

    pub(crate) fn ring() -> Self {
        Self::Ring { events: VecDeque::new(), bytes: 0, dropped: 0 }
    }

    /// Whether the reader has been left without anything to take, so that it must be woken for the next thing.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Pending { seqs, .. } => seqs.is_empty(),
            Self::Ring { events, .. } => events.is_empty(),
            Self::Scanning { .. } | Self::Closed => false,
        }
    }

    /// Takes note of a matching event. Constant time and memory, whatever the reader does.
    pub(crate) fn offer(&mut self, event: &Arc<Event>, on_overflow: OnOverflow, limits: &BrokerLimits) {
        match self {
            Self::Pending { seqs, dropped } => {
                if seqs.len() < limits.pending_events {
                    return seqs.push_back(event.seq);
                }
                match on_overflow {
                    OnOverflow::Resume => *self = Self::Scanning { conflate: false },
                    OnOverflow::Latest => *self = Self::Scanning { conflate: true },
                    OnOverflow::Close => *self = Self::Closed,
                    OnOverflow::Drop => {
                        seqs.pop_front();
                        seqs.push_back(event.seq);
                        *dropped += 1;
                    }
                }
            }
            Self::Ring { events, bytes, dropped } => {
                *bytes += event.payload.get().len();
                events.push_back(Arc::clone(event));
                while events.len() > limits.ephemeral_events || (events.len() > 1 && *bytes > limits.ephemeral_bytes) {
                    let Some(oldest) = events.pop_front() else { return };
                    *bytes -= oldest.payload.get().len();
                    *dropped += 1;
                }
                if *dropped > 0 && on_overflow == OnOverflow::Close {
                    *self = Self::Closed;
                }
            }
            Self::Scanning { .. } | Self::Closed => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::event;

    fn offered(mut backlog: Backlog, on_overflow: OnOverflow) -> Backlog {
        let limits = BrokerLimits { pending_events: 2, ephemeral_events: 2, ..BrokerLimits::default() };
        (1..=3).for_each(|seq| backlog.offer(&event(seq, "a", None), on_overflow, &limits));
        backlog
    }

    #[test]
    fn a_full_backlog_does_what_the_subscriber_chose() {
        let pending = |on_overflow| offered(Backlog::caught_up(), on_overflow);
        assert!(matches!(pending(OnOverflow::Resume), Backlog::Scanning { conflate: false }));
        assert!(matches!(pending(OnOverflow::Latest), Backlog::Scanning { conflate: true }));
        assert!(matches!(pending(OnOverflow::Close), Backlog::Closed));
        assert!(matches!(pending(OnOverflow::Drop), Backlog::Pending { seqs, dropped: 1 } if seqs == [2, 3]));
    }

    #[test]
    fn a_full_ring_drops_the_oldest_and_counts_it() {
        let ring = offered(Backlog::ring(), OnOverflow::Resume);
        assert!(matches!(ring, Backlog::Ring { events, dropped: 1, .. } if events[0].seq == 2 && events.len() == 2));
        assert!(matches!(offered(Backlog::ring(), OnOverflow::Close), Backlog::Closed));
    }
}
