//! What the client of a session has received, learned from its pongs: a ping behind everything that is queued is answered when all of
//! that has arrived. So a session knows where to go on when its client does not say it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::Connection;

/// Asks until the connection ends, once in a `period`, and one question at a time.
pub(crate) fn start(connection: &Arc<Connection>, period: Duration) {
    let owner = connection.clone();
    connection.tasks.spawn(async move {
        tokio::select! {
            () = owner.closing.requested() => {}
            () = ask(&owner, period) => {}
        }
    });
}

async fn ask(connection: &Connection, period: Duration) {
    let mut due = interval_at(Instant::now() + period, period);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        if let Some(number) = connection.subscriptions.ask() {
            let payload = Bytes::copy_from_slice(&number.to_be_bytes());
            if connection.lanes.ping(payload).await.is_err() {
                return;
            }
        }
    }
}

/// A pong came. One that answers no question, as those of the heartbeat, says nothing.
pub(crate) fn answered(connection: &Connection, payload: &[u8]) {
    if let Ok(number) = payload.try_into() {
        connection.subscriptions.confirm(u64::from_be_bytes(number));
    }
}
