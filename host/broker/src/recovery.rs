//! The truth rule, decided: from what a subscriber has seen and what a stream still has, where it goes on, and what it is
//! told about that.
//!
//! Pure: called under the stream's lock, it reads the store and changes nothing. The decision is about the moment of
//! subscribing. A subscriber that then reads so slowly that the log moves past it is told by a gap, as any other.

use std::{collections::BTreeMap, sync::Arc};

use midplane_model::{Pattern, Position};

use crate::{definition::StreamClass, store::Store, subscription::GapReason};

/// Where a subscription begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Since {
    /// With the next event; on a `latest` stream with the current values.
    #[default]
    None,
    /// With everything that is still kept. A gap comes first where something is not.
    Earliest,
    /// After the positions named; streams that are not named begin as with `None`, unknown names are ignored.
    Positions(BTreeMap<Arc<str>, Position>),
}

/// What a subscriber wants of the past when not all of it can be had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnGap {
    /// Nothing; the report says so.
    #[default]
    Report,
    /// A gap, then what is left.
    Partial,
    /// A gap, then the newest event of each topic, then what is new.
    Snapshot,
}

/// Why a recovery is as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Everything since the position follows.
    Ok,
    /// No position was given.
    New,
    /// The position is of another epoch.
    Epoch,
    /// Matching events after the position are no longer kept, or that cannot be excluded.
    Evicted,
    /// Matching values after the position were replaced by newer ones; or the position was given out and never delivered, so
    /// it is of another past (an older copy of the data was put back).
    Holes,
    /// The position is beyond the stream's head.
    Ahead,
    /// For callers who know permissions; the broker never decides this.
    Forbidden,
}

/// What a subscriber is told about one stream.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StreamReport {
    pub epoch: Arc<str>,
    /// No event with a lower `seq` is delivered.
    pub from: u64,
    /// The newest `seq` at the moment of subscribing.
    pub head: u64,
    pub recovered: bool,
    pub reason: Reason,
    /// The oldest event kept, of any topic, where something is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_available: Option<u64>,
    /// A lower bound of the matching events missing; 0 where loss cannot be excluded and not be proven either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_at_least: Option<u64>,
}

/// What a subscriber is told: one report per stream that its patterns can reach.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SubscribeReport {
    pub streams: BTreeMap<Arc<str>, StreamReport>,
}

/// A stream at the moment of the decision.
pub(crate) struct View<'a> {
    pub(crate) name: &'a str,
    pub(crate) epoch: &'a Arc<str>,
    pub(crate) class: StreamClass,
    pub(crate) head: u64,
    pub(crate) store: &'a Store,
}

/// Something lost between two positions of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) after: u64,
    pub(crate) resume_at: u64,
    pub(crate) at_least: u64,
    pub(crate) reason: GapReason,
}

/// How a feed begins.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) report: StreamReport,
    /// Reading goes on after this `seq`.
    pub(crate) position: u64,
    /// Told before anything else.
    pub(crate) loss: Option<Loss>,
    /// Only the newest event per topic up to the head, before what is newer.
    pub(crate) snapshot: bool,
}

/// Decides how a subscription to these patterns begins on this stream.
pub(crate) fn plan(view: &View<'_>, patterns: &[Pattern], since: &Since, on_gap: OnGap) -> Plan {
    let (position, on_gap) = match since {
        Since::None => return begin(view),
        // A stream that keeps nothing has no earliest event; there is nothing to tell.
        Since::Earliest if view.class == StreamClass::Ephemeral => return begin(view),
        Since::Earliest => (Position { epoch: Arc::clone(view.epoch), seq: 0 }, OnGap::Partial),
        Since::Positions(positions) => match positions.get(view.name) {
            None => return begin(view),
            Some(position) => (position.clone(), on_gap),
        },
    };
    match verdict(view, patterns, &position) {
        Verdict::Complete => resume(view, position.seq),
        Verdict::Ahead => decline(view, Reason::Ahead, None),
        Verdict::Missing(reason, lost) if on_gap == OnGap::Report => decline(view, reason, lost),
        Verdict::Missing(reason, lost) => {
            let after = if reason == Reason::Epoch { 0 } else { position.seq };
            salvage(view, after, reason, lost, on_gap == OnGap::Snapshot)
        }
    }
}

enum Verdict {
    Complete,
    Ahead,
    Missing(Reason, Option<u64>),
}

fn verdict(view: &View<'_>, patterns: &[Pattern], since: &Position) -> Verdict {
    if since.epoch != *view.epoch {
        return Verdict::Missing(Reason::Epoch, None);
    }
    if since.seq > view.head {
        return Verdict::Ahead;
    }
    if view.class == StreamClass::Ephemeral && since.seq < view.head {
        return Verdict::Missing(Reason::Evicted, Some(0));
    }
    if view.store.is_hole(since.seq) {
        return Verdict::Missing(Reason::Holes, None);
    }
    if let Some(lost) = view.store.evicted_after(since.seq, patterns) {
        return Verdict::Missing(Reason::Evicted, Some(lost));
    }
    match view.store.superseded_after(since.seq, patterns) {
        Some(lost) => Verdict::Missing(Reason::Holes, Some(lost)),
        None => Verdict::Complete,
    }
}

fn begin(view: &View<'_>) -> Plan {
    let position = if view.class == StreamClass::Latest { view.store.highest_evicted() } else { view.head };
    Plan { report: report(view, position, Reason::New), position, loss: None, snapshot: false }
}

fn resume(view: &View<'_>, since: u64) -> Plan {
    let report = StreamReport { recovered: true, ..report(view, since, Reason::Ok) };
    // What was evicted in between did not match.
    Plan { report, position: since.max(view.store.highest_evicted()), loss: None, snapshot: false }
}

fn decline(view: &View<'_>, reason: Reason, lost: Option<u64>) -> Plan {
    let report = StreamReport { lost_at_least: lost, ..missing(view, view.head, reason) };
    Plan { report, position: view.head, loss: None, snapshot: false }
}

fn salvage(view: &View<'_>, after: u64, reason: Reason, lost: Option<u64>, snapshot: bool) -> Plan {
    let kept = match view.class {
        StreamClass::Ephemeral => view.head,
        StreamClass::Log | StreamClass::Latest => view.store.highest_evicted(),
    };
    // A snapshot may hold values that are older than the position.
    let position = if snapshot { kept } else { kept.max(after) };
    let reason_of_gap = match reason {
        Reason::Epoch => GapReason::Epoch,
        Reason::Holes => GapReason::Holes,
        _ => GapReason::Evicted,
    };
    let loss = Loss { after, resume_at: position + 1, at_least: lost.unwrap_or(0), reason: reason_of_gap };
    let report = StreamReport { lost_at_least: lost, ..missing(view, position, reason) };
    Plan { report, position, loss: Some(loss), snapshot }
}

fn report(view: &View<'_>, position: u64, reason: Reason) -> StreamReport {
    StreamReport {
        epoch: Arc::clone(view.epoch),
        from: position + 1,
        head: view.head,
        recovered: false,
        reason,
        first_available: None,
        lost_at_least: None,
    }
}

fn missing(view: &View<'_>, position: u64, reason: Reason) -> StreamReport {
    StreamReport { first_available: view.store.first(), ..report(view, position, reason) }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{definition::Retention, limits::BrokerLimits, store::tests::event};

    /// Topics a, b, a, b, … with `seq` 1 to 6, of which the last three are kept (4 is b).
    fn log() -> Store {
        let retention = Retention { events: 3, ..Retention::default() };
        let mut store = Store::new(StreamClass::Log, retention, &BrokerLimits::default());
        for (seq, topic) in (1..=6).zip(["a", "b", "a", "b", "a", "b"]) {
            store.append(&event(seq, topic, None), Instant::now());
        }
        store
    }

    fn planned(store: &Store, class: StreamClass, pattern: &str, since: (&str, u64), on_gap: OnGap) -> Plan {
        let epoch: Arc<str> = "e".into();
        let view = View { name: "s", epoch: &epoch, class, head: 6, store };
        let since = Position { epoch: since.0.into(), seq: since.1 };
        let since = Since::Positions([("s".into(), since)].into());
        plan(&view, &[Pattern::parse(pattern).unwrap()], &since, on_gap)
    }

    #[test]
    fn only_matching_losses_spoil_a_recovery() {
        let store = log();
        let reason = |pattern, seq| {
            let report = planned(&store, StreamClass::Log, pattern, ("e", seq), OnGap::Report).report;
            (report.recovered, report.reason, report.lost_at_least)
        };
        assert_eq!(reason("**", 3), (true, Reason::Ok, None));
        assert_eq!(reason("**", 2), (false, Reason::Evicted, Some(1)));
        assert_eq!(reason("b", 2), (true, Reason::Ok, None), "3 was an a");
        assert_eq!(reason("c", 0), (true, Reason::Ok, None), "there never was a c");
        assert_eq!(reason("**", 6), (true, Reason::Ok, None));
        assert_eq!(reason("**", 7), (false, Reason::Ahead, None));
    }

    #[test]
    fn nothing_of_the_past_comes_unasked() {
        let store = log();
        let plan = planned(&store, StreamClass::Log, "**", ("e", 1), OnGap::Report);
        assert_eq!((plan.position, plan.loss), (6, None));
        assert_eq!(plan.report.first_available, Some(4));
        let plan = planned(&store, StreamClass::Log, "**", ("e", 1), OnGap::Partial);
        let loss = Loss { after: 1, resume_at: 4, at_least: 2, reason: GapReason::Evicted };
        assert_eq!((plan.position, plan.loss, plan.report.recovered), (3, Some(loss), false));
    }

    #[test]
    fn another_epoch_is_never_recovered() {
        let store = log();
        for on_gap in [OnGap::Report, OnGap::Partial, OnGap::Snapshot] {
            let report = planned(&store, StreamClass::Log, "**", ("other", 6), on_gap).report;
            assert_eq!((report.recovered, report.reason), (false, Reason::Epoch));
        }
    }

    #[test]
    fn a_position_that_was_never_delivered_is_of_another_past() {
        let mut store = Store::new(StreamClass::Log, Retention::default(), &BrokerLimits::default());
        for seq in [1, 2, 6] {
            store.append(&event(seq, "a", None), Instant::now());
        }
        let reason = |seq| planned(&store, StreamClass::Log, "a", ("e", seq), OnGap::Report).report.reason;
        assert_eq!([0, 1, 2, 3, 5, 6].map(reason), {
            use Reason::{Holes, Ok};
            [Ok, Ok, Ok, Holes, Holes, Ok]
        });
    }

    #[test]
    fn superseded_values_are_holes_in_the_past() {
        let mut store = Store::new(StreamClass::Latest, Retention::default(), &BrokerLimits::default());
        for (seq, topic) in (1..=6).zip(["a", "b", "a", "c", "a", "c"]) {
            store.append(&event(seq, topic, None), Instant::now());
        }
        let reason = |pattern, seq| {
            let report = planned(&store, StreamClass::Latest, pattern, ("e", seq), OnGap::Report).report;
            (report.recovered, report.reason)
        };
        assert_eq!(reason("a", 2), (false, Reason::Holes));
        assert_eq!(reason("a", 3), (true, Reason::Ok));
        assert_eq!(reason("b", 0), (true, Reason::Ok));
    }

    #[test]
    fn what_keeps_nothing_recovers_only_from_its_head() {
        let recovered = |seq| planned(&Store::Ephemeral, StreamClass::Ephemeral, "a", ("e", seq), OnGap::Report).report;
        assert!(recovered(6).recovered);
        assert_eq!((recovered(5).recovered, recovered(5).reason), (false, Reason::Evicted));
    }
}
