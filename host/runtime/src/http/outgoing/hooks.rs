//! What wasmtime's `wasi:http` asks of the host.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method, Request, Response};
use midplane_model::limits::{HTTP_CONNECTIONS_MAX, PAGE_CHUNK_BYTES_MAX};
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody, WasiHttpHooks};

use super::{
    exchange::{Behind, exchange},
    grant::HttpGrant,
    target::Target,
};
use crate::slot::Slot;

/// Refusals are told in the plugin's log at most this often; the others are counted.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// The grants of one instance's package, and where refusals are told.
pub struct HttpHooks {
    slot: Arc<Slot>,
    grants: Arc<[HttpGrant]>,
    told: Option<Instant>,
    untold: u32,
}

impl HttpHooks {
    pub fn new(slot: Arc<Slot>, grants: &Arc<[HttpGrant]>) -> Self {
        Self { slot, grants: grants.clone(), told: None, untold: 0 }
    }

    /// Where the request may go.
    fn permitted(&mut self, request: &Request<WasiBody>) -> Result<Target> {
        let target = Target::of(request.uri()).filter(|_| *request.method() != Method::CONNECT);
        if let Some(target) = target.filter(|target| self.grants.iter().any(|grant| grant.covers(target))) {
            return Ok(target);
        }
        // Without the path, which may hold what is nobody's business.
        let server = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        self.tell(&format!(
            "forbidden: {} to {server:?} is not granted; add it to [grants] http in plugin.toml as \"host:port\"",
            request.method()
        ));
        Err(Error::HttpRequestDenied)
    }

    fn tell(&mut self, refusal: &str) {
        if self.told.is_some_and(|told| told.elapsed() < TOLD_EVERY) {
            self.untold += 1;
            return;
        }
        let untold = std::mem::take(&mut self.untold);
        let more = if untold > 0 { format!("; {untold} before it were not told") } else { String::new() };
        self.slot.log("warn", &format!("{refusal}{more}"));
        self.told = Some(Instant::now());
    }
}

impl WasiHttpHooks for HttpHooks {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        PAGE_CHUNK_BYTES_MAX
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<()>> + Send>,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Behind)>> + Send> {
        let permitted = self.permitted(&request);
        let (slot, grants) = (self.slot.clone(), self.grants.clone());
        let place = slot.connections.clone().try_acquire_owned();
        Box::new(async move {
            let target = permitted?;
            let Ok(place) = place else {
                slot.log(
                    "warn",
                    &format!("{HTTP_CONNECTIONS_MAX} connections are open already; {target} was not reached"),
                );
                return Err(Error::ConnectionLimitReached);
            };
            let sent = exchange(request, target.clone(), grants, options, place).await;
            if let Err(Error::DestinationIpProhibited) = sent {
                let message = format!(
                    "forbidden: {target} leads to an address inside this network; grant the address too, if it is meant"
                );
                slot.log("warn", &message);
            }
            sent
        })
    }
}
