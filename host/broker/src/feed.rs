//! One subscription's reading of one stream: from a position to items in order, a page at a time.
//!
//! A feed pulls; it has no task and no queue beyond one page. It goes through up to three phases, each ending where the
//! next begins, so that nothing is missed or doubled: *collecting* (walk the store up to a `seq` and remember the newest
//! per topic), *planned* (deliver those), *following* (everything after).

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use midplane_model::{
    Event, Pattern, PeerId, Topic,
    limits::{CURSOR_EVENTS, CURSOR_INTERVAL},
};
use tokio::{sync::Notify, time::Instant};

use crate::{
    clock,
    definition::StreamClass,
    reading::Reader,
    recovery::{Loss, OnGap, Plan, Since, StreamReport},
    stream::Stream,
    subscribers::{SubscriptionId, is_own},
    subscription::{GapReason, SubscribeOptions},
};

/// Reads one stream for one subscription; leaves it when dropped.
#[derive(Debug)]
pub(crate) struct Feed {
    stream: Arc<Stream>,
    id: SubscriptionId,
    patterns: Arc<[Pattern]>,
    except: Option<PeerId>,
    /// Everything up to here is in `ready`, in `planned`, delivered, or does not match.
    position: u64,
    /// The position that the client knows from an event, a cursor or a gap.
    told: u64,
    /// Events up to this `seq` were published before the subscription began.
    replay_until: u64,
    ready: VecDeque<Item>,
    collecting: Option<Collecting>,
    planned: VecDeque<u64>,
    /// When a client that was told nothing since shall be told the position.
    quiet_at: Instant,
}

#[derive(Debug)]
enum Item {
    Event(Arc<Event>),
    Loss(Loss),
}

/// The newest `seq` of each topic so far. At most one entry per topic that the stream keeps.
#[derive(Debug)]
struct Collecting {
    until: u64,
    newest: HashMap<Topic, u64>,
}

/// What one step led to.
#[derive(Debug)]
pub(crate) enum Step {
    Event {
        event: Arc<Event>,
        replay: bool,
    },
    Loss(Loss),
    Cursor(u64),
    /// Something moved, nothing to tell yet.
    Progress,
    /// Nothing to take; a wake follows.
    Idle,
    Closed,
}

impl Feed {
    /// Registers with the stream; what it will deliver is decided at this moment.
    pub(crate) fn join(
        stream: Arc<Stream>,
        id: SubscriptionId,
        patterns: Arc<[Pattern]>,
        options: &SubscribeOptions,
        wake: Arc<Notify>,
    ) -> (Self, StreamReport) {
        let plan = stream.join(id, options, wake);
        let mut feed = Self {
            stream,
            id,
            patterns,
            except: options.except,
            position: 0,
            told: 0,
            replay_until: 0,
            ready: VecDeque::new(),
            collecting: None,
            planned: VecDeque::new(),
            quiet_at: Instant::now(),
        };
        let report = feed.begin(plan);
        (feed, report)
    }

    /// Begins again from another place; what was read ahead is forgotten.
    pub(crate) fn rejoin(&mut self, since: &Since, on_gap: OnGap) -> StreamReport {
        let plan = self.stream.rejoin(self.id, &self.patterns, since, on_gap);
        self.begin(plan)
    }

    fn begin(&mut self, plan: Plan) -> StreamReport {
        self.position = plan.position;
        self.told = plan.position;
        self.replay_until = plan.report.head;
        self.ready = plan.loss.map(Item::Loss).into_iter().collect();
        self.collecting = plan.snapshot.then(|| Collecting::up_to(plan.report.head));
        self.planned.clear();
        self.quiet_at = Instant::now() + CURSOR_INTERVAL;
        plan.report
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Whether the next step tells something that is read already.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When to call [`Self::step`] again even though nobody woke the reader. `None` for a stream without positions that
    /// would be of use later.
    pub(crate) fn quiet_at(&self) -> Option<Instant> {
        (self.stream.class != StreamClass::Ephemeral).then_some(self.quiet_at)
    }

    /// Does the next thing: tells what is ready, or reads at most one page. Never waits.
    pub(crate) fn step(&mut self) -> Step {
        if let Some(item) = self.ready.pop_front() {
            return self.tell(item);
        }
        if !self.planned.is_empty() {
            self.read_planned();
            return Step::Progress;
        }
        if self.collecting.as_ref().is_some_and(|collecting| self.position >= collecting.until) {
            self.plan_collected();
            return Step::Progress;
        }
        self.read_on()
    }

    fn tell(&mut self, item: Item) -> Step {
        match item {
            Item::Loss(loss) => {
                self.told = loss.resume_at - 1;
                Step::Loss(loss)
            }
            Item::Event(event) => {
                if has_expired(&event) || is_own(self.except, event.origin.peer) {
                    return Step::Progress;
                }
                self.told = event.seq;
                Step::Event { replay: event.seq <= self.replay_until, event }
            }
        }
    }

    fn read_on(&mut self) -> Step {
        let until = self.collecting.as_ref().map_or(u64::MAX, |collecting| collecting.until);
        let reader = Reader { id: self.id, patterns: &self.patterns, position: self.position, told: self.told, until };
        let Some(taken) = self.stream.take(&reader) else { return Step::Closed };
        self.position = taken.position;
        self.ready.extend(taken.loss.map(Item::Loss));
        if let Some(until) = taken.conflate_until {
            self.collecting = Some(Collecting::up_to(until));
            return Step::Progress;
        }
        for event in taken.events {
            if taken.matched || self.patterns.iter().any(|pattern| pattern.matches(&event.topic)) {
                match &mut self.collecting {
                    Some(collecting) => collecting.note(&event),
                    None => self.ready.push_back(Item::Event(event)),
                }
            }
        }
        self.after_reading(taken.idle)
    }

    fn after_reading(&mut self, idle: bool) -> Step {
        if !self.ready.is_empty() {
            self.quiet_at = Instant::now() + CURSOR_INTERVAL;
            return Step::Progress;
        }
        if self.collecting.is_some() {
            return Step::Progress;
        }
        let silent = self.position.saturating_sub(self.told);
        let quiet = silent > 0 && idle && Instant::now() >= self.quiet_at;
        if self.stream.class != StreamClass::Ephemeral && (silent >= CURSOR_EVENTS || quiet) {
            self.told = self.position;
            self.quiet_at = Instant::now() + CURSOR_INTERVAL;
            return Step::Cursor(self.position);
        }
        if !idle {
            return Step::Progress;
        }
        // Quiet with nothing new: look again after another interval.
        if Instant::now() >= self.quiet_at {
            self.quiet_at = Instant::now() + CURSOR_INTERVAL;
        }
        Step::Idle
    }

    fn plan_collected(&mut self) {
        let Some(collected) = self.collecting.take() else { return };
        let mut seqs: Vec<u64> = collected.newest.into_values().collect();
        seqs.sort_unstable();
        self.planned = seqs.into();
    }

    fn read_planned(&mut self) {
        let Some(&first) = self.planned.front() else { return };
        let (events, asked, lost) = self.stream.look_up(self.planned.iter().copied());
        self.planned.drain(..asked);
        if lost > 0 {
            let next = events.first().map(|event| event.seq).or(self.planned.front().copied());
            // A gap told while collecting may reach further than what is planned: this one includes its own losses.
            self.ready.push_back(Item::Loss(Loss {
                after: self.told.min(first - 1),
                resume_at: next.unwrap_or(self.position + 1),
                at_least: lost,
                reason: GapReason::Evicted,
            }));
        }
        self.ready.extend(events.into_iter().map(Item::Event));
    }
}

impl Collecting {
    fn up_to(until: u64) -> Self {
        Self { until, newest: HashMap::new() }
    }

    /// An expired value leaves its topic without one: an older value must not come back in its place.
    fn note(&mut self, event: &Event) {
        if has_expired(event) {
            self.newest.remove(&event.topic);
        } else {
            self.newest.insert(event.topic.clone(), event.seq);
        }
    }
}

/// Reads the clock only for events that can expire.
fn has_expired(event: &Event) -> bool {
    event.expires_at.is_some() && event.expired(clock::now())
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stream.leave(self.id, &self.patterns);
    }
}
