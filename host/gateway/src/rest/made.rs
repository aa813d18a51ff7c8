//! Bytes as an answer that are made while they are sent: no size, no version, no ranges.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{Method, header},
    response::Response,
};
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use midplane_model::{PageBody, bulk::Made, page::PageError};
use tokio_util::sync::CancellationToken;

use super::download::{confine, set};
use crate::{pages::WhileValid, tokens::Identity};

/// One that cannot be made to its end is cut off. `stop`: the host is stopping.
pub(super) fn respond(method: &Method, made: Made, identity: Arc<Identity>, stop: CancellationToken) -> Response {
    let mut response = Response::new(Body::empty());
    confine(&mut response, &made.media_type, true, &made.name);
    set(&mut response, header::CACHE_CONTROL, "no-store");
    if method != Method::HEAD {
        let pieces = stream::try_unfold((made.source, stop), |(mut source, stop)| async move {
            let piece = tokio::select! {
                piece = source.next() => piece.map_err(|fault| PageError::from(fault.message))?,
                () = stop.cancelled() => return Err("the host is stopping".into()),
            };
            Ok(piece.map(|bytes| (Frame::data(bytes), (source, stop))))
        });
        let body: PageBody = StreamBody::new(pieces).boxed_unsync();
        *response.body_mut() = Body::new(WhileValid::new(body, identity));
    }
    response
}
