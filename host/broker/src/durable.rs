//! What a stream with a home does beside what every stream does: it waits for commits, and begins with what was kept.

use std::{
    sync::{Arc, PoisonError},
    time::SystemTime,
};

use midplane_model::Event;

use crate::{
    clock,
    commit::Line,
    definition::StreamDefinition,
    home::{Home, Opened},
    limits::BrokerLimits,
    stream::Stream,
};

impl Stream {
    /// A stream that goes on where its home says it was.
    pub(crate) fn restored(
        definition: &StreamDefinition,
        limits: BrokerLimits,
        opened: Opened,
    ) -> (Self, Box<dyn Home>) {
        let stream = Self::new(definition, Arc::clone(&opened.epoch), limits);
        let (now, wall) = (clock::now(), SystemTime::now());
        {
            let mut state = stream.state();
            state.line = Some(Line::default());
            (state.head, state.next) = (opened.head, opened.next);
            state.store.assume_lost(opened.lost_until);
            for event in &opened.events {
                // What is older than the clock reaches back counts as new: kept longer than asked for, never shorter.
                let age = wall.duration_since(event.time).unwrap_or_default();
                state.store.append(event, now.checked_sub(age).unwrap_or(now));
            }
            state.store.trim(now);
        }
        (stream, opened.home)
    }

    /// Waits for events to commit; none when there will be no more.
    pub(crate) fn next_group(&self) -> Option<Vec<Arc<Event>>> {
        let mut state = self.state();
        loop {
            let line = state.line.as_ref()?;
            let group = line.group();
            if !group.is_empty() {
                return Some(group);
            }
            if line.closed {
                return None;
            }
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Delivers a committed group, or gives up one that was not (`Err` of whether the disk is full). Returns the first `seq`
    /// that is still needed.
    pub(crate) fn settle(&self, group: &[Arc<Event>], outcome: Result<(), bool>) -> u64 {
        let now = clock::now();
        let mut guard = self.state();
        let state = &mut *guard;
        if let Some(line) = &mut state.line {
            line.remove(group);
            if let Err(full) = outcome {
                line.note_failure(group, full);
                state.repeats.forget(group);
            }
        }
        if outcome.is_ok() {
            for event in group {
                self.deliver(state, event, now);
            }
        }
        let needed = state.store.first().unwrap_or(state.head + 1);
        drop(guard);
        self.moved.notify_waiters();
        needed
    }

    /// Refuses further events; those in line are still committed.
    pub(crate) fn close(&self) {
        if let Some(line) = &mut self.state().line {
            line.closed = true;
        }
        self.arrived.notify_one();
    }

    /// Gives up what is in line: nobody will commit it.
    pub(crate) fn abandon(&self) {
        if let Some(line) = &mut self.state().line {
            line.abandon();
        }
        self.moved.notify_waiters();
    }
}
