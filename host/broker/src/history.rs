//! Pages of the past, without a subscription.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use midplane_model::{Event, Pattern, Position};

use crate::{
    clock,
    error::BrokerError,
    limits::BrokerLimits,
    recovery::{Reason, Since},
    stream::Stream,
};

/// Which part of the past.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HistoryRange {
    /// The newest events.
    #[default]
    Newest,
    /// The newest events before these positions, exclusive; the head where a stream is not named.
    Before(BTreeMap<Arc<str>, Position>),
    /// The oldest events after these positions; the beginning of what is kept where a stream is not named.
    Since(BTreeMap<Arc<str>, Position>),
}

/// A page of one stream. Order is defined per stream only, so pages are not merged.
#[derive(Debug, Clone)]
pub struct StreamHistory {
    pub epoch: Arc<str>,
    /// Ascending by `seq`, whichever end was asked for. Expired events are left out.
    pub events: Vec<Arc<Event>>,
    /// Whether there may be more in the direction of reading.
    pub more: bool,
}

/// Reads one stream's page: at most `limit` events, and at most one page's bytes.
///
/// # Errors
/// `HistoryExpired` when matching events between the position and the page are no longer kept, or the epoch is another.
pub(crate) fn read(
    stream: &Stream,
    patterns: &[Pattern],
    range: &HistoryRange,
    limit: usize,
) -> Result<StreamHistory, BrokerError> {
    let head = stream.head();
    let mut page = Collected::new(patterns, limit, &stream.limits);
    let more = match range {
        HistoryRange::Newest => page.read_back(stream, head.seq.saturating_add(1)),
        HistoryRange::Before(positions) => {
            let position = positions.get(&stream.name);
            check_epoch(stream, position)?;
            page.read_back(stream, position.map_or(head.seq + 1, |position| position.seq))
        }
        HistoryRange::Since(positions) => {
            let position = positions.get(&stream.name);
            check_epoch(stream, position)?;
            if position.is_some()
                && stream.preview(patterns, &Since::Positions(positions.clone())).report.reason == Reason::Evicted
            {
                return Err(expired(stream));
            }
            page.read_on(stream, position.map_or(0, |position| position.seq), head.seq)
        }
    };
    page.events.sort_unstable_by_key(|event| event.seq);
    Ok(StreamHistory { epoch: head.epoch, events: page.events, more })
}

fn check_epoch(stream: &Stream, position: Option<&Position>) -> Result<(), BrokerError> {
    match position {
        Some(position) if position.epoch != stream.epoch => Err(expired(stream)),
        _ => Ok(()),
    }
}

fn expired(stream: &Stream) -> BrokerError {
    let stats = stream.stats();
    BrokerError::HistoryExpired {
        stream: stream.name.to_string(),
        epoch: stream.epoch.to_string(),
        oldest: stats.first_available.unwrap_or(stats.head + 1),
    }
}

struct Collected<'a> {
    patterns: &'a [Pattern],
    limit: usize,
    bytes_max: usize,
    bytes: usize,
    now: Instant,
    events: Vec<Arc<Event>>,
}

impl<'a> Collected<'a> {
    fn new(patterns: &'a [Pattern], limit: usize, limits: &BrokerLimits) -> Self {
        Self { patterns, limit, bytes_max: limits.page_bytes, bytes: 0, now: clock::now(), events: Vec::new() }
    }

    /// Reads towards the past, from below `bound`; whether there may be more.
    fn read_back(&mut self, stream: &Stream, mut bound: u64) -> bool {
        loop {
            let page = stream.page_before(bound);
            bound = page.events.last().map_or(bound, |event| event.seq);
            if !page.events.into_iter().all(|event| self.take(event)) {
                return true;
            }
            if page.complete {
                return false;
            }
        }
    }

    /// Reads towards the head as it was when reading began; whether there may be more.
    fn read_on(&mut self, stream: &Stream, mut position: u64, head: u64) -> bool {
        loop {
            let page = stream.page_after(position, head);
            position = page.events.last().map_or(position, |event| event.seq);
            if !page.events.into_iter().all(|event| self.take(event)) {
                return true;
            }
            if page.complete {
                return false;
            }
        }
    }

    /// Adds the event if it is wanted; false when it is wanted and does not fit.
    fn take(&mut self, event: Arc<Event>) -> bool {
        if event.expired(self.now) || !self.patterns.iter().any(|pattern| pattern.matches(&event.topic)) {
            return true;
        }
        let size = event.payload.get().len();
        // One event fits whatever its size, or reading could never get past it.
        if self.events.len() == self.limit || (!self.events.is_empty() && self.bytes + size > self.bytes_max) {
            return false;
        }
        self.bytes += size;
        self.events.push(event);
        true
    }
}
