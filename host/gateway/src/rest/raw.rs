//! Routes whose bodies are bytes: the call decides, then the bytes move between the request and what its component handed over.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use http_body_util::BodyExt as _;
use midplane_model::{
    ErrorCode, Fault, Reply,
    bulk::{Download, Exchange, Made, Upload},
    limits::STREAM_IDLE_MAX,
};
use tokio_util::sync::CancellationToken;

use super::params::check_coding;
use crate::{call::stopping, problem::Problem};

/// The request, as the call sees it.
pub(super) struct Passing {
    has_body: bool,
    handed: Mutex<Handed>,
}

/// What the component agreed to.
#[derive(Default)]
pub(super) struct Handed {
    pub download: Option<Download>,
    pub made: Option<Made>,
    pub upload: Option<Box<dyn Upload>>,
}

impl Passing {
    pub fn new(has_body: bool) -> Arc<Self> {
        Arc::new(Self { has_body, handed: Mutex::default() })
    }

    pub fn take(&self) -> Handed {
        std::mem::take(&mut *self.handed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn hand<T>(&self, place: impl FnOnce(&mut Handed) -> &mut Option<T>, what: T) -> Result<(), Fault> {
        let mut handed = self.handed.lock().unwrap_or_else(PoisonError::into_inner);
        let place = place(&mut handed);
        if place.is_some() {
            return Err(Fault::new(ErrorCode::Conflict, "this request has been given its bytes already"));
        }
        *place = Some(what);
        Ok(())
    }
}

impl Exchange for Passing {
    fn answer_with(&self, download: Download) -> Result<(), Fault> {
        if self.has_body {
            return Err(Fault::new(ErrorCode::NotSupported, "this request is answered in JSON"));
        }
        self.hand(|handed| &mut handed.download, download)
    }

    fn stream(&self, made: Made) -> Result<(), Fault> {
        if self.has_body {
            return Err(Fault::new(ErrorCode::NotSupported, "this request is answered in JSON"));
        }
        self.hand(|handed| &mut handed.made, made)
    }

    fn receive_into(&self, upload: Box<dyn Upload>) -> Result<(), Fault> {
        if !self.has_body {
            return Err(Fault::new(ErrorCode::NotSupported, "this request has no body"));
        }
        self.hand(|handed| &mut handed.upload, upload)
    }
}

/// A body is the whole file, as it is.
///
/// # Errors
/// `invalid_request` for a part of one (RFC 9110, section 14.5); 415 for a compressed one.
pub(super) fn check_body(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(header::CONTENT_RANGE) {
        return Err(Problem::new(
            ErrorCode::InvalidRequest,
            "a body is the whole file; Content-Range has no place here",
        ));
    }
    check_coding(headers)
}

/// Moves the request's body to its place. A body that breaks off leaves the file as it is.
pub(super) async fn receive(
    mut body: Body,
    mut upload: Box<dyn Upload>,
    stop: &CancellationToken,
) -> Result<Reply, Fault> {
    loop {
        let frame = tokio::select! {
            frame = tokio::time::timeout(STREAM_IDLE_MAX, body.frame()) => frame,
            () = stop.cancelled() => return Err(stopping()),
        };
        match frame {
            Err(_) => return Err(Fault::timeout(u64::try_from(STREAM_IDLE_MAX.as_millis()).unwrap_or(u64::MAX))),
            Ok(None) => return upload.finish().await,
            Ok(Some(Err(_))) => return Err(Fault::new(ErrorCode::InvalidRequest, "the body broke off")),
            Ok(Some(Ok(frame))) => {
                if let Ok(bytes) = frame.into_data() {
                    upload.write(bytes).await?;
                }
            }
        }
    }
}
