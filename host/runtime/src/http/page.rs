//! The way in: which package answers, whether there is room, and the answer's head.

use std::sync::Arc;

use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use midplane_model::{
    BoxFuture, CallContext, ErrorCode, Fault, Page, PageBody, PageRules, PluginName, limits::PAGE_HEADER_BYTES_MAX,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::DropGuard;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::{
    body::Answered,
    pace::Pace,
    visit::{Head, Visit},
};
use crate::{
    host::Host,
    inbox,
    package::{Package, Pages as ServedPages},
    slot::Slot,
    supervisor::Plugins,
};

/// When a client should try again that found a plugin full.
const RETRY_FULL_MS: u64 = 1000;
/// When a client should try again that found a plugin not running.
const RETRY_STATE_MS: u64 = 2000;

impl midplane_model::Pages for Plugins {
    fn find(&self, plugin: &PluginName) -> Result<Arc<dyn Page>, Fault> {
        let shown = self.find(plugin)?;
        let Some(pages) = &shown.package.pages else {
            let message =
                format!("{plugin} has no pages: its component does not export wasi:http/incoming-handler@0.2");
            return Err(Fault::not_found(message).with("plugin", plugin.as_str()));
        };
        let status = shown.slot.status();
        if !status.state.serves_pages() {
            return Err(shown.slot.unavailable(&status).retry_after_ms(RETRY_STATE_MS));
        }
        Ok(Arc::new(PluginPage {
            host: self.host.clone(),
            package: shown.package.clone(),
            slot: shown.slot.clone(),
            inbox: shown.inbox.clone(),
            pages: pages.clone(),
        }))
    }
}

/// The pages of one package of one plugin.
struct PluginPage {
    host: Arc<Host>,
    package: Arc<Package>,
    slot: Arc<Slot>,
    inbox: mpsc::Sender<inbox::Command>,
    pages: ServedPages,
}

impl Page for PluginPage {
    fn rules(&self) -> &PageRules {
        &self.package.page_rules
    }

    fn serve(
        &self,
        request: Request<PageBody>,
        context: CallContext,
    ) -> BoxFuture<'static, Result<Response<PageBody>, Fault>> {
        let limit = self.package.manifest.http.in_flight;
        let Some(entered) = self.slot.visits.enter(limit) else {
            let plugin = &self.slot.name;
            let message = format!("{plugin} answers {limit} requests already; try again");
            let fault = Fault::new(ErrorCode::Unavailable, message).with("busy", plugin.as_str());
            return Box::pin(std::future::ready(Err(fault.retry_after_ms(RETRY_FULL_MS))));
        };
        let pace = Arc::new(Pace::start());
        let visit = Visit {
            host: self.host.clone(),
            package: self.package.clone(),
            slot: self.slot.clone(),
            inbox: self.inbox.clone(),
            context,
            pace,
            entered,
        };
        Box::pin(serve(visit, self.pages.clone(), request))
    }
}

/// Runs the visit in a task of its own, because a guest may work on when its answer has begun.
async fn serve(visit: Visit, pages: ServedPages, request: Request<PageBody>) -> Result<Response<PageBody>, Fault> {
    let (host, pace, slot) = (visit.host.clone(), visit.pace.clone(), visit.slot.clone());
    let (deadline, bodiless) = (visit.package.manifest.limits.deadline, *request.method() == Method::HEAD);
    // From here on, whoever drops this future or the answer's body gives the visit up.
    let guard = visit.context.cancel.clone().drop_guard();
    let (head, answered) = oneshot::channel();
    let task = host.visits.spawn(visit.run(pages, request, head));
    let Ok(head) = answered.await else {
        return Err(task.await.unwrap_or_else(|_| Fault::internal()));
    };
    let response = checked(&slot.name, head).inspect_err(|fault| slot.log("error", &fault.message))?;
    let (parts, inner) = response.into_parts();
    let left = parts.headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let status = parts.status;
    if bodiless || left == Some(0) || matches!(status.as_u16(), 204 | 205 | 304) {
        // The server asks for no body. The guest may write one all the same, and work on for as long as an answer may take.
        host.visits.spawn(async move { tokio::time::timeout(deadline, drain(inner, guard)).await });
        return Ok(Response::from_parts(parts, Empty::new().map_err(|never| match never {}).boxed_unsync()));
    }
    let body = Answered { inner, pace, left, visit: Some(guard) };
    Ok(Response::from_parts(parts, body.boxed_unsync()))
}

async fn drain(mut body: HyperOutgoingBody, visit: DropGuard) {
    while let Some(Ok(_)) = body.frame().await {}
    visit.disarm();
}

/// A head that can be sent.
fn checked(plugin: &PluginName, head: Head) -> Result<Response<HyperOutgoingBody>, Fault> {
    let failed =
        |what: String| Fault::new(ErrorCode::PluginFailed, format!("{plugin} {what}")).with("plugin", plugin.as_str());
    let response = head.map_err(|error| failed(format!("answered with an error: {error:?}")))?;
    if response.status().is_informational() {
        return Err(failed(format!("answered with the status {}, which ends no request", response.status().as_u16())));
    }
    let bytes: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > PAGE_HEADER_BYTES_MAX {
        return Err(failed(format!(
            "answered with {bytes} bytes of headers; at most {PAGE_HEADER_BYTES_MAX} are sent"
        )));
    }
    Ok(response)
}
