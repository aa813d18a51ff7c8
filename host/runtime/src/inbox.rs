//! What reaches a plugin without being called: events, timers, news of files and terminals. One task per plugin, keyed by its
//! name, so that subscriptions and timers outlive every generation.
//!
//! One thing at a time waits for room in the mailbox; everything else stays where it comes from (the broker keeps a
//! position, the watcher merges, a repeating timer skips), so a slow plugin costs nobody anything.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use midplane_broker::{Delivery, SubscribeOptions, Subscription};
use midplane_capabilities::watch::{Batch, Change, ChangeKind, Scope};
use midplane_model::{
    ErrorCode, Fault, Pattern,
    event::rfc3339,
    limits::{PLUGIN_NEWS_MAX, PLUGIN_PATTERNS_MAX},
};
use serde_json::json;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    bindings::{Event, Origin},
    host::Host,
    slot::{Message, Slot},
};

/// Timers of one plugin.
pub const TIMERS_MAX: usize = 64;
/// Commands that wait for the task; then the guest that asks waits.
const COMMANDS_MAX: usize = 64;

/// What imports ask for.
pub enum Command {
    Subscribe {
        patterns: Vec<Pattern>,
        done: oneshot::Sender<Result<(), Fault>>,
    },
    Unsubscribe(Vec<Pattern>),
    SetTimer {
        name: String,
        every: Duration,
        repeat: bool,
        done: oneshot::Sender<bool>,
    },
    CancelTimer {
        name: String,
        done: oneshot::Sender<bool>,
    },
    /// What of the tree to watch; nothing any more.
    Watch(Option<Scope>),
    /// News of the host for this plugin, already JSON.
    News {
        topic: &'static str,
        payload: String,
    },
}

/// The handle; the task ends when it is closed.
pub struct Inbox {
    pub commands: mpsc::Sender<Command>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Inbox {
    pub fn start(host: Arc<Host>, slot: Arc<Slot>) -> Self {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let stop = CancellationToken::new();
        let task = Task {
            host,
            slot,
            commands: receiver,
            subscriptions: Vec::new(),
            timers: BTreeMap::new(),
            watch: None,
            pending: None,
            news: VecDeque::new(),
        };
        let task = tokio::spawn(stop.clone().run_until_cancelled_owned(task.run()));
        let task = tokio::spawn(async move { _ = task.await });
        Self { commands, stop, task }
    }

    pub async fn close(self) {
        self.stop.cancel();
        _ = self.task.await;
    }
}

struct Timer {
    due: Instant,
    every: Option<Duration>,
}

struct Task {
    host: Arc<Host>,
    slot: Arc<Slot>,
    commands: mpsc::Receiver<Command>,
    subscriptions: Vec<(Vec<Pattern>, Subscription)>,
    timers: BTreeMap<String, Timer>,
    watch: Option<(Scope, mpsc::Receiver<Batch>)>,
    /// The one event that waits for room in the mailbox.
    pending: Option<Event>,
    /// News that wait behind it, at most `PLUGIN_NEWS_MAX`; one more is dropped, and said in the log.
    news: VecDeque<Event>,
}

impl Task {
    async fn run(mut self) {
        let mailbox = self.slot.mailbox().clone();
        loop {
            self.pending = self.pending.take().or_else(|| self.news.pop_front());
            let free = self.pending.is_none();
            let due = self.timers.values().map(|timer| timer.due).min();
            // Every branch may be dropped: none has taken anything when it is.
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                room = mailbox.room(), if !free => {
                    if let Some(event) = self.pending.take() {
                        mailbox.send(room, Message::Event(event));
                    }
                }
                delivery = next_delivery(&mut self.subscriptions), if free && !self.subscriptions.is_empty() => self.deliver(delivery),
                batch = next_batch(&mut self.watch), if free && self.watch.is_some() => match batch {
                    Some(batch) => self.pending = Some(direct("midplane.files", &changes(&batch))),
                    None => self.watch = None,
                },
                () = sleep_until(due), if free && due.is_some() => self.fire(),
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            // Whoever asked may be gone: the subscription is the plugin's.
            Command::Subscribe { patterns, done } => _ = done.send(self.subscribe(patterns)),
            Command::Unsubscribe(patterns) => {
                for (kept, subscription) in &mut self.subscriptions {
                    let before = kept.len();
                    kept.retain(|pattern| !patterns.contains(pattern));
                    if kept.len() != before
                        && !kept.is_empty()
                        && let Ok((_, new)) = self
                            .host
                            .parts
                            .broker
                            .subscribe(&SubscribeOptions { patterns: kept.clone(), ..SubscribeOptions::default() })
                    {
                        *subscription = new;
                    }
                }
                self.subscriptions.retain(|(kept, _)| !kept.is_empty());
            }
            Command::SetTimer { name, every, repeat, done } => {
                let room = self.timers.len() < TIMERS_MAX || self.timers.contains_key(&name);
                if room {
                    let timer = Timer { due: Instant::now() + every, every: repeat.then_some(every) };
                    self.timers.insert(name, timer);
                }
                _ = done.send(room);
            }
            Command::CancelTimer { name, done } => _ = done.send(self.timers.remove(&name).is_some()),
            Command::Watch(scope) => self.watch(scope),
            Command::News { topic, payload } => {
                if self.news.len() < PLUGIN_NEWS_MAX {
                    self.news.push_back(event(topic, payload));
                } else {
                    self.slot.log("warn", &format!("news on {topic} was dropped: {PLUGIN_NEWS_MAX} wait already"));
                }
            }
        }
    }

    /// Another generation may have other grants.
    fn watch(&mut self, scope: Option<Scope>) {
        let same = self.watch.as_ref().map(|(watched, _)| watched) == scope.as_ref();
        if !same {
            self.watch = scope.map(|scope| (scope.clone(), self.host.parts.watcher.subscribe(scope)));
        }
    }

    fn subscribe(&mut self, patterns: Vec<Pattern>) -> Result<(), Fault> {
        let covered = |pattern: &Pattern| {
            self.subscriptions.iter().any(|(have, _)| have.iter().any(|have| have.contains(pattern)))
        };
        let patterns: Vec<Pattern> = patterns.into_iter().filter(|pattern| !covered(pattern)).collect();
        if patterns.is_empty() {
            return Ok(());
        }
        let held: usize = self.subscriptions.iter().map(|(have, _)| have.len()).sum();
        if held + patterns.len() > PLUGIN_PATTERNS_MAX {
            let message = format!(
                "{} subscribes to {held} patterns, {PLUGIN_PATTERNS_MAX} are the limit; unsubscribe from some, or use wider ones",
                self.slot.name
            );
            return Err(Fault::new(ErrorCode::QuotaExceeded, message).with("limit", PLUGIN_PATTERNS_MAX));
        }
        let options = SubscribeOptions { patterns: patterns.clone(), ..SubscribeOptions::default() };
        let (_, subscription) = self.host.parts.broker.subscribe(&options)?;
        self.subscriptions.push((patterns, subscription));
        Ok(())
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Event { event, .. } => {
                self.pending = Some(Event {
                    stream: event.stream.to_string(),
                    epoch: event.epoch.to_string(),
                    seq: event.seq,
                    topic: event.topic.to_string(),
                    time: rfc3339(event.time),
                    payload: event.payload.get().to_owned(),
                    origin: origin(&event.origin),
                    request: event.request.as_deref().map(str::to_owned),
                });
            }
            Delivery::Gap { .. } => {
                self.slot.log("warn", "events were lost: the log moved on before this plugin read them");
            }
            _ => {}
        }
    }

    fn fire(&mut self) {
        let now = Instant::now();
        let Some(name) = self.timers.iter().find(|(_, timer)| timer.due <= now).map(|(name, _)| name.clone()) else {
            return;
        };
        match self.timers.get_mut(&name) {
            Some(Timer { due, every: Some(every) }) => *due = now + *every,
            _ => _ = self.timers.remove(&name),
        }
        self.pending = Some(direct("midplane.timer", &json!({ "name": name })));
    }
}

/// The next delivery of any subscription. Dropping it loses nothing, as with each subscription's own.
async fn next_delivery(subscriptions: &mut [(Vec<Pattern>, Subscription)]) -> Delivery {
    let mut all: FuturesUnordered<_> = subscriptions.iter_mut().map(|(_, subscription)| subscription.next()).collect();
    match all.next().await {
        Some(delivery) => delivery,
        None => std::future::pending().await,
    }
}

async fn next_batch(watch: &mut Option<(Scope, mpsc::Receiver<Batch>)>) -> Option<Batch> {
    match watch {
        Some((_, watch)) => watch.recv().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn origin(origin: &midplane_model::Origin) -> Origin {
    let text = |part: &Option<Arc<str>>| part.as_deref().map(str::to_owned);
    Origin { principal: text(&origin.principal), plugin: text(&origin.plugin), request_id: text(&origin.request_id) }
}

fn direct(topic: &str, payload: &serde_json::Value) -> Event {
    event(topic, payload.to_string())
}

fn event(topic: &str, payload: String) -> Event {
    Event {
        stream: String::new(),
        epoch: String::new(),
        seq: 0,
        topic: topic.to_owned(),
        time: rfc3339(SystemTime::now()),
        payload,
        origin: Origin { principal: None, plugin: None, request_id: None },
        request: None,
    }
}

fn changes(batch: &Batch) -> serde_json::Value {
    let change = |change: &Change| {
        let kind = match change.kind {
            ChangeKind::Created => "created",
            ChangeKind::Modified => "modified",
            ChangeKind::Deleted => "deleted",
            ChangeKind::Moved => "moved",
        };
        let mut json = json!({ "kind": kind, "path": change.path.as_str(), "dir": change.dir });
        if let Some(from) = &change.from {
            json["from"] = from.as_str().into();
        }
        if let Some(version) = &change.version {
            json["version"] = version.as_str().into();
        }
        if let Some(request) = &change.origin {
            json["request_id"] = (**request).into();
        }
        json
    };
    let mut json = json!({ "changes": batch.changes.iter().map(change).collect::<Vec<_>>() });
    if let Some(rescan) = &batch.rescan {
        json["rescan"] = rescan.path.as_str().into();
        json["repaired"] = rescan.repaired.into();
    }
    if let Some(degraded) = &batch.degraded {
        let (path, reason) = (degraded.path.as_str(), degraded.reason);
        json["degraded"] = json!({ "path": path, "reason": reason.code(), "message": reason.to_string() });
    }
    json
}
