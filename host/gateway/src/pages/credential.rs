//! A visit lasts no longer than the credential that let it in.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use midplane_model::{BoxFuture, PageBody, page::PageError};

use crate::tokens::Identity;

/// An answer's body that is cut off when its visitor's token is revoked or expires.
pub(crate) struct WhileValid {
    inner: PageBody,
    identity: Arc<Identity>,
    /// Made when there is something to wait for: most answers are over before.
    ended: Option<BoxFuture<'static, ()>>,
}

impl WhileValid {
    pub fn new(inner: PageBody, identity: Arc<Identity>) -> Self {
        Self { inner, identity, ended: None }
    }
}

impl Body for WhileValid {
    type Data = Bytes;
    type Error = PageError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, PageError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            let valid = frame.is_none() || self.identity.is_valid();
            return Poll::Ready(if valid { frame } else { Some(Err("the token has ended".into())) });
        }
        let Self { identity, ended, .. } = &mut *self;
        let ended = ended.get_or_insert_with(|| {
            let identity = identity.clone();
            Box::pin(async move { _ = identity.ended().await })
        });
        ended.as_mut().poll(cx).map(|()| Some(Err("the token has ended".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
