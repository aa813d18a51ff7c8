//! Event subscriptions of one socket: a task each, from the broker's log to the event lane.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use midplane_broker::{Delivery, Subscription};
use midplane_model::{ErrorCode, Fault, limits::SUBSCRIPTIONS_MAX};
use midplane_protocol::notification;
use serde_json::json;
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
    open: HashMap<u64, CancellationToken>,
}

impl Subscriptions {
    pub(crate) fn len(&self) -> usize {
        self.lock().open.len()
    }

    /// Ends a subscription. One that is not there is no error.
    pub(crate) fn close(&self, number: u64) {
        if let Some(cancel) = self.lock().open.remove(&number) {
            cancel.cancel();
        }
    }

    fn add(&self, cancel: CancellationToken) -> Result<u64, Fault> {
        let mut table = self.lock();
        if table.open.len() >= SUBSCRIPTIONS_MAX {
            let message = format!("a connection has at most {SUBSCRIPTIONS_MAX} subscriptions; end one");
            return Err(Fault::new(ErrorCode::QuotaExceeded, message).with("limit", SUBSCRIPTIONS_MAX));
        }
        table.last += 1;
        let number = table.last;
        table.open.insert(number, cancel);
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
    let number = connection.subscriptions.add(cancel.clone())?;
    let owner = connection.clone();
    connection.tasks.spawn(async move {
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = async { if answered.delivered().await { deliver(&owner, number, &mut subscription).await } } => {}
        }
        owner.subscriptions.close(number);
    });
    Ok(number)
}

/// Draws the next delivery only when the last one is queued: while the socket is slow the broker keeps a position for this
/// subscription, not messages.
async fn deliver(connection: &Connection, number: u64, subscription: &mut Subscription) {
    loop {
        let Some(text) = message(number, subscription.next().await) else {
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
