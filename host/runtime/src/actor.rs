//! The task that owns an instance. Control comes from the supervisor, work from the slot's mailbox, which is handed from one
//! generation to the next.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::sync::{mpsc, oneshot};
use wasmtime::component::Accessor;

use crate::{
    bindings::{Ending, Occasion, Reason, Snapshot},
    inside::Inside,
    instance::{Exports, Guest, Instance},
    package::LoadError,
    slot::{Message, Slot},
    turn::Turn,
};

/// How long after its deadline a guest may still hold the instance, before the instance is dropped.
const OVERDUE_GRACE: Duration = Duration::from_millis(250);

pub type Mailbox = mpsc::Receiver<Message>;

/// What the supervisor asks of an instance. Answers come through the enclosed channel; a dropped receiver takes a
/// [`Control::HandOver`] back.
pub enum Control {
    /// Restore and start; before the first `Serve`.
    Start { reason: Reason, generation: u64, snapshot: Option<Snapshot>, done: oneshot::Sender<Result<(), LoadError>> },
    /// Take work from this mailbox.
    Serve(Mailbox),
    /// Give the mailbox back: with `save` when nothing is inside any more, together with the state; else at once.
    HandOver { save: bool, done: oneshot::Sender<Result<HandedOver, LoadError>> },
    /// Finish what is inside, stop and end.
    Stop { ending: Ending, done: oneshot::Sender<()> },
}

pub struct HandedOver {
    pub mailbox: Option<Mailbox>,
    pub snapshot: Option<Snapshot>,
}

/// An instance died while serving; the supervisor gets the mailbox back.
pub struct Died {
    pub mailbox: Option<Mailbox>,
    pub reason: String,
}

/// Runs until it is told to stop or the guest fails.
pub async fn run(mut instance: Instance, mut control: mpsc::Receiver<Control>) -> Option<Died> {
    let mut mailbox: Option<Mailbox> = None;
    let mut next = None;
    loop {
        let order = match next.take() {
            Some(order) => order,
            None => control.recv().await?,
        };
        match order {
            Control::Start { reason, generation, snapshot, done } => {
                let started = start(&mut instance, reason, generation, snapshot).await;
                let failed = started.is_err();
                // The supervisor gave up waiting: it drops this instance anyway.
                _ = done.send(started);
                if failed {
                    return None;
                }
            }
            Control::Serve(given) => {
                mailbox = Some(given);
                match serve(&mut instance, &mut mailbox, &mut control).await {
                    Ok(order) => next = Some(order?),
                    Err(reason) => return Some(die(&instance, mailbox.take(), reason)),
                }
            }
            Control::HandOver { save, done } => {
                let snapshot = if save { instance.save().await } else { Ok(None) };
                match snapshot {
                    Ok(snapshot) => {
                        let handed = HandedOver { mailbox: mailbox.take(), snapshot };
                        if let Err(Ok(back)) = done.send(Ok(handed)) {
                            next = back.mailbox.map(Control::Serve);
                        }
                    }
                    Err(error) => {
                        let trapped = matches!(error, LoadError::Trap { .. } | LoadError::Slow { .. });
                        let reason = error.to_string();
                        _ = done.send(Err(error));
                        if trapped {
                            return Some(die(&instance, mailbox.take(), reason));
                        }
                        next = mailbox.take().map(Control::Serve);
                    }
                }
            }
            Control::Stop { ending, done } => {
                instance.stop(ending).await;
                _ = done.send(());
                return None;
            }
        }
    }
}

async fn start(
    instance: &mut Instance,
    reason: Reason,
    generation: u64,
    snapshot: Option<Snapshot>,
) -> Result<(), LoadError> {
    let restored = match snapshot {
        Some(snapshot) => instance.restore(snapshot).await?,
        None => false,
    };
    instance.start(Occasion { reason, restored, generation }).await
}

fn die(instance: &Instance, mailbox: Option<Mailbox>, reason: String) -> Died {
    instance.store.data().slot.metrics.traps.add(1);
    for entry in instance.inside.take() {
        entry.fail(&reason);
    }
    Died { mailbox, reason }
}

/// Serves the mailbox until control asks for something else. `Ok(None)` when the supervisor or the slot is gone.
///
/// The deadline is watched outside of `run_concurrent`, because what is inside is not polled while the guest computes; the
/// guest yields at every epoch, so this select is.
async fn serve(
    instance: &mut Instance,
    mailbox: &mut Option<Mailbox>,
    control: &mut mpsc::Receiver<Control>,
) -> Result<Option<Control>, String> {
    let Instance { store, exports, inside } = instance;
    let (slot, limit) = (store.data().slot.clone(), store.data().package.manifest.limits.max_concurrency);
    let work = store.run_concurrent(async |accessor| {
        Work { accessor, exports, inside, slot: &slot, limit }.run(mailbox, control).await
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

struct Work<'a> {
    accessor: &'a Accessor<Guest>,
    exports: &'a Arc<Exports>,
    inside: &'a Inside,
    slot: &'a Slot,
    limit: usize,
}

impl Work<'_> {
    async fn run(self, mailbox: &mut Option<Mailbox>, control: &mut mpsc::Receiver<Control>) -> Option<Control> {
        let mut calls = FuturesUnordered::new();
        let mut ids = 0;
        let mut leaving: Option<Control> = None;
        self.slot.metrics.pauses.end();
        loop {
            if calls.is_empty() && leaving.is_some() {
                return leaving;
            }
            let receiving = leaving.is_none() && calls.len() < self.limit;
            tokio::select! {
                biased;
                // All three may be dropped: a call goes on in its set, receiving is cancel safe.
                Some(()) = calls.next() => {}
                order = control.recv(), if leaving.is_none() => leaving = hand_over_now(order?, mailbox, self.slot),
                () = taken_back(&mut leaving) => {
                    self.slot.metrics.pauses.end();
                    leaving = None;
                }
                message = receive(mailbox), if receiving => {
                    ids += 1;
                    let (accessor, exports, inside) = (self.accessor, &**self.exports, self.inside);
                    calls.push(Turn { accessor, exports, inside, id: ids }.serve(message?));
                }
            }
        }
    }
}

async fn receive(mailbox: &mut Option<Mailbox>) -> Option<Message> {
    match mailbox {
        Some(mailbox) => mailbox.recv().await,
        None => std::future::pending().await,
    }
}

/// A hand-over without state needs no pause: the mailbox goes at once, what is inside is finished here.
fn hand_over_now(order: Control, mailbox: &mut Option<Mailbox>, slot: &Slot) -> Option<Control> {
    if matches!(order, Control::HandOver { .. }) {
        slot.metrics.pauses.begin();
    }
    match order {
        Control::HandOver { save: false, done } => {
            if let Err(Ok(back)) = done.send(Ok(HandedOver { mailbox: mailbox.take(), snapshot: None })) {
                *mailbox = back.mailbox;
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
