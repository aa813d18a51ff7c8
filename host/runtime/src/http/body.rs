//! Bodies on their way: of the request into the guest, of the answer out of it. Pieces pass one by one.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use midplane_model::{PageBody, page::PageError};
use tokio_util::sync::DropGuard;
use wasmtime_wasi_http::{Error, p2::body::HyperOutgoingBody};

use super::pace::Pace;

/// The request's body, as the guest draws it.
pub struct Asked {
    pub inner: PageBody,
    pub pace: Arc<Pace>,
}

impl Body for Asked {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        self.pace.moved();
        // The guest learns that the rest will not come; why is between the client and the network.
        Poll::Ready(frame.map(|frame| frame.map_err(|_| Error::ConnectionTerminated)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The answer's body, as the client draws it. Dropped before its end, it ends the visit: the client is gone.
pub struct Answered {
    pub inner: HyperOutgoingBody,
    pub pace: Arc<Pace>,
    /// Bytes that the head promised and that have not passed yet, if it promised a number.
    pub left: Option<u64>,
    /// Ends the visit when dropped; taken when the answer is whole.
    pub visit: Option<DropGuard>,
}

impl Answered {
    fn is_whole(&mut self) {
        self.visit.take().map(DropGuard::disarm);
    }
}

impl Body for Answered {
    type Data = Bytes;
    type Error = PageError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, PageError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        self.pace.moved();
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.left = self.left.map(|left| left.saturating_sub(bytes));
                // A server that has passed what was promised does not ask for the end.
                if self.left == Some(0) {
                    self.is_whole();
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(error.into())),
            None if self.pace.has_failed() => Some(Err("the plugin failed before the end of its answer".into())),
            None => {
                self.is_whole();
                None
            }
        })
    }
}
