//! Input of a client that numbers nothing: numbered here, and sent on from where the terminal says that it has come.

use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use midplane_model::{
    Frame, FrameSink,
    channel::op,
    limits::{FRAME_BYTES_MAX, TERMINAL_INPUT_BYTES_MAX},
};

/// When as much waits as a terminal takes, the client is not read any more until some was accepted: so what waits is less
/// than that and one message.
pub(super) struct Input {
    sink: Arc<dyn FrameSink>,
    /// Not accepted yet.
    waiting: BytesMut,
    accepted: u64,
    /// Where the frame on its way ends.
    sent_to: Option<u64>,
    /// The program does not read: the terminal says when there is room again.
    blocked: bool,
}

impl Input {
    pub(super) fn new(sink: Arc<dyn FrameSink>) -> Self {
        Self { sink, waiting: BytesMut::new(), accepted: 0, sent_to: None, blocked: false }
    }

    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < TERMINAL_INPUT_BYTES_MAX
    }

    pub(super) fn typed(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
        self.send_next();
    }

    pub(super) fn accepted(&mut self, offset: u64) {
        let new = usize::try_from(offset.saturating_sub(self.accepted)).unwrap_or(usize::MAX);
        self.waiting.advance(new.min(self.waiting.len()));
        self.accepted = self.accepted.max(offset);
        // Less than was sent means that there is no room. Of room there is word.
        self.blocked = self.sent_to.take().is_some_and(|end| offset < end);
        self.send_next();
    }

    pub(super) fn frame(&self, op: u8, offset: u64, payload: Bytes) {
        if let Err(fault) = self.sink.receive(Frame { op, flags: 0, offset, payload }) {
            tracing::debug!(code = fault.code.as_str(), "a terminal took no frame");
        }
    }

    fn send_next(&mut self) {
        if self.sent_to.is_some() || self.blocked || self.waiting.is_empty() {
            return;
        }
        let next = Bytes::copy_from_slice(&self.waiting[..self.waiting.len().min(FRAME_BYTES_MAX)]);
        self.sent_to = Some(self.accepted + next.len() as u64);
        self.frame(op::INPUT, self.accepted, next);
    }
}
