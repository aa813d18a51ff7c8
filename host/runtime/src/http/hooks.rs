//! What wasmtime's `wasi:http` asks of the host.

use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody, WasiHttpHooks};

use midplane_model::limits::PAGE_CHUNK_BYTES_MAX;

/// No server is granted to anybody.
pub struct HttpHooks;

/// A request on its way: the answer, and the work that goes on behind it.
type Sent = Result<(http::Response<WasiBody>, Box<dyn Future<Output = Result<()>> + Send>)>;

impl WasiHttpHooks for HttpHooks {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        PAGE_CHUNK_BYTES_MAX
    }

    fn send_request(
        &mut self,
        _: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<()>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}
