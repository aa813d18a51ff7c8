//! Callers that keep a pace: a call is due when it is due, however late the answers before it are. A caller that waits for
//! each answer would not call while the host makes it wait, and would measure nothing of the wait.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinHandle, time::MissedTickBehavior};
use tokio_tungstenite::tungstenite::Message;

use crate::{Host, client::open, said};

/// Calls of one caller in flight. The host refuses more than 64 on a connection, so this is where a pace gives way.
const IN_FLIGHT_MAX: usize = 60;

/// What a paced call got.
#[derive(Debug)]
pub struct Paced {
    /// The whole response.
    pub response: Value,
    /// From the moment when the call was due.
    pub latency: Duration,
}

/// A caller with a socket of its own.
pub struct Caller {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Vec<Paced>>>,
}

impl Caller {
    /// Calls the same again and again, `every` so often, until it is stopped.
    pub async fn start(host: &Host, method: &str, params: Value, every: Duration) -> Result<Self> {
        let socket = open(&host.url, &host.token).await?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(keep_calling(socket, method.to_owned(), params, every, stopped));
        Ok(Self { stop, task })
    }

    /// Stops, waits for what is in flight, and gives everything in the order in which it was sent.
    pub async fn stop(self) -> Result<Vec<Paced>> {
        // A caller that has ended by itself has an error to tell.
        _ = self.stop.send(());
        self.task.await?
    }
}

async fn keep_calling(
    mut socket: crate::client::Socket,
    method: String,
    params: Value,
    every: Duration,
    mut stopped: oneshot::Receiver<()>,
) -> Result<Vec<Paced>> {
    let begin = Instant::now();
    let mut ticks = tokio::time::interval_at(begin.into(), every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut sent, mut sending) = (0_u64, true);
    let mut due: HashMap<u64, Instant> = HashMap::new();
    let mut answered: HashMap<u64, Paced> = HashMap::new();
    while sending || !due.is_empty() {
        tokio::select! {
            _ = &mut stopped, if sending => sending = false,
            at = ticks.tick(), if sending && due.len() < IN_FLIGHT_MAX => {
                let request = json!({ "jsonrpc": "2.0", "id": sent, "method": method, "params": params });
                socket.send(Message::text(request.to_string())).await?;
                due.insert(sent, at.into_std());
                sent += 1;
            }
            message = said(&mut socket) => {
                let Message::Text(text) = message.context("no answer came")? else { continue };
                let response: Value = serde_json::from_str(&text)?;
                let id = response["id"].as_u64().with_context(|| format!("no answer: {response}"))?;
                let Some(at) = due.remove(&id) else { bail!("answered twice, or never asked: {response}") };
                answered.insert(id, Paced { response, latency: at.elapsed() });
            }
        }
    }
    (0..sent).map(|id| answered.remove(&id).with_context(|| format!("call {id} was not answered"))).collect()
}
