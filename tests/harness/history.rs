//! A history of what clients did and saw, and the offline check of the truth rule over it (contract, section 8).
//!
//! The driver writes down; [`History::check`] judges afterwards, knowing nothing of the host but its contract. Every event carries
//! an id in its payload, so that the same number with another content, or the same content twice, cannot hide.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// An acknowledged publish.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    pub epoch: String,
    pub seq: u64,
    pub id: u64,
}

/// Everything that was tried and seen.
#[derive(Debug, Default)]
pub struct History {
    pub acknowledged: Vec<Acknowledged>,
    /// Ids of publishes that were sent, answered or not.
    pub sent: BTreeSet<u64>,
    pub readers: Vec<Reader>,
}

/// One subscriber over all its subscriptions.
#[derive(Debug, Default)]
pub struct Reader {
    pub name: String,
    /// The place up to which it has seen everything, in the words of `since`.
    position: Option<Value>,
    subscriptions: Vec<Subscribed>,
}

#[derive(Debug)]
struct Subscribed {
    since: Option<u64>,
    recovered: bool,
    from: u64,
    seen: Vec<Seen>,
    gaps: Vec<(u64, u64)>,
}

#[derive(Debug)]
struct Seen {
    epoch: String,
    seq: u64,
    n: u64,
    id: u64,
}

impl Reader {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Parameters that go on where this reader stands.
    pub fn subscribe(&self, patterns: &[&str]) -> Value {
        json!({ "patterns": patterns, "since": self.position })
    }

    /// Notes the answer to [`Self::subscribe`].
    pub fn subscribed(&mut self, result: &Value) -> Result<()> {
        let report = &result["streams"]["main"];
        let since = self.position.as_ref().and_then(|position| position["main"]["seq"].as_u64());
        let number = |name: &str| report[name].as_u64().with_context(|| format!("{name} in {report}"));
        let (recovered, from) = (report["recovered"] == true, number("from")?);
        self.subscriptions.push(Subscribed { since, recovered, from, seen: Vec::new(), gaps: Vec::new() });
        if self.position.is_none() || !recovered {
            self.move_to(report, number("head")?);
        }
        Ok(())
    }

    /// Notes a message of the host; true for an event.
    pub fn note(&mut self, message: &Value) -> Result<bool> {
        let params = &message["params"];
        let number = |name: &str| params[name].as_u64().with_context(|| format!("{name} in {message}"));
        let subscription = self.subscriptions.last_mut().context("subscribed")?;
        match message["method"].as_str() {
            Some("event") => {
                let epoch = params["epoch"].as_str().unwrap_or_default().to_owned();
                let (seq, n) = (number("seq")?, number("n")?);
                let id = params["payload"]["id"].as_u64().context("an id in the payload")?;
                subscription.seen.push(Seen { epoch, seq, n, id });
                self.move_to(params, seq);
                Ok(true)
            }
            Some("event.cursor") => {
                self.move_to(params, number("seq")?);
                Ok(false)
            }
            Some("event.gap") => {
                subscription.gaps.push((number("after")?, number("resume_at")?));
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    pub fn has_seen(&self, id: u64) -> bool {
        self.seen().any(|seen| seen.id == id)
    }

    /// How many of its subscriptions went on after a position without loss, and how many did not.
    pub fn recoveries(&self) -> (usize, usize) {
        let asked = self.subscriptions.iter().filter(|subscription| subscription.since.is_some());
        let (recovered, lost): (Vec<_>, Vec<_>) = asked.partition(|subscription| subscription.recovered);
        (recovered.len(), lost.len())
    }

    fn seen(&self) -> impl Iterator<Item = &Seen> {
        self.subscriptions.iter().flat_map(|subscription| &subscription.seen)
    }

    fn move_to(&mut self, at: &Value, seq: u64) {
        self.position = Some(json!({ "main": { "epoch": at["epoch"], "seq": seq } }));
    }
}

impl History {
    /// Checks that
    /// 1. a number of an epoch means one event, for everybody;
    /// 2. a reader gets events once, by ascending numbers, `n` without a hole;
    /// 3. what was never sent is never seen;
    /// 4. what was acknowledged after a reader began reaches it, unless the host said that it would not: by a gap, or by a
    ///    recovery that it did not claim.
    pub fn check(&self) -> Result<()> {
        let mut contents = BTreeMap::new();
        let acknowledged = self.acknowledged.iter().map(|ack| (&ack.epoch, ack.seq, ack.id));
        let seen = self.readers.iter().flat_map(Reader::seen).map(|seen| (&seen.epoch, seen.seq, seen.id));
        for (epoch, seq, id) in acknowledged.chain(seen) {
            let first = *contents.entry((epoch, seq)).or_insert(id);
            ensure!(first == id, "number {seq} of {epoch} is event {first} and event {id}");
            ensure!(self.sent.contains(&id), "event {id} was never sent");
        }
        self.readers.iter().try_for_each(|reader| self.check_reader(reader).context(reader.name.clone()))
    }

    fn check_reader(&self, reader: &Reader) -> Result<()> {
        let mut ids = BTreeSet::new();
        for subscription in &reader.subscriptions {
            for (index, seen) in subscription.seen.iter().enumerate() {
                ensure!(seen.n == index as u64 + 1, "event {} is n {} instead of {}", seen.id, seen.n, index + 1);
                ensure!(ids.insert(seen.id), "event {} came twice", seen.id);
            }
            ensure!(subscription.seen.is_sorted_by(|a, b| a.seq < b.seq), "numbers that do not ascend");
            ensure!(subscription.seen.first().is_none_or(|first| first.seq >= subscription.from), "older than `from`");
        }
        let Some(first) = reader.subscriptions.first() else { return Ok(()) };
        for ack in self.acknowledged.iter().filter(|ack| ack.seq >= first.from && !ids.contains(&ack.id)) {
            let told = reader.subscriptions.iter().any(|subscription| {
                let in_gap =
                    subscription.gaps.iter().any(|(after, resume_at)| (after + 1..*resume_at).contains(&ack.seq));
                let declined = !subscription.recovered && subscription.since.is_some_and(|since| since < ack.seq);
                in_gap || declined
            });
            if !told {
                bail!("event {} with number {} is missing, and nobody said so", ack.id, ack.seq);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, n: u64, id: u64) -> Value {
        json!({ "method": "event", "params": { "epoch": "e", "seq": seq, "n": n, "payload": { "id": id } } })
    }

    fn history(events: &[(u64, u64, u64)]) -> History {
        let mut reader = Reader::new("reader");
        let report = json!({ "epoch": "e", "from": 1, "head": 0, "recovered": false });
        reader.subscribed(&json!({ "streams": { "main": report } })).unwrap();
        for (seq, n, id) in events {
            reader.note(&event(*seq, *n, *id)).unwrap();
        }
        let acknowledged = (1..=3).map(|seq| Acknowledged { epoch: "e".into(), seq, id: 10 * seq }).collect();
        History { acknowledged, sent: [10, 20, 30].into(), readers: vec![reader] }
    }

    #[test]
    fn a_history_without_fault_passes_and_each_fault_is_found() {
        assert!(history(&[(1, 1, 10), (2, 2, 20), (3, 3, 30)]).check().is_ok());
        for (fault, events) in [
            ("missing", &[(1, 1, 10), (3, 2, 30)][..]),
            ("twice", &[(1, 1, 10), (2, 2, 20), (3, 3, 30), (4, 4, 30)]),
            ("ascend", &[(2, 1, 20), (1, 2, 10), (3, 3, 30)]),
            ("instead of", &[(1, 1, 10), (2, 3, 20), (3, 4, 30)]),
            ("is event", &[(1, 1, 20), (2, 2, 10), (3, 3, 30)]),
            ("never sent", &[(1, 1, 10), (2, 2, 20), (3, 3, 30), (4, 4, 40)]),
        ] {
            let error = format!("{:#}", history(events).check().unwrap_err());
            assert!(error.contains(fault), "{fault}: {error}");
        }
    }
}
