//! Who is inside an instance now, and whom an import serves.
//!
//! Several calls may overlap in one instance. Each is a task of its own to wasmtime, which knows the running one whenever the
//! guest leaves for the host; so every import acts for exactly the call that it belongs to.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use midplane_model::{CallContext, Deadline, ErrorCode, Fault, Reply, limits::CALLS_GIVEN_UP_MAX};
use tokio::sync::{Notify, oneshot};
use wasmtime::{CallHook, StoreContextMut, component::GuestTaskId};

use crate::{bindings::Identity, instance::Guest, shapes::Values, waits::Waiter};

/// Keeps [`Guest::serving`] true: set while an import has the store, empty otherwise. So an import that goes on beside
/// others (`async func`) has to take its context before it awaits anything, and finds none later, rather than another's.
pub fn follow(mut store: StoreContextMut<'_, Guest>, hook: CallHook) -> wasmtime::Result<()> {
    let serving = match hook {
        // The oldest task of its stack is the call from outside.
        CallHook::CallingHost => store.async_call_stack()?.last(),
        CallHook::ReturningFromHost => None,
        CallHook::CallingWasm | CallHook::ReturningFromWasm => return Ok(()),
    };
    store.data_mut().serving = serving;
    Ok(())
}

impl Guest {
    /// Who asks, if somebody does: the context of the call that the running import serves. None for events, timers, start and
    /// stop, and when the call has its answer already.
    pub fn caller(&self) -> Option<CallContext> {
        let called = |entry: &Entry| entry.called.then(|| entry.context.clone());
        self.visit.clone().or_else(|| self.inside.served(self.serving, called).flatten())
    }

    /// The context for what the running import asks of others: that of the call it serves, or the plugin's own. What a visit
    /// asks is the visitor's, and the beginning of a chain: the instance is no actor that could be waiting for itself.
    pub fn outgoing(&self) -> CallContext {
        if let Some(visit) = &self.visit {
            let deadline = Deadline::after(self.package.manifest.limits.deadline);
            return CallContext { deadline, page: Some(self.slot.name.clone()), ..visit.clone() };
        }
        let context = |entry: &Entry| entry.context.clone();
        self.inside.served(self.serving, context).unwrap_or_else(|| self.slot.own_context())
    }
}

impl Guest {
    /// The instance, if it does nothing else while the running import waits: one that is plain, or that of the only call inside.
    /// What answers a page takes from no mailbox, so nobody waits for it.
    pub fn held(&self, is_async: bool) -> Option<Waiter> {
        let alone = !is_async || self.package.manifest.limits.max_concurrency == 1;
        (self.visit.is_none() && alone).then(|| self.waiter.clone())
    }
}

/// Everything that is inside an instance now. Shared by the store, the actor and its watchdog.
#[derive(Clone, Default)]
pub struct Inside(Arc<Shared>);

#[derive(Default)]
struct Shared {
    calls: Mutex<BTreeMap<u64, Place>>,
    changed: Notify,
    given_up: AtomicUsize,
}

struct Place {
    /// None until the guest is entered, and for what the host does without a mailbox (start, save).
    task: Option<GuestTaskId>,
    entry: Entry,
    gone: Arc<Notify>,
}

pub struct Entry {
    pub context: CallContext,
    /// Whether a caller asked, rather than an event.
    pub called: bool,
    pub answer: Answer,
}

impl Entry {
    /// Tells whoever waits that the guest failed; or that it is too late, if it is.
    pub fn fail(self, reason: &str) {
        if self.context.deadline.remaining().is_zero() {
            return self.answer.fail(self.context.deadline.fault());
        }
        let plugin = self.context.chain.last().map(ToString::to_string).unwrap_or_default();
        let fault = Fault::new(ErrorCode::PluginFailed, format!("{plugin} failed while serving this call"))
            .with("plugin", plugin)
            .with("trap", reason);
        self.answer.fail(fault);
    }
}

/// Who waits for the result.
pub enum Answer {
    Json(oneshot::Sender<Result<Reply, Fault>>),
    Values(oneshot::Sender<Result<Values, Fault>>),
    Identity(oneshot::Sender<Result<Option<Identity>, Fault>>),
    Nobody,
}

impl Answer {
    pub fn fail(self, fault: Fault) {
        // A caller that is gone no longer needs it.
        match self {
            Self::Json(reply) => _ = reply.send(Err(fault)),
            Self::Values(reply) => _ = reply.send(Err(fault)),
            Self::Identity(reply) => _ = reply.send(Err(fault)),
            Self::Nobody => {}
        }
    }
}

impl Inside {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Place>> {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives what is notified when the entry is given up.
    pub fn enter(&self, id: u64, entry: Entry) -> Arc<Notify> {
        let gone = Arc::new(Notify::new());
        self.lock().insert(id, Place { task: None, entry, gone: gone.clone() });
        self.0.changed.notify_one();
        gone
    }

    /// The guest was entered for the entry `id`.
    pub fn began(&self, id: u64, task: GuestTaskId) {
        if let Some(place) = self.lock().get_mut(&id) {
            place.task = Some(task);
        }
    }

    pub fn leave(&self, id: u64) -> Option<Entry> {
        let place = self.lock().remove(&id);
        self.0.changed.notify_one();
        place.map(|place| place.entry)
    }

    /// Answers the call of a task that will never end, as failed. False when too many were given up already: each keeps what
    /// it had in the guest's memory until the instance ends.
    pub fn give_up(&self, task: Option<GuestTaskId>, reason: &str) -> bool {
        let count = self.0.given_up.fetch_add(1, Ordering::Relaxed);
        if count >= CALLS_GIVEN_UP_MAX {
            return false;
        }
        let mut calls = self.lock();
        let id = calls.iter().rev().find(|(_, place)| place.task == task).map(|(id, _)| *id);
        let place = id.and_then(|id| calls.remove(&id));
        drop(calls);
        if let Some(Place { entry, gone, .. }) = place {
            entry.fail(reason);
            gone.notify_one();
            self.0.changed.notify_one();
        }
        true
    }

    /// Removes everything, to be told that the instance failed.
    pub fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut *self.lock()).into_values().map(|place| place.entry).collect()
    }

    /// The newest entry of a task, because wasmtime gives the number of a task that has ended to another one. A task that
    /// is not inside, or not any more, works for what the host does without a mailbox, if that is inside.
    fn served<T>(&self, task: Option<GuestTaskId>, look: impl FnOnce(&Entry) -> T) -> Option<T> {
        let calls = self.lock();
        let of = |task| calls.values().rev().find(|place| place.task == task);
        task.and_then(|task| of(Some(task))).or_else(|| of(None)).map(|place| look(&place.entry))
    }

    /// Resolves when something inside has been there longer than its deadline and `grace`.
    pub async fn overdue(&self, grace: Duration) {
        loop {
            let earliest: Option<Instant> = self.lock().values().map(|place| place.entry.context.deadline.at()).min();
            match earliest {
                None => self.0.changed.notified().await,
                Some(at) => tokio::select! {
                    () = self.0.changed.notified() => {}
                    () = tokio::time::sleep_until((at + grace).into()) => return,
                },
            }
        }
    }
}
