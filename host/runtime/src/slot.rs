//! The address of a plugin: it outlives generations. Calls go into its bounded mailbox; whoever serves the plugin now, or
//! will after a reload, takes them out in order. That is why a reload loses and reorders nothing.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use midplane_model::{
    BoxFuture, Call, CallContext, Deadline, ErrorCode, Fault, PluginName, Principal, Reply,
    limits::{HTTP_CONNECTIONS_MAX, PLUGIN_LOG_LINES_PER_SECOND_MAX},
    schema::Function,
};
use midplane_router::{Method, Service};
use semver::Version;
use serde_json::Value;
use tokio::sync::{Semaphore, oneshot};

use crate::{
    bindings::{Credential, Event, Identity},
    http::InFlight,
    life::State,
    lock::GrantSet,
    log_book::LogBook,
    log_budget::{Admission, LogBudget},
    log_line::LogLine,
    mailbox::{Mailbox, Refused},
    metrics::{Metrics, Pending},
    shapes::Values,
};

/// What the mailbox holds.
pub enum Message {
    /// A call by method name, with JSON parameters.
    Call { method: Arc<str>, params: Value, context: CallContext, reply: oneshot::Sender<Result<Reply, Fault>> },
    /// A call by another plugin, with component values of the type that it expects.
    Typed {
        interface: Arc<str>,
        expects: Arc<Function>,
        args: Values,
        context: CallContext,
        reply: oneshot::Sender<Result<Values, Fault>>,
    },
    /// For the `subscriber` export. No reply.
    Event(Event),
    /// For the `authenticator` export.
    Credential { credential: Credential, context: CallContext, reply: oneshot::Sender<Result<Option<Identity>, Fault>> },
}

/// What `plugin.list` says.
#[derive(Debug, Clone)]
pub struct Status {
    pub state: State,
    /// Why it is in this state.
    pub reason: String,
    pub version: String,
    pub generation: u64,
    /// The manifest's deadline for a call.
    pub deadline: Duration,
}

/// Files that are newer than what runs, and why they do not.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Newer {
    pub reason: String,
    /// What the manifest and the files say, where they were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Grants that wait for approval.
    #[serde(skip_serializing_if = "GrantSet::is_empty")]
    pub added: GrantSet,
}

pub struct Slot {
    pub name: PluginName,
    /// Requests for its pages that are being answered.
    pub visits: InFlight,
    pub metrics: Metrics,
    /// Connections to other servers that its instances may have at the same time; one more is refused.
    pub connections: Arc<Semaphore>,
    mailbox: Arc<Mailbox>,
    status: Mutex<Status>,
    pub logs: LogBook,
    /// The newest files, where they are not what runs.
    newer: Mutex<Option<Newer>>,
    log_budget: LogBudget,
}

impl Slot {
    /// `queue` calls may wait; one more is `unavailable`.
    pub fn new(name: PluginName, queue: usize, status: Status) -> Arc<Self> {
        Arc::new(Self {
            name,
            visits: InFlight::default(),
            metrics: Metrics::default(),
            connections: Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX)),
            mailbox: Mailbox::new(queue),
            status: Mutex::new(status),
            logs: LogBook::default(),
            newer: Mutex::default(),
            log_budget: LogBudget::default(),
        })
    }

    pub fn status(&self) -> Status {
        self.lock().clone()
    }

    /// Changes the status. Calls that wait are refused when nobody will take them any more.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        let mut status = self.lock();
        change(&mut status);
        if !matches!(status.state, State::Running | State::Degraded | State::Reloading) {
            self.metrics.pauses.forget();
        }
        let status = status.clone();
        if status.state.takes_calls() {
            self.mailbox.open();
            return;
        }
        let fault = self.unavailable(&status);
        for message in self.mailbox.shut() {
            // Who asked may be gone.
            match message {
                Message::Call { reply, .. } => _ = reply.send(Err(fault.clone())),
                Message::Typed { reply, .. } => _ = reply.send(Err(fault.clone())),
                Message::Credential { reply, .. } => _ = reply.send(Err(fault.clone())),
                Message::Event(_) => {}
            }
        }
    }

    pub fn newer(&self) -> Option<Newer> {
        self.newer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_newer(&self, newer: Option<Newer>) {
        *self.newer.lock().unwrap_or_else(PoisonError::into_inner) = newer;
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Messages in the mailbox.
    pub fn queued(&self) -> usize {
        self.mailbox.len()
    }

    /// A line of the host in the plugin's log.
    pub fn log(&self, level: &'static str, message: &str) {
        self.log_line(LogLine::new(level, message, Vec::new()));
    }

    /// A line of the guest, as far as its budget goes.
    pub fn guest_line(&self, line: LogLine) {
        let Admission { kept, dropped_before } = self.log_budget.admit(Instant::now());
        if dropped_before > 0 {
            let max = PLUGIN_LOG_LINES_PER_SECOND_MAX;
            self.log("warn", &format!("{dropped_before} log lines were dropped: more than {max} a second"));
        }
        if kept {
            self.log_line(line);
        } else {
            self.metrics.log_lines_dropped.add(1);
        }
    }

    fn log_line(&self, line: LogLine) {
        line.trace(&self.name);
        self.logs.push(line);
    }

    /// The context of what the plugin does on its own (events, timers, start).
    pub fn own_context(&self) -> CallContext {
        let principal = Principal { name: format!("plugin:{}", self.name).into(), scopes: Principal::owner().scopes };
        let request_id = format!("p-{}", random_hex());
        let context = CallContext::new(request_id, Arc::new(principal), self.status().deadline);
        CallContext { chain: Arc::from([self.name.clone()]), ..context }
    }

    /// A typed call by another plugin.
    ///
    /// # Errors
    /// `cycle`, `plugin_unavailable`, `unavailable`, `timeout`, `plugin_failed`.
    pub async fn call_typed(
        &self,
        interface: Arc<str>,
        expects: Arc<Function>,
        args: Values,
        context: &CallContext,
    ) -> Result<Values, Fault> {
        self.ask(context, |context, reply| Message::Typed { interface, expects, args, context, reply }).await
    }

    /// Who comes with a credential, as the plugin says.
    ///
    /// # Errors
    /// `plugin_unavailable`, `unavailable`, `timeout`, `plugin_failed`, and what the plugin answers instead.
    pub async fn authenticate(&self, credential: Credential, limit: Duration) -> Result<Option<Identity>, Fault> {
        // Nobody calls yet; who it is, is the question.
        let context = CallContext { chain: Arc::from([]), deadline: Deadline::after(limit), ..self.own_context() };
        self.ask(&context, |context, reply| Message::Credential { credential, context, reply }).await
    }

    async fn ask<T>(
        &self,
        context: &CallContext,
        message: impl FnOnce(CallContext, oneshot::Sender<Result<T, Fault>>) -> Message,
    ) -> Result<T, Fault> {
        let mut pending = self.metrics.call(context.deadline);
        let answer = self.deliver(&mut pending, context, message).await;
        pending.settle(&answer);
        answer
    }

    async fn deliver<T>(
        &self,
        pending: &mut Pending<'_>,
        context: &CallContext,
        message: impl FnOnce(CallContext, oneshot::Sender<Result<T, Fault>>) -> Message,
    ) -> Result<T, Fault> {
        let status = self.status();
        if !status.state.takes_calls() {
            return Err(self.unavailable(&status));
        }
        let mut context = context.enter(&self.name)?;
        context.deadline = context.deadline.capped(status.deadline);
        let deadline = context.deadline;
        let (reply, answer) = oneshot::channel();
        self.mailbox.try_send(message(context, reply)).map_err(|refused| match refused {
            Refused::Full { capacity } => self.busy(capacity),
            Refused::Shut => self.unavailable(&self.status()),
        })?;
        pending.accepted(self.queued());
        match tokio::time::timeout_at(deadline.at().into(), answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(self.unavailable(&self.status())),
            Err(_) => Err(deadline.fault()),
        }
    }

    pub fn unavailable(&self, status: &Status) -> Fault {
        let message = format!("{} is {}: {}", self.name, status.state.as_str(), status.reason);
        Fault::new(ErrorCode::PluginUnavailable, message)
            .with("plugin", self.name.as_str())
            .with("state", status.state.as_str())
    }

    fn busy(&self, capacity: usize) -> Fault {
        Fault::new(ErrorCode::Unavailable, format!("{capacity} calls wait for {} already; try again", self.name))
            .with("busy", self.name.as_str())
            .retry_after_ms(50)
    }
}

/// Serves the methods of the registry.
pub struct SlotService(pub Arc<Slot>);

impl Service for SlotService {
    fn call(&self, method: &Arc<Method>, call: Call) -> BoxFuture<'static, Result<Reply, Fault>> {
        let (slot, method) = (self.0.clone(), method.name.clone());
        Box::pin(async move {
            let Call { params, context, .. } = call;
            slot.ask(&context, |context, reply| Message::Call { method, params, context, reply }).await
        })
    }
}

pub fn random_hex() -> String {
    // The operating system's random source does not fail after start; a repeated id would only blur a log.
    format!("{:016x}", getrandom::u64().unwrap_or_default())
}
