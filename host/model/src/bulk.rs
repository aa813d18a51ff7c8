//! Bytes that pass around a component: it decides, and the host moves them between a file and the HTTP request of the call.
//!
//! A call over such a route carries its [`Exchange`]. The component's import hands it a [`Download`] or an [`Upload`]; once the
//! component has agreed by a good result, the door moves the bytes. Neither knows the other.

use std::time::SystemTime;

use bytes::Bytes;

use crate::{BoxFuture, call::Reply, fault::Fault};

/// The HTTP request of a call.
pub trait Exchange: Send + Sync {
    /// The answer's body is to be these bytes.
    ///
    /// # Errors
    /// `not_supported` for a request whose answer has no such body; `conflict` when one is there already.
    fn answer_with(&self, download: Download) -> Result<(), Fault>;

    /// The answer's body is to be bytes that are made while they are sent.
    ///
    /// # Errors
    /// As [`answer_with`](Self::answer_with).
    fn stream(&self, made: Made) -> Result<(), Fault>;

    /// The request's body is to go there.
    ///
    /// # Errors
    /// `not_supported` for a request without a body; `conflict` when it goes somewhere already.
    fn receive_into(&self, upload: Box<dyn Upload>) -> Result<(), Fault>;
}

/// A file on its way to a client.
pub struct Download {
    /// For the one who saves it.
    pub name: String,
    pub media_type: String,
    /// To be saved rather than shown.
    pub attachment: bool,
    /// Strong: what is sent is exactly this.
    pub version: String,
    /// Bytes.
    pub size: u64,
    pub modified: SystemTime,
    pub source: Box<dyn ByteSource>,
}

/// Bytes of no known size on their way to a client, to be saved.
pub struct Made {
    /// For the one who saves it.
    pub name: String,
    pub media_type: String,
    pub source: Box<dyn Pieces>,
}

/// Bytes that come once, in their order. Dropping it ends the making.
pub trait Pieces: Send {
    /// The next bytes; none at the end. Cancel safe.
    ///
    /// # Errors
    /// When the rest cannot be made: then the answer is cut off, so that it does not look like a whole one.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, Fault>>;
}

/// Bytes that can be read anywhere.
pub trait ByteSource: Send + Sync {
    /// Up to `length` bytes from `offset` on, at least one within the size.
    ///
    /// # Errors
    /// When they are not there any more: then the answer is cut off, so that it does not look like a whole one.
    fn read(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes, Fault>>;
}

/// A place for a request's body. Dropping it before its end leaves nothing behind.
pub trait Upload: Send {
    /// The next bytes. Must be awaited to its end.
    ///
    /// # Errors
    /// `too_large`, `no_space`.
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), Fault>>;

    /// All bytes have come: they become the file. The answer of the request.
    ///
    /// # Errors
    /// `precondition_failed` and whatever else keeps them from it; the file is as it was then.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Reply, Fault>>;
}
