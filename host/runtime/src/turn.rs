//! One message of the mailbox on its way through the guest: arguments in, the call, results out.

use midplane_model::{CallContext, ErrorCode, Fault, Reply, schema::Function};
use serde_json::value::RawValue;
use tokio::sync::{Notify, oneshot};
use wasmtime::component::{Accessor, Val};

use crate::{
    actor::describe,
    bindings::{Credential, Event, Identity},
    contract::enter,
    inside::{Answer, Entry, Inside},
    instance::{Export, Exports, Guest},
    log_line::LogLine,
    shapes::Values,
    slot::Message,
};

/// A call that has been taken from the mailbox. Once the guest is entered, whoever waits is kept in [`Inside`], where the
/// actor finds everybody if the guest fails.
pub struct Turn<'a> {
    pub accessor: &'a Accessor<Guest>,
    pub exports: &'a Exports,
    pub inside: &'a Inside,
    pub id: u64,
}

impl Turn<'_> {
    pub async fn serve(self, message: Message) {
        match message {
            Message::Call { context, .. } | Message::Typed { context, .. } | Message::Credential { context, .. }
                if is_over(&context) => {}
            Message::Call { method, params, context, reply } => match self.lift(&method, params) {
                Ok((export, args)) => self.by_name(export, args, context, reply).await,
                // Whoever asked may be gone; so may those below.
                Err(fault) => _ = reply.send(Err(fault)),
            },
            Message::Typed { interface, expects, args, context, reply } => match self.find(&interface, &expects) {
                Ok(export) => self.typed(export, args, context, reply).await,
                Err(fault) => _ = reply.send(Err(fault)),
            },
            Message::Event(event) => self.event(event).await,
            Message::Credential { credential, context, reply } => self.credential(credential, context, reply).await,
        }
    }

    fn lift(&self, method: &str, params: serde_json::Value) -> Result<(&Export, Values), Fault> {
        let export = self.exports.methods.get(method).ok_or_else(|| {
            let message = format!("{method} is not there any more: the plugin was replaced while this call waited");
            Fault::new(ErrorCode::MethodNotFound, message)
        })?;
        Ok((export, export.lift(params)?))
    }

    fn find(&self, interface: &str, expects: &Function) -> Result<&Export, Fault> {
        let key = (interface.to_owned(), expects.name.wit.clone());
        let export = self.exports.typed.get(&key);
        let wrong = |offered: Option<&Export>| {
            let wanted = expects.signature();
            let message = match offered {
                None => format!("{interface} no longer has {wanted}"),
                Some(offered) => format!("{interface} has {}, wanted {wanted}", offered.function.signature()),
            };
            Fault::new(ErrorCode::UnsupportedVersion, message)
        };
        match export {
            Some(export) if export.function.same_shape(expects) => Ok(export),
            other => Err(wrong(other.map(|export| &**export))),
        }
    }

    async fn by_name(
        &self,
        export: &Export,
        args: Values,
        context: CallContext,
        reply: oneshot::Sender<Result<Reply, Fault>>,
    ) {
        let gone = self.inside.enter(self.id, Entry { context, called: true, answer: Answer::Json(reply) });
        let Some(values) = unless_gone(&gone, self.enter(export, args)).await else { return };
        let Some(Entry { answer: Answer::Json(reply), .. }) = self.inside.leave(self.id) else { return };
        _ = reply.send(export.lower(values).and_then(|json| {
            RawValue::from_string(json).map(|result| Reply { result }).map_err(|_| Fault::internal())
        }));
    }

    async fn typed(
        &self,
        export: &Export,
        args: Values,
        context: CallContext,
        reply: oneshot::Sender<Result<Values, Fault>>,
    ) {
        let gone = self.inside.enter(self.id, Entry { context, called: true, answer: Answer::Values(reply) });
        let Some(values) = unless_gone(&gone, self.enter(export, args)).await else { return };
        if let Some(Entry { answer: Answer::Values(reply), .. }) = self.inside.leave(self.id) {
            _ = reply.send(Ok(values));
        }
    }

    async fn enter(&self, export: &Export, args: Values) -> Option<Values> {
        match (args, export.shape) {
            (Values::Dynamic(args), _) => self.enter_dynamic(export, &args).await.map(Values::Dynamic),
            (Values::Shaped(args), Some(shape)) => {
                let began = |task| self.inside.began(self.id, task);
                self.settle(shape.enter(self.accessor, export.func, args, &began).await).map(Values::Shaped)
            }
            // Equal signatures have equal shapes.
            (Values::Shaped(_), None) => self.settle(Err(wasmtime::Error::msg("arguments of another shape"))),
        }
    }

    async fn enter_dynamic(&self, export: &Export, args: &[Val]) -> Option<Vec<Val>> {
        let mut results = vec![Val::Bool(false); usize::from(export.function.result.is_some())];
        let started = self.accessor.with(|access| export.func.start_call_concurrent(access, args, &mut results));
        let call = self.settle(started)?;
        self.inside.began(self.id, call.task());
        let finished = export.func.finish_call_concurrent(self.accessor, call).await;
        self.settle(finished).map(|()| results)
    }

    /// What came of entering the guest; a failure is answered here. A trap does not get so far: with it the whole instance
    /// ends, and the actor answers everybody inside.
    fn settle<T>(&self, result: wasmtime::Result<T>) -> Option<T> {
        let answer = |error| {
            if let Some(entry) = self.inside.leave(self.id) {
                entry.fail(&describe(&error));
            }
        };
        result.map_err(answer).ok()
    }

    async fn credential(
        &self,
        credential: Credential,
        context: CallContext,
        reply: oneshot::Sender<Result<Option<Identity>, Fault>>,
    ) {
        // A package that is put into the office exports it.
        let Some(authenticate) = self.exports.hooks.authenticate else { return };
        let gone = self.inside.enter(self.id, Entry { context, called: false, answer: Answer::Identity(reply) });
        let began = |task| self.inside.began(self.id, task);
        let finished = async { self.settle(enter(authenticate, self.accessor, (credential,), began).await) };
        let Some((said,)) = unless_gone(&gone, finished).await else { return };
        if let Some(Entry { answer: Answer::Identity(reply), .. }) = self.inside.leave(self.id) {
            _ = reply.send(said.map_err(Fault::from));
        }
    }

    async fn event(&self, event: Event) {
        let Some(on_event) = self.exports.hooks.on_event else { return };
        let topic = event.topic.clone();
        let context = self.accessor.with(|mut access| access.get().slot.own_context());
        let gone = self.inside.enter(self.id, Entry { context, called: false, answer: Answer::Nobody });
        let began = |task| self.inside.began(self.id, task);
        let finished = async { self.settle(on_event.call(self.accessor, event, began).await) };
        let result = unless_gone(&gone, finished).await;
        self.inside.leave(self.id);
        let Some((result,)) = result else { return };
        self.accessor.with(|mut access| {
            let slot = &access.get().slot;
            slot.metrics.events.add(1);
            if let Err(error) = result {
                let message = format!("on-event {topic}: {}: {}", error.code, error.message);
                slot.guest_line(LogLine::new("warn", &message, Vec::new()));
            }
        });
    }
}

/// The results of a call, unless it is given up before: then it has its answer, and stays in the guest as it is.
async fn unless_gone<T>(gone: &Notify, results: impl Future<Output = Option<T>>) -> Option<T> {
    tokio::select! {
        results = results => results,
        () = gone.notified() => None,
    }
}

/// Whether nobody waits any more. If somebody does, the work counts as begun from here on.
fn is_over(context: &CallContext) -> bool {
    context.cancel.is_cancelled() || context.deadline.remaining().is_zero() || !context.effects.begin()
}
