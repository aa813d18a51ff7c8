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

use super::{Connection, calls::Answered, closing::CloseReason};

/// Open subscriptions by number; at most `SUBSCRIPTIONS_MAX`, one more is `quota_exceeded`.
#[derive(Default)]
pub(crate) struct Subscriptions {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last: u64,
    open: HashMap<u64, Open>,
}

struct Open {
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

    fn add(&self, open: Open) -> Result<u64, Fault> {
        let mut table = self.lock();
        if table.open.len() >= SUBSCRIPTIONS_MAX {
            let message = format!("a connection has at most {SUBSCRIPTIONS_MAX} subscriptions; end one");
            return Err(Fault::new(ErrorCode::QuotaExceeded, message).with("limit", SUBSCRIPTIONS_MAX));
        }
        table.last += 1;
        let number = table.last;
        table.open.insert(number, open);
        Ok(number)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivers a subscription on this connection. The first event follows the answer of the call that `answered` is about; if
/// that answer is no success, nothing follows and the subscription ends.
///
/// # Errors
/// `quota_exceeded`.
pub(crate) fn open(
    connection: &Arc<Connection>,
    mut subscription: Subscription,
    answered: Answered,
) -> Result<u64, Fault> {
    let cancel = connection.closing.child_token();
    let (recoveries, asked) = mpsc::channel(1);
    let number = connection.subscriptions.add(Open { cancel: cancel.clone(), recoveries })?;
    let owner = connection.clone();
    connection.tasks.spawn(async move {
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = async { if answered.delivered().await { deliver(&owner, number, &mut subscription, asked).await } } => {}
        }
        owner.subscriptions.close(number);
    });
    Ok(number)
}

/// Draws the next delivery only when the last one is queued: while the socket is slow the broker keeps a position for this
/// subscription, not messages.
async fn deliver(
    connection: &Connection,
    number: u64,
    subscription: &mut Subscription,
    mut asked: mpsc::Receiver<(Recovery, oneshot::Sender<Recovered>)>,
) {
    loop {
        let delivery = tokio::select! {
            biased;
            // The table keeps the sender for as long as this task runs.
            Some((recovery, done)) = asked.recv() => {
                let report = subscription.recover(&recovery.since, recovery.on_gap);
                // A caller that is gone does not hear of it, and the events say where they stand.
                _ = done.send((subscription.delivered(), report));
                recovery.answered.delivered().await;
                continue;
            }
            delivery = subscription.next() => delivery,
        };
        let Some(text) = message(number, delivery) else {
            // The client asked to be closed when it is too slow (contract, section 6: slow_consumer).
            connection.closing.request(CloseReason::SlowConsumer);
            return;
        };
        if connection.lanes.event(text).await.is_err() {
            return;
        }
    }
}

fn message(number: u64, delivery: Delivery) -> Option<String> {
    Some(match delivery {
        Delivery::Event { n, event, replay } => {
            let replay = if replay { r#","replay":true"# } else { "" };
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
