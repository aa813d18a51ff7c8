//! The keys under which events were published lately, so that a publisher that never heard the answer may ask again.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use midplane_model::{
    Event,
    limits::{PUBLISH_KEY_AGE_MAX, PUBLISH_KEYS_MAX},
};

/// A principal's key.
pub(crate) type Name = (Option<Arc<str>>, Arc<str>);

/// At most `PUBLISH_KEYS_MAX` keys, each for `PUBLISH_KEY_AGE_MAX`; the oldest goes first.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    first: HashMap<Name, First>,
    by_age: VecDeque<(Instant, Name)>,
}

#[derive(Debug)]
struct First {
    seq: u64,
    content: u64,
}

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known {
    New,
    /// The same event was published with this `seq`.
    Repeated(u64),
    /// Another event was.
    Reused,
}

impl Repeats {
    pub(crate) fn look_up(&mut self, name: &Name, content: u64, now: Instant) -> Known {
        self.forget_until(now);
        match self.first.get(name) {
            None => Known::New,
            Some(first) if first.content == content => Known::Repeated(first.seq),
            Some(_) => Known::Reused,
        }
    }

    /// Notes a key that [`Self::look_up`] found to be new.
    pub(crate) fn note(&mut self, name: Name, content: u64, seq: u64, now: Instant) {
        if self.by_age.len() >= PUBLISH_KEYS_MAX
            && let Some((_, oldest)) = self.by_age.pop_front()
        {
            self.first.remove(&oldest);
        }
        self.first.insert(name.clone(), First { seq, content });
        self.by_age.push_back((now, name));
    }

    /// Forgets the keys of events that were given up: their publishers may try again.
    pub(crate) fn forget(&mut self, events: &[Arc<Event>]) {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return };
        let given_up = first.seq..=last.seq;
        self.first.retain(|_, known| !given_up.contains(&known.seq));
        self.by_age.retain(|(_, name)| self.first.contains_key(name));
    }

    fn forget_until(&mut self, now: Instant) {
        while let Some((since, _)) = self.by_age.front()
            && now.saturating_duration_since(*since) >= PUBLISH_KEY_AGE_MAX
        {
            let Some((_, name)) = self.by_age.pop_front() else { return };
            self.first.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(key: &str) -> Name {
        (Some("owner".into()), key.into())
    }

    #[test]
    fn a_key_is_known_for_a_while_then_it_is_new_again() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        repeats.note(name("a"), 1, 7, start);
        assert_eq!(repeats.look_up(&name("a"), 1, start), Known::Repeated(7));
        assert_eq!(repeats.look_up(&name("a"), 2, start), Known::Reused);
        assert_eq!(repeats.look_up(&(None, "a".into()), 1, start), Known::New, "keys belong to a principal");
        assert_eq!(repeats.look_up(&name("a"), 1, start + PUBLISH_KEY_AGE_MAX), Known::New);
    }

    #[test]
    fn too_many_keys_forget_the_oldest() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        for seq in 0..=PUBLISH_KEYS_MAX as u64 {
            repeats.note(name(&seq.to_string()), 1, seq, now);
        }
        assert_eq!(repeats.look_up(&name("0"), 1, now), Known::New);
        assert_eq!(repeats.look_up(&name("1"), 1, now), Known::Repeated(1));
        assert_eq!(repeats.first.len(), PUBLISH_KEYS_MAX);
    }
}
