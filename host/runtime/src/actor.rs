//! The task that owns an instance. Control comes from the supervisor, work from the slot's mailbox, which is handed from one
//! generation to the next.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use midplane_model::{ErrorCode, Fault, Reply};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use wasmtime::component::{Accessor, Val};

use crate::{
    bindings::{Ending, Occasion, Reason, Snapshot},
    convert,
    instance::{Answer, Entry, Export, Exports, Guest, Inside, Instance},
    package::LoadError,
    shapes::Values,
    slot::{Message, Slot},
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
        let plugin = entry.context.chain.last().map(ToString::to_string).unwrap_or_default();
        let fault = Fault::new(ErrorCode::PluginFailed, format!("{plugin} failed while serving this call"))
            .with("plugin", plugin)
            .with("trap", reason.as_str());
        entry.answer.fail(fault);
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
                    calls.push(self.call(ids, message?));
                }
            }
        }
    }

    fn call(&self, id: u64, message: Message) -> impl Future<Output = ()> + use<'_> {
        let (accessor, exports, inside) = (self.accessor, self.exports.clone(), self.inside.clone());
        let own = || accessor.with(|mut access| access.get().slot.own_context());
        let (context, called) = match &message {
            Message::Call { context, .. } | Message::Typed { context, .. } => (context.clone(), true),
            Message::Event(_) => (own(), false),
        };
        async move {
            if context.cancel.is_cancelled() || context.deadline.remaining().is_zero() {
                return;
            }
            let entry = |answer| Entry { context, called, answer };
            match message {
                Message::Call { method, params, reply, .. } => {
                    inside.enter(id, entry(Answer::Json(reply)));
                    let result = by_name(accessor, &exports, &method, params).await;
                    if let (Some(Entry { answer: Answer::Json(reply), .. }), Some(result)) = leave(&inside, id, result)
                    {
                        _ = reply.send(result);
                    }
                }
                Message::Typed { interface, expects, args, reply, .. } => {
                    inside.enter(id, entry(Answer::Values(reply)));
                    let result = typed(accessor, &exports, &interface, &expects, args).await;
                    if let (Some(Entry { answer: Answer::Values(reply), .. }), Some(result)) =
                        leave(&inside, id, result)
                    {
                        _ = reply.send(result);
                    }
                }
                Message::Event(event) => {
                    let Some(on_event) = exports.hooks.on_event else { return };
                    inside.enter(id, entry(Answer::Nobody));
                    let topic = event.topic.clone();
                    let result = on_event.call(accessor, event).await;
                    inside.leave(id);
                    if result.is_ok() {
                        accessor.with(|mut access| access.get().slot.metrics.events.add(1));
                    }
                    if let Ok((Err(error),)) = result {
                        let message = format!("on-event {topic}: {}: {}", error.code, error.message);
                        accessor.with(|mut access| access.get().slot.log("warn", &message));
                    }
                }
            }
        }
    }
}

/// What became of a call: an answer, or a trap, which the whole instance does not survive.
enum Called<T> {
    Answered(Result<T, Fault>),
    Trapped,
}

/// Takes the entry out unless the guest trapped: then `die` answers everybody inside, with the reason.
fn leave<T>(inside: &Inside, id: u64, called: Called<T>) -> (Option<Entry>, Option<Result<T, Fault>>) {
    match called {
        Called::Answered(result) => (inside.leave(id), Some(result)),
        Called::Trapped => (None, None),
    }
}

async fn by_name(
    accessor: &Accessor<Guest>,
    exports: &Exports,
    method: &str,
    params: serde_json::Value,
) -> Called<Reply> {
    let Some(export) = exports.methods.get(method) else {
        let message = format!("{method} is not there any more: the plugin was replaced while this call waited");
        return Called::Answered(Err(Fault::new(ErrorCode::MethodNotFound, message)));
    };
    let args = match convert::lift_params(&export.function, params) {
        Ok(args) => args,
        Err(fault) => return Called::Answered(Err(fault)),
    };
    match enter(accessor, export, &args).await {
        None => Called::Trapped,
        Some(values) => Called::Answered(convert::lower_result(&export.function, &values).and_then(|json| {
            RawValue::from_string(json).map(|result| Reply { result }).map_err(|_| Fault::internal())
        })),
    }
}

async fn typed(
    accessor: &Accessor<Guest>,
    exports: &Exports,
    interface: &str,
    expects: &midplane_model::schema::Function,
    args: Values,
) -> Called<Values> {
    let key = (interface.to_owned(), expects.name.wit.clone());
    let Some(export) = exports.typed.get(&key).filter(|export| export.function.same_shape(expects)) else {
        let message = format!("{interface} no longer has {}", expects.signature());
        return Called::Answered(Err(Fault::new(ErrorCode::UnsupportedVersion, message)));
    };
    let results = match (args, export.shape) {
        (Values::Dynamic(args), _) => enter(accessor, export, &args).await.map(Values::Dynamic),
        (Values::Shaped(args), Some(shape)) => shape.enter(accessor, export.func, args).await.ok().map(Values::Shaped),
        // Equal signatures have equal shapes.
        (Values::Shaped(_), None) => return Called::Answered(Err(Fault::internal())),
    };
    results.map_or(Called::Trapped, |results| Called::Answered(Ok(results)))
}

async fn enter(accessor: &Accessor<Guest>, export: &Export, args: &[Val]) -> Option<Vec<Val>> {
    let mut results = vec![Val::Bool(false); usize::from(export.function.result.is_some())];
    export.func.call_concurrent(accessor, args, &mut results).await.ok().map(|()| results)
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
