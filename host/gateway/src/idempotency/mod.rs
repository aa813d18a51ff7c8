//! `meta.idempotency_key`: calls of one principal under one key have one effect and one answer.
//!
//! The first call does the work, in a task of its own: its connection may break, and the one who comes back under the same key is
//! answered all the same. So a cancel lets go of the answer, never of the work. Whoever comes meanwhile waits for the first.
//! What was never begun is forgotten at once, and may be tried again; everything else is kept for `IDEMPOTENCY_AGE_MAX`,
//! failures too, because a second attempt might be a second effect. All of it is in memory: to a host that was started again
//! every key is new, and its `instance_id` says that it is another one.

mod content;
mod keys;

use std::{sync::Arc, time::Instant};

use futures_util::FutureExt as _;
use midplane_model::{CallContext, ErrorCode, Fault};
use midplane_protocol::Invocation;

use crate::{
    call::{Success, within},
    shared::Shared,
};
use keys::{Entered, First, Outcome};

pub(crate) use keys::Keys;

impl Shared {
    /// Runs a call, or waits for the one that is running under this key, or gives the answer that it had.
    pub(crate) async fn run_once(
        self: &Arc<Self>,
        key: Arc<str>,
        invocation: Invocation,
        context: CallContext,
    ) -> Result<Success, Fault> {
        let content = content::of(&invocation.method, &invocation.params);
        let peer = context.peer.as_ref().map(|peer| peer.id());
        let caller = context.clone();
        let mut work = Some((invocation, context));
        loop {
            let mut waiting = match self.keys.enter(&caller.principal, &key, content, peer, Instant::now())? {
                Entered::Known(waiting) => waiting,
                Entered::First(first) => {
                    let waiting = first.waiting();
                    if let Some((invocation, context)) = work.take() {
                        self.begin_once(first, invocation, context);
                    }
                    waiting
                }
            };
            let outcome = within(&caller, async {
                let outcome = waiting.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
                outcome.ok_or_else(given_up)
            });
            let Outcome { result, tied } = outcome.await?;
            // What was made on another connection is of no use on this one: it is made again.
            if work.is_none() || tied.is_none() || tied == peer {
                return Arc::unwrap_or_clone(result);
            }
        }
    }

    /// Runs the call up to where it waits, as calls without a key are, and the rest in a task.
    fn begin_once(self: &Arc<Self>, first: First, invocation: Invocation, mut context: CallContext) {
        context.cancel = self.abort.child_token();
        let (shared, effects) = (self.clone(), context.effects.clone());
        let peer = context.peer.as_ref().map(|peer| peer.id());
        let mut work = Box::pin(async move {
            let result = shared.work(invocation, context).await;
            let begun = result.is_ok() || !effects.give_up();
            first.settle(result, begun, peer.filter(|_| effects.is_tied()), Instant::now());
        });
        if work.as_mut().now_or_never().is_none() {
            self.keyed.spawn(work);
        }
    }
}

/// The task that had the key is gone without an answer.
fn given_up() -> Fault {
    let message = "the call under this key was given up because the host stops; nobody knows whether it had its effect";
    Fault::new(ErrorCode::Unavailable, message)
}
