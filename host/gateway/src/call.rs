//! One call, whatever brought it: what stands between a transport and the router is here, once for all of them.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use midplane_model::{Call, CallContext, Deadline, Effects, ErrorCode, Fault, Peer, Positions, Principal, Reply};
use midplane_protocol::{Id, Invocation, Meta};
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

/// A result, and where the events stand that the call caused.
#[derive(Clone)]
pub(crate) struct Success {
    pub reply: Reply,
    pub at: Positions,
}

impl Shared {
    /// The context of a new call.
    pub(crate) fn context(
        &self,
        principal: &Arc<Principal>,
        peer: Option<Arc<dyn Peer>>,
        meta: &Meta,
        cancel: CancellationToken,
    ) -> CallContext {
        let limits = &self.config.limits;
        let granted = meta.timeout_ms.map_or(limits.deadline_default, Duration::from_millis).min(limits.deadline_max);
        CallContext {
            request_id: self.request_ids.next(),
            principal: principal.clone(),
            deadline: Deadline::after(granted),
            chain: Arc::from([]),
            page: None,
            peer,
            exchange: None,
            progress: None,
            effects: Effects::default(),
            cancel,
        }
    }

    /// Runs one call to its answer, if its principal may, and once for all calls under the same idempotency key.
    pub(crate) async fn run(self: &Arc<Self>, invocation: Invocation, context: CallContext) -> Result<Success, Fault> {
        self.metrics.call();
        let answer = match self.admission.admit(&context.principal, Instant::now()) {
            Err(fault) => Err(fault),
            Ok(_admitted) => match invocation.meta.idempotency_key.clone() {
                Some(key) => self.run_once(key, invocation, context).await,
                None => self.work(invocation, context).await,
            },
        };
        // Not its caller has cancelled a call that is given up now.
        let given_up = |fault: &Fault| fault.code == ErrorCode::Cancelled && self.abort.is_cancelled();
        let answer = answer.map_err(|fault| if given_up(&fault) { stopping() } else { fault });
        if let Err(fault) = &answer {
            self.metrics.error(fault.code);
        }
        answer
    }

    /// Does what is asked. A panic of a service is an answer too: the caller would wait for ever otherwise.
    pub(crate) async fn work(&self, invocation: Invocation, context: CallContext) -> Result<Success, Fault> {
        let effects = context.effects.clone();
        let request_id = context.request_id.clone();
        let work = async {
            self.wait_for(invocation.meta.after.as_deref(), &context).await?;
            let found = self.router.find(&invocation.method)?;
            let call = Call { method: invocation.method, params: invocation.params, context };
            self.router.call_found(&found, call).await
        };
        let answer = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(%request_id, "a service panicked");
            Err(Fault::internal())
        });
        answer.map(|reply| Success { reply, at: effects.positions() })
    }

    /// Waits until everything up to the positions has been applied, within the call's deadline.
    ///
    /// # Errors
    /// `timeout`, `cancelled`; `cursor_expired` for another epoch, `invalid_params` for an unknown stream.
    async fn wait_for(&self, after: Option<&Positions>, context: &CallContext) -> Result<(), Fault> {
        let Some(after) = after else { return Ok(()) };
        let applied = async {
            for (stream, position) in after {
                self.broker.applied(stream, position).await?;
            }
            Ok(())
        };
        within(context, applied).await
    }

    /// The answer to what never became a call.
    pub(crate) fn refusal(&self, id: &Id, fault: &Fault) -> String {
        self.metrics.error(fault.code);
        midplane_protocol::failure(id, &self.request_ids.next(), fault)
    }
}

/// Time after which a client may come back to a host that stops.
pub(crate) const STOPPING_RETRY_AFTER_MS: u64 = 1000;

/// The answer to what a host that stops does not finish.
pub(crate) fn stopping() -> Fault {
    Fault::new(ErrorCode::Unavailable, "the host is stopping").retry_after_ms(STOPPING_RETRY_AFTER_MS)
}

/// Waits for something on behalf of a call, as long as its caller does.
///
/// # Errors
/// `timeout`, `cancelled`, or those of `work`.
pub(crate) async fn within<T>(context: &CallContext, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::select! {
        biased;
        () = context.cancel.cancelled() => Err(Fault::new(ErrorCode::Cancelled, "the caller cancelled this call")),
        done = tokio::time::timeout_at(context.deadline.at().into(), work) => {
            done.unwrap_or_else(|_| Err(context.deadline.fault()))
        }
    }
}

/// The answer of a call as text.
pub(crate) fn answer(id: &Id, request_id: &str, result: &Result<Success, Fault>) -> String {
    match result {
        Ok(success) => midplane_protocol::success(id, &success.reply.result, &success.at),
        Err(fault) => midplane_protocol::failure(id, request_id, fault),
    }
}
