//! Event subscriptions of one socket: a task each, from the broker's log to the event lane.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use midplane_broker::{Delivery, OnGap, Since, SubscribeReport, Subscription};
use midplane_model::{ErrorCode, Fault, limits::SUBSCRIPTIONS_MAX};
use midplane_protocol::notification;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    Connection,
    calls::Answered,
    closing::CloseReason,
    place::{Away, Delivered, Kept, Question, Reach, Wish},
};

/// Open subscriptions by number; at most `SUBSCRIPTIONS_MAX`, one more is `quota_exceeded`.
#[derive(Default)]
pub(crate) struct Subscriptions {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last: u64,
    open: HashMap<u64, Open>,
    /// What the last ping asks the client to confirm, and the number of that ping.
    asked: Option<(u64, Vec<Question>)>,
    pings: u64,
}

struct Open {
    wish: Wish,
    reach: Reach,
    cancel: CancellationToken,
    /// One waits for the task; further calls wait for their turn.
    recoveries: mpsc::Sender<(Recovery, oneshot::Sender<Recovered>)>,
}

/// Where a subscription shall go on.
pub(crate) struct Recovery {
    pub since: Since,
    pub on_gap: OnGap,
    /// What follows the recovery waits for the answer of the call that asked for it.
    pub answered: Answered,
}

/// The number of the last event before the recovery, and what was decided.
type Recovered = (u64, SubscribeReport);

impl Subscriptions {
    pub(crate) fn len(&self) -> usize {
        self.lock().open.len()
    }

    /// The number of a ping behind which everything that has been queued is confirmed. None while another one is on its way,
    /// and where there is nothing to confirm.
    pub(crate) fn ask(&self) -> Option<u64> {
        let mut table = self.lock();
        if table.asked.is_some() || table.open.is_empty() {
            return None;
        }
        table.pings += 1;
        let questions = table.open.values().map(|open| open.reach.question()).collect();
        let number = table.pings;
        table.asked = Some((number, questions));
        Some(number)
    }

    /// The client has answered a ping: it has everything that was queued before.
    pub(crate) fn confirm(&self, ping: u64) {
        let asked = self.lock().asked.take_if(|(number, _)| *number == ping);
        asked.into_iter().flat_map(|(_, questions)| questions).for_each(Question::confirm);
    }

    /// Ends all subscriptions and gives what is left of them to whoever goes on with the session.
    pub(crate) fn take(&self) -> Away {
        let mut table = self.lock();
        table.asked = None;
        let kept = |(number, open): (u64, Open)| {
            open.cancel.cancel();
            Kept::new(number, open.wish, &open.reach)
        };
        let open = std::mem::take(&mut table.open);
        Away { last: table.last, subscriptions: open.into_iter().map(kept).collect() }
    }

    /// Numbers that the session has given out before are not given out again.
    pub(crate) fn follow(&self, last: u64) {
        let mut table = self.lock();
        table.last = table.last.max(last);
    }

    /// Ends a subscription. One that is not there is no error.
    pub(crate) fn close(&self, number: u64) {
        if let Some(open) = self.lock().open.remove(&number) {
            open.cancel.cancel();
        }
    }

    /// Moves a subscription to other positions; none when it is not there. Waits while the delivery before it waits for the
    /// socket. Cancel safe: dropped, the subscription may have moved or not.
    pub(crate) async fn recover(&self, number: u64, recovery: Recovery) -> Option<Recovered> {
        let recoveries = self.lock().open.get(&number)?.recoveries.clone();
        let (done, recovered) = oneshot::channel();
        recoveries.send((recovery, done)).await.ok()?;
        recovered.await.ok()
    }

    fn add(&self, number: Option<u64>, open: Open) -> Result<u64, Fault> {
        let mut table = self.lock();
        if table.open.len() >= SUBSCRIPTIONS_MAX {
            let message = format!("a connection has at most {SUBSCRIPTIONS_MAX} subscriptions; end one");
            return Err(Fault::new(ErrorCode::QuotaExceeded, message).with("limit", SUBSCRIPTIONS_MAX));
        }
        let number = number.unwrap_or_else(|| {
            table.last += 1;
            table.last
        });
        table.open.insert(number, open);
        Ok(number)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A subscription that begins or goes on.
pub(crate) struct Beginning {
    /// None: the next one.
    pub number: Option<u64>,
    /// `n` of the last event that its client was sent before.
    pub n: u64,
    pub wish: Wish,
}

/// Delivers a subscription on this connection. The first event follows the answer of the call that `answered` is about; if
/// that answer is no success, nothing follows and the subscription ends.
///
/// # Errors
/// `quota_exceeded`.
pub(crate) fn open(
    connection: &Arc<Connection>,
    beginning: Beginning,
    report: &SubscribeReport,
    mut subscription: Subscription,
    answered: Answered,
) -> Result<u64, Fault> {
    let Beginning { number, n, wish } = beginning;
    let cancel = connection.closing.child_token();
    let (recoveries, asked) = mpsc::channel(1);
    let reach = Reach::begin(n, report);
    let entry = Open { wish, reach: reach.clone(), cancel: cancel.clone(), recoveries };
    let number = connection.subscriptions.add(number, entry)?;
    let owner = connection.clone();
    connection.tasks.spawn(async move {
        let delivery = Deliveries { connection: &owner, number, before: n, reach };
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = async { if answered.delivered().await { delivery.run(&mut subscription, asked).await } } => {}
        }
        // With its connection a subscription ends and is not forgotten: a session may go on with it.
        if owner.closing.reason().is_none() {
            owner.subscriptions.close(number);
        }
    });
    Ok(number)
}

struct Deliveries<'a> {
    connection: &'a Connection,
    number: u64,
    /// Events that were numbered on former connections.
    before: u64,
    reach: Reach,
}

impl Deliveries<'_> {
    /// Draws the next delivery only when the last one is queued: while the socket is slow the broker keeps a position for this
    /// subscription, not messages.
    async fn run(
        self,
        subscription: &mut Subscription,
        mut asked: mpsc::Receiver<(Recovery, oneshot::Sender<Recovered>)>,
    ) {
        loop {
            let delivery = tokio::select! {
                biased;
                // The table keeps the sender for as long as this task runs.
                Some((recovery, done)) = asked.recv() => {
                    let report = subscription.recover(&recovery.since, recovery.on_gap);
                    self.reach.moved(&report);
                    // A caller that is gone does not hear of it, and the events say where they stand.
                    _ = done.send((self.before + subscription.delivered(), report));
                    recovery.answered.delivered().await;
                    continue;
                }
                delivery = subscription.next() => delivery,
            };
            let n = matches!(delivery, Delivery::Event { .. }).then(|| self.before + subscription.delivered());
            let (Some(text), Some(delivered)) = (self.message(&delivery, n), Delivered::of(&delivery, n)) else {
                // The client asked to be closed when it is too slow (contract, section 6: slow_consumer).
                self.connection.closing.request(CloseReason::SlowConsumer);
                return;
            };
            if self.connection.lanes.event(text).await.is_err() {
                return;
            }
            self.reach.queued(&delivered);
        }
    }

    fn message(&self, delivery: &Delivery, n: Option<u64>) -> Option<String> {
        let number = self.number;
        Some(match delivery {
            Delivery::Event { event, replay, .. } => {
                let replay = if *replay { r#","replay":true"# } else { "" };
                let n = n.unwrap_or_default();
                let params = format!(r#"{{"subscription":{number},{},"n":{n}{replay}}}"#, event.shared_json());
                notification("event", &params)
            }
            Delivery::Cursor { stream, epoch, seq } => {
                let params = json!({"subscription": number, "stream": stream, "epoch": epoch, "seq": seq});
                notification("event.cursor", &params.to_string())
            }
            Delivery::Gap { stream, epoch, after, resume_at, lost_at_least, reason } => {
                let params = json!({
                    "subscription": number, "stream": stream, "epoch": epoch, "after": after, "resume_at": resume_at,
                    "lost_at_least": lost_at_least, "reason": reason,
                });
                notification("event.gap", &params.to_string())
            }
            Delivery::Closed => return None,
        })
    }
}
