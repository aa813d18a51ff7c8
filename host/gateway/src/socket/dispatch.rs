//! From one text message to tasks: a place for each call, a task that runs it, and its answer in the reply lane.

use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use midplane_model::{CallContext, ErrorCode, Fault, limits::BATCH_CONCURRENCY_MAX};
use midplane_protocol::{Id, Incoming, Invocation, Item};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Connection,
    calls::{AnswerSender, InFlight},
    connection::CallPeer,
    lanes::Ended,
    progress::Telling,
};
use crate::{call::answer, shared::Shared};

/// Acts on one message. Waits only for room in the reply lane, and only with a refusal.
pub(crate) async fn receive(shared: &Arc<Shared>, connection: &Arc<Connection>, text: &str) -> Result<(), Ended> {
    match midplane_protocol::parse(text) {
        Err(fault) => connection.lanes.reply(shared.refusal(&Id::null(), &fault), None).await,
        Ok(Incoming::Single(item)) => single(shared, connection, item).await,
        Ok(Incoming::Batch(items)) => batch(shared, connection, items).await,
    }
}

async fn single(shared: &Arc<Shared>, connection: &Arc<Connection>, item: Item) -> Result<(), Ended> {
    match item {
        Item::Ignored => Ok(()),
        Item::Cancel(id) => {
            connection.calls.cancel(&id);
            Ok(())
        }
        Item::Invalid(id, fault) => connection.lanes.reply(shared.refusal(&id, &fault), None).await,
        Item::Request(..) | Item::Notification(_) => match connection.calls.place(1) {
            Err(fault) => refuse(shared, connection, &item, &fault).await,
            Ok(place) => {
                if let Some(work) = Work::begin(shared, connection, item) {
                    begin_in_order(connection, work.run_alone(shared.clone(), connection.clone(), place));
                }
                Ok(())
            }
        },
    }
}

/// Runs a call up to where it waits, and the rest in a task: a plugin's mailbox gets the calls of one socket in the order in
/// which they were sent. Tasks alone would not do: the newest of several begins first, and on any thread.
fn begin_in_order(connection: &Connection, call: impl Future<Output = ()> + Send + 'static) {
    let mut call = Box::pin(call);
    if call.as_mut().now_or_never().is_none() {
        connection.tasks.spawn(call);
    }
}

async fn refuse(shared: &Shared, connection: &Connection, item: &Item, fault: &Fault) -> Result<(), Ended> {
    match item {
        Item::Request(id, _) => connection.lanes.reply(shared.refusal(id, fault), None).await,
        // A notification hears nothing, not even this; the counter does.
        _ => {
            shared.metrics.error(fault.code);
            Ok(())
        }
    }
}

/// A batch takes as many places as it runs calls at the same time. Cancels in it act at once, as outside.
async fn batch(shared: &Arc<Shared>, connection: &Arc<Connection>, items: Vec<Item>) -> Result<(), Ended> {
    for item in &items {
        if let Item::Cancel(id) = item {
            connection.calls.cancel(id);
        }
    }
    let calls = items.iter().filter(|item| matches!(item, Item::Request(..) | Item::Notification(_))).count();
    let (place, refused) = match connection.calls.place(calls.min(BATCH_CONCURRENCY_MAX)) {
        Ok(place) => (Some(place), None),
        Err(fault) => (None, Some(fault)),
    };
    let entries: Vec<Entry> = items
        .into_iter()
        .filter_map(|item| match (item, &refused) {
            (Item::Invalid(id, fault), _) => Some(Entry::Refused(shared.refusal(&id, &fault))),
            (Item::Request(id, _), Some(fault)) => Some(Entry::Refused(shared.refusal(&id, fault))),
            (item, None) => Work::begin(shared, connection, item).map(|work| Entry::Call(Box::new(work))),
            _ => None,
        })
        .collect();
    let (shared, connection) = (shared.clone(), connection.clone());
    connection.clone().tasks.spawn(run_batch(shared, connection, entries, place));
    Ok(())
}

enum Entry {
    Refused(String),
    Call(Box<Work>),
}

async fn run_batch(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    entries: Vec<Entry>,
    place: Option<OwnedSemaphorePermit>,
) {
    let run = |entry| {
        let (shared, connection) = (&shared, &connection);
        async move {
            match entry {
                Entry::Refused(text) => (Some(text), None),
                Entry::Call(work) => {
                    let (text, success, in_flight) = work.run(shared, connection).await;
                    (text, Some((in_flight, success)))
                }
            }
        }
    };
    let done: Vec<_> = stream::iter(entries).map(run).buffered(BATCH_CONCURRENCY_MAX).collect().await;
    let (answers, in_flight): (Vec<_>, Vec<_>) = done.into_iter().unzip();
    let answers: Vec<String> = answers.into_iter().flatten().collect();
    let queued = match midplane_protocol::batch(&answers) {
        Some(text) => connection.lanes.reply(text, place).await.is_ok(),
        None => false,
    };
    for (in_flight, success) in in_flight.into_iter().flatten() {
        in_flight.settle(queued && success);
    }
}

/// A call that has begun: registered, so that a cancel finds it, and not yet run.
struct Work {
    id: Option<Id>,
    invocation: Invocation,
    context: CallContext,
    in_flight: InFlight,
    telling: Option<Telling>,
}

impl Work {
    fn begin(shared: &Shared, connection: &Arc<Connection>, item: Item) -> Option<Self> {
        let (id, invocation) = match item {
            Item::Request(id, invocation) => (Some(id), invocation),
            Item::Notification(invocation) => (None, invocation),
            Item::Cancel(_) | Item::Ignored | Item::Invalid(..) => return None,
        };
        let answer = AnswerSender::new();
        let cancel = connection.closing.child_token();
        let mut context = shared.context(&connection.principal, None, &invocation.meta, cancel.clone());
        let effects = context.effects.clone();
        let peer = CallPeer { connection: connection.clone(), answered: answer.answered(), effects };
        context.peer = Some(Arc::new(peer));
        // A notification has no answer, so nobody could know when its progress ends.
        let token = invocation.meta.progress_token.clone().filter(|_| id.is_some());
        let (progress, telling) = token.map(Telling::new).unzip();
        context.progress = progress;
        let in_flight = connection.calls.begin(context.request_id.clone(), id.clone(), cancel, answer);
        Some(Self { id, invocation, context, in_flight, telling })
    }

    /// The answer, if one is wanted, and whether it is a success the client will learn of.
    async fn run(self, shared: &Arc<Shared>, connection: &Connection) -> (Option<String>, bool, InFlight) {
        let request_id = self.context.request_id.clone();
        let call = shared.run(self.invocation, self.context);
        let result = match self.telling {
            Some(telling) => telling.beside(&connection.lanes, call).await,
            None => call.await,
        };
        let refused = result.as_ref().is_err_and(|fault| fault.code == ErrorCode::RateLimited);
        connection.note(refused, shared.config.limits.rate_refusals);
        let text = self.id.map(|id| answer(&id, &request_id, &result));
        let success = text.is_some() && result.is_ok();
        (text, success, self.in_flight)
    }

    async fn run_alone(self, shared: Arc<Shared>, connection: Arc<Connection>, place: OwnedSemaphorePermit) {
        let (text, success, in_flight) = self.run(&shared, &connection).await;
        let queued = match text {
            Some(text) => connection.lanes.reply(text, Some(place)).await.is_ok(),
            None => false,
        };
        in_flight.settle(queued && success);
    }
}
