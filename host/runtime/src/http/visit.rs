//! One request for a page, in an instance of its own.

use std::{sync::Arc, time::Duration};

use http::{Request, Response, uri::Scheme};
use midplane_model::{CallContext, ErrorCode, Fault, PageBody};
use tokio::sync::{mpsc, oneshot};
use wasmtime::Store;
use wasmtime_wasi_http::{
    WasiHttpView,
    p2::{
        bindings::http::types::{ErrorCode as HttpError, Scheme as WasiScheme},
        body::HyperOutgoingBody,
    },
};

use super::{body::Asked, in_flight::Entered, pace::Pace};
use crate::{
    actor::describe,
    host::Host,
    inbox,
    instance::Guest,
    package::{Package, Pages},
    slot::Slot,
    wasi,
};

/// What the guest gives to `response-outparam.set`.
pub type Head = Result<Response<HyperOutgoingBody>, HttpError>;

/// Everything that a visit needs.
pub struct Visit {
    pub host: Arc<Host>,
    pub package: Arc<Package>,
    pub slot: Arc<Slot>,
    pub inbox: mpsc::Sender<inbox::Command>,
    pub context: CallContext,
    pub pace: Arc<Pace>,
    /// Its place among the plugin's visits.
    pub entered: Entered,
}

/// How a visit ended.
enum End {
    Done,
    /// The guest returned and has said nothing.
    Silent,
    Trapped(String),
    Overdue(Duration),
    /// Nobody waits for it any more.
    GivenUp,
}

impl Visit {
    /// Lets the guest answer. The head goes through `head`; what comes back is why there was none, or what went wrong later.
    ///
    /// It ends early when the request is given up, when the plugin stops, and when nothing moves for too long.
    pub async fn run(self, pages: Pages, request: Request<PageBody>, head: oneshot::Sender<Head>) -> Fault {
        let (slot, pace, line) = (self.slot.clone(), self.pace.clone(), line(&request));
        let (first, idle) = (self.package.manifest.limits.deadline, self.package.manifest.http.idle);
        let (given_up, stop) = (self.context.cancel.clone(), self.entered.stop.clone());
        let report = |end: &End| {
            let fault = fault(&slot, end);
            if !matches!(end, End::Done | End::GivenUp) {
                slot.log("error", &format!("{line}: {}", fault.message));
            }
            fault
        };
        let wasi = match wasi::context(&self.host, &self.package, &self.slot).await {
            Ok(wasi) => wasi,
            Err(error) => return report(&End::Trapped(error.to_string())),
        };
        let mut store = Guest::store(&self.host, &self.package, &self.slot, self.inbox, wasi, Some(self.context));
        // Dropped before the store: whatever ends this function, a body that is cut off is not taken for a whole one.
        let mut cut_off = CutOff(Some(pace.clone()));
        let end = tokio::select! {
            handled = handle(&mut store, &pages, request, pace.clone(), head) => match handled {
                Ok(()) if pace.has_answered() => End::Done,
                Ok(()) => End::Silent,
                Err(trap) => End::Trapped(describe(&trap)),
            },
            limit = pace.overdue(first, idle) => End::Overdue(limit),
            () = given_up.cancelled() => End::GivenUp,
            () = stop.cancelled() => End::GivenUp,
        };
        if matches!(end, End::Done) {
            cut_off.0 = None;
        }
        report(&end)
    }
}

/// Says that the visit failed, when dropped.
struct CutOff(Option<Arc<Pace>>);

impl Drop for CutOff {
    fn drop(&mut self) {
        if let Some(pace) = self.0.take() {
            pace.fail();
        }
    }
}

async fn handle(
    store: &mut Store<Guest>,
    pages: &Pages,
    request: Request<PageBody>,
    pace: Arc<Pace>,
    head: oneshot::Sender<Head>,
) -> wasmtime::Result<()> {
    let proxy = pages.instantiate_async(&mut *store).await?;
    let scheme = match request.uri().scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => WasiScheme::Https,
        _ => WasiScheme::Http,
    };
    let request = request.map(|inner| Asked { inner, pace: pace.clone() });
    let request = store.data_mut().http().new_incoming_request(scheme, request)?;
    let answer = move |answer: Head| {
        pace.answered();
        // Whoever asked may be gone.
        _ = head.send(answer);
    };
    let outparam = store.data_mut().http().new_response_outparam_from_callback(answer)?;
    proxy.wasi_http_incoming_handler().call_handle(&mut *store, request, outparam).await
}

/// Without the query, which may hold what is nobody's business.
fn line<T>(request: &Request<T>) -> String {
    format!("{} {}", request.method(), request.uri().path())
}

fn fault(slot: &Slot, end: &End) -> Fault {
    let plugin = slot.name.as_str();
    let failed = |what: String| Fault::new(ErrorCode::PluginFailed, format!("{plugin} {what}")).with("plugin", plugin);
    match end {
        End::Done | End::Silent => failed("returned without an answer".into()),
        End::Trapped(trap) => failed(format!("failed while answering: {trap}")).with("trap", trap.as_str()),
        End::Overdue(limit) => {
            let ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            Fault { message: format!("{plugin} did not get on with its answer for {ms} ms"), ..Fault::timeout(ms) }
                .with("plugin", plugin)
        }
        End::GivenUp => {
            Fault::new(ErrorCode::PluginUnavailable, format!("{plugin} was stopped")).with("plugin", plugin)
        }
    }
}
