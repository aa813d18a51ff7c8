//! One request and its answer over one connection, within the bounds. Redirects are the guest's own affair.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::{body::Incoming, client::conn::http1};
use midplane_model::limits::{
    HTTP_BETWEEN_BYTES_DEFAULT, HTTP_CONNECT_MAX, HTTP_FIRST_BYTE_DEFAULT, HTTP_WAIT_MAX, PAGE_HEADER_BYTES_MAX,
};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, io::TokioIo};

use super::{connection::connect, grant::HttpGrant, target::Target};

/// What goes on behind an answer until its body is read.
pub type Behind = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// How long each part may take: what the guest asks for, up to the bounds.
struct Patience {
    connect: Duration,
    first_byte: Duration,
    between_bytes: Duration,
}

impl Patience {
    fn of(options: Option<RequestOptions>) -> Self {
        let options = options.unwrap_or_default();
        Self {
            connect: options.connect_timeout.unwrap_or(HTTP_CONNECT_MAX).min(HTTP_CONNECT_MAX),
            first_byte: options.first_byte_timeout.unwrap_or(HTTP_FIRST_BYTE_DEFAULT).min(HTTP_WAIT_MAX),
            between_bytes: options.between_bytes_timeout.unwrap_or(HTTP_BETWEEN_BYTES_DEFAULT).min(HTTP_WAIT_MAX),
        }
    }
}

/// Sends a request to a granted target. `place` is held until the connection ends.
///
/// # Errors
/// Those of `wasi:http`, for the guest.
pub async fn exchange(
    mut request: Request<WasiBody>,
    target: Target,
    grants: Arc<[HttpGrant]>,
    options: Option<RequestOptions>,
    place: OwnedSemaphorePermit,
) -> Result<(Response<WasiBody>, Behind), Error> {
    let patience = Patience::of(options);
    let connecting = async {
        let stream = connect(&target, &grants).await?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(PAGE_HEADER_BYTES_MAX);
        builder.handshake(TokioIo::new(stream)).await.map_err(Error::from)
    };
    let (mut sender, connection) =
        timeout(patience.connect, connecting).await.map_err(|_| Error::ConnectionTimeout)??;
    // Driven beside the request, and no longer than the guest keeps the answer.
    let connection = AbortOnDropHandle::new(tokio::spawn(connection));
    *request.uri_mut() = origin_form(request.uri())?;
    let answer = timeout(patience.first_byte, sender.send_request(request)).await;
    let answer = answer.map_err(|_| Error::ConnectionReadTimeout)??;
    let body = |inner| Received {
        inner,
        limit: patience.between_bytes,
        timer: Box::pin(tokio::time::sleep(patience.between_bytes)),
    };
    let behind = async move {
        let _place = place;
        // What went wrong has reached the guest through the body.
        _ = connection.await;
        Ok(())
    };
    Ok((answer.map(|inner| body(inner).boxed_unsync()), Box::new(behind)))
}

/// The path alone: scheme and authority are for proxies.
fn origin_form(uri: &Uri) -> Result<Uri, Error> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    path.parse().map_err(|_| Error::HttpRequestUriInvalid)
}

/// An answer's body, whose pieces may not be too far apart.
struct Received {
    inner: Incoming,
    limit: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Body for Received {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            let again = Instant::now() + self.limit;
            self.timer.as_mut().reset(again);
            return Poll::Ready(frame.map(|frame| frame.map_err(|_| Error::HttpResponseIncomplete)));
        }
        self.timer.as_mut().poll(cx).map(|()| Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
