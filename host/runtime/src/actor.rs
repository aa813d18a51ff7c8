//! The task that owns an instance. Control comes from the supervisor, work from the slot's mailbox, which one generation stops
//! taking from before the next one begins.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::Either, stream::FuturesUnordered};
use midplane_model::{
    CallContext, Deadline,
    limits::{HEALTH_DEADLINE, RELOAD_DRAIN_MAX},
};
use tokio::sync::{mpsc, oneshot};
use wasmtime::component::Accessor;

use crate::{
    bindings::{Ending, Occasion, Reason, Snapshot},
    contract::enter,
    inside::{Answer, Entry, Inside},
    instance::{Exports, Guest, Instance},
    mailbox::Mailbox,
    package::LoadError,
    saved::{Pace, Saved},
    slot::{Message, Slot},
    turn::Turn,
};

/// How long after its deadline a guest may still hold the instance, before the instance is dropped.
const OVERDUE_GRACE: Duration = Duration::from_millis(250);

/// What the supervisor asks of an instance. Answers come through the enclosed channel; a dropped receiver takes a
/// [`Control::HandOver`] back.
pub enum Control {
    /// Take over the state of a former instance, before [`Control::Start`].
    Restore { snapshot: Snapshot, done: oneshot::Sender<Result<(), LoadError>> },
    /// Once, before the first [`Control::Serve`].
    Start { reason: Reason, generation: u64, done: oneshot::Sender<Result<(), LoadError>> },
    /// Take work from this mailbox.
    Serve(Arc<Mailbox>),
    /// Take nothing more: with `save` when nothing is inside any more, together with the state; else at once.
    HandOver { save: bool, done: oneshot::Sender<Result<Option<Snapshot>, LoadError>> },
    /// Ask the guest how it is, as soon as there is room inside. Dropped unanswered if there never is.
    Health { done: oneshot::Sender<Result<(), String>> },
    /// Finish what is inside, stop and end.
    Stop { ending: Ending, done: oneshot::Sender<()> },
}

/// Runs until it is told to stop or the guest fails; then it gives the reason. Checkpoints go to `saved`.
pub async fn run(mut instance: Instance, mut control: mpsc::Receiver<Control>, saved: Arc<Saved>) -> Option<String> {
    let mut mailbox: Option<Arc<Mailbox>> = None;
    let mut restored = false;
    let mut checkpoints = Checkpoints { saved, pace: Pace::new(Instant::now()) };
    let mut next = None;
    loop {
        let order = match next.take() {
            Some(order) => order,
            None => control.recv().await?,
        };
        match order {
            Control::Restore { snapshot, done } => {
                let result = instance.restore(snapshot).await.map(|taken| restored = taken);
                if !answered(done, result) {
                    return None;
                }
            }
            Control::Start { reason, generation, done } => {
                if !answered(done, instance.start(Occasion { reason, restored, generation }).await) {
                    return None;
                }
            }
            Control::Serve(given) => {
                mailbox = Some(given);
                match serve(&mut instance, &mut mailbox, &mut control, &mut checkpoints).await {
                    Ok(order) => next = Some(order?),
                    Err(reason) => {
                        instance.store.data().slot.metrics.traps.add(1);
                        fail_all(&instance.inside, &reason);
                        return Some(reason);
                    }
                }
            }
            Control::HandOver { save, done } => {
                let state = if save { instance.save().await } else { Ok(None) };
                let dead = match &state {
                    Err(error @ (LoadError::Trap { .. } | LoadError::Slow { .. })) => Some(error.to_string()),
                    _ => None,
                };
                let saved = state.is_ok();
                if done.send(state).is_ok() && saved {
                    mailbox = None;
                }
                if dead.is_some() {
                    instance.store.data().slot.metrics.traps.add(1);
                    return dead;
                }
                next = mailbox.take().map(Control::Serve);
            }
            // Nobody serves yet, or any more: nobody needs to know.
            Control::Health { .. } => {}
            Control::Stop { ending, done } => {
                instance.stop(ending).await;
                _ = done.send(());
                return None;
            }
        }
    }
}

/// Whether the instance can go on. Who asked may have stopped waiting: it drops this instance anyway.
fn answered(done: oneshot::Sender<Result<(), LoadError>>, result: Result<(), LoadError>) -> bool {
    let ok = result.is_ok();
    _ = done.send(result);
    ok
}

/// Answers everybody inside an instance that failed.
pub fn fail_all(inside: &Inside, reason: &str) {
    for entry in inside.take() {
        entry.fail(reason);
    }
}

/// Serves the mailbox until control asks for something else. `Ok(None)` when the supervisor is gone.
///
/// The deadline is watched outside of `run_concurrent`, because what is inside is not polled while the guest computes; the
/// guest yields at every epoch, so this select is.
async fn serve(
    instance: &mut Instance,
    mailbox: &mut Option<Arc<Mailbox>>,
    control: &mut mpsc::Receiver<Control>,
    checkpoints: &mut Checkpoints,
) -> Result<Option<Control>, String> {
    let Instance { store, exports, inside } = instance;
    let (slot, limit) = (store.data().slot.clone(), store.data().package.manifest.limits.max_concurrency);
    let work = store.run_concurrent(async |accessor| {
        Work { accessor, exports, inside, slot: &slot, limit }.run(mailbox, control, checkpoints).await
    });
    tokio::select! {
        done = work => done.map_err(|trap| describe(&trap)),
        () = inside.overdue(OVERDUE_GRACE) => Err("the guest was still computing after the deadline of its call".into()),
    }
}

/// The trap as one line; a backtrace belongs in the log.
pub fn describe(trap: &wasmtime::Error) -> String {
    tracing::debug!(error = ?trap, "guest failed");
    match trap.downcast_ref::<wasmtime::Trap>() {
        Some(trap) => trap.to_string(),
        None => trap.root_cause().to_string(),
    }
}

struct Checkpoints {
    saved: Arc<Saved>,
    pace: Pace,
}

struct Work<'a> {
    accessor: &'a Accessor<Guest>,
    exports: &'a Arc<Exports>,
    inside: &'a Inside,
    slot: &'a Slot,
    limit: usize,
}

impl Work<'_> {
    async fn run(
        self,
        mailbox: &mut Option<Arc<Mailbox>>,
        control: &mut mpsc::Receiver<Control>,
        checkpoints: &mut Checkpoints,
    ) -> Option<Control> {
        let mut calls = FuturesUnordered::new();
        let mut ids = 1..;
        let mut leaving: Option<Control> = None;
        let mut health = None;
        let mut taker = self.accessor.with(|mut access| access.get().waiter.taker());
        self.slot.metrics.pauses.end();
        loop {
            taker.set(mailbox.is_some());
            if calls.is_empty() && leaving.is_some() {
                return leaving;
            }
            let room = leaving.is_none() && calls.len() < self.limit;
            if let Some(done) = health.take_if(|_| room) {
                calls.push(Either::Right(self.health(ids.next()?, done)));
            }
            let room = leaving.is_none() && calls.len() < self.limit;
            let due = checkpoints.pace.due().filter(|_| leaving.is_none() && calls.is_empty());
            tokio::select! {
                biased;
                // All of these may be dropped: a call goes on in its set, taking from the mailbox loses nothing.
                Some(()) = calls.next() => {}
                order = control.recv(), if leaving.is_none() => match order? {
                    Control::Serve(given) => {
                        *mailbox = Some(given);
                        self.slot.metrics.pauses.end();
                    }
                    Control::Health { done } => health = Some(done),
                    order => leaving = hand_over_now(order, mailbox, self.slot),
                },
                () = taken_back(&mut leaving) => {
                    self.slot.metrics.pauses.end();
                    leaving = None;
                }
                () = sleep_until(due), if due.is_some() => self.checkpoint(ids.next()?, checkpoints).await,
                message = receive(mailbox), if room => {
                    checkpoints.pace.worked();
                    let (accessor, exports, inside) = (self.accessor, &**self.exports, self.inside);
                    calls.push(Either::Left(Turn { accessor, exports, inside, id: ids.next()? }.serve(message)));
                }
            }
        }
    }

    /// What the plugin does on its own, within `limit`.
    fn own(&self, limit: Duration) -> Entry {
        let context = self.accessor.with(|mut access| access.get().slot.own_context());
        let context = CallContext { deadline: Deadline::after(limit), ..context };
        Entry { context, called: false, answer: Answer::Nobody }
    }

    fn health(&self, id: u64, done: oneshot::Sender<Result<(), String>>) -> impl Future<Output = ()> + use<'_> {
        let (accessor, exports, inside) = (self.accessor, self.exports.clone(), self.inside.clone());
        let entry = self.own(HEALTH_DEADLINE);
        async move {
            let Some(health) = exports.hooks.health else { return };
            let gone = inside.enter(id, entry);
            let result = tokio::select! {
                result = enter(health, accessor, (), |task| inside.began(id, task)) => result,
                // A call that never ends has been answered for it.
                () = gone.notified() => return,
            };
            inside.leave(id);
            if let Ok((answer,)) = result {
                // The supervisor may have lost interest.
                _ = done.send(answer.map_err(|error| error.message));
            }
        }
    }

    /// Keeps the state for whatever instance comes after this one. Nothing is inside meanwhile.
    async fn checkpoint(&self, id: u64, checkpoints: &mut Checkpoints) {
        let began = Instant::now();
        if let Some(save) = self.exports.hooks.save {
            self.inside.enter(id, self.own(RELOAD_DRAIN_MAX));
            let result = save.call_concurrent(self.accessor, ()).await;
            self.inside.leave(id);
            let problem = match result {
                Ok((Ok(snapshot),)) => {
                    let kept = checkpoints.saved.keep(snapshot);
                    (!kept).then(|| "its state is too large to be kept for a restart".to_owned())
                }
                Ok((Err(error),)) => Some(format!("save: {}: {}", error.code, error.message)),
                // A trap ends the instance, and the reason is said there.
                Err(_) => None,
            };
            if let Some(problem) = problem {
                self.accessor.with(|mut access| access.get().slot.log("warn", &problem));
            }
        }
        checkpoints.pace.saved(began, Instant::now());
    }
}

async fn receive(mailbox: &Option<Arc<Mailbox>>) -> Message {
    match mailbox {
        Some(mailbox) => mailbox.take().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// A hand-over without state needs no pause: what is inside is finished here while somebody else takes from the mailbox.
fn hand_over_now(order: Control, mailbox: &mut Option<Arc<Mailbox>>, slot: &Slot) -> Option<Control> {
    if matches!(order, Control::HandOver { .. }) {
        slot.metrics.pauses.begin();
    }
    match order {
        Control::HandOver { save: false, done } => {
            if done.send(Ok(None)).is_ok() {
                *mailbox = None;
            } else {
                slot.metrics.pauses.end();
            }
            None
        }
        order => Some(order),
    }
}

/// Resolves when the supervisor has stopped waiting for a hand-over.
async fn taken_back(leaving: &mut Option<Control>) {
    match leaving {
        Some(Control::HandOver { done, .. }) => done.closed().await,
        _ => std::future::pending().await,
    }
}
