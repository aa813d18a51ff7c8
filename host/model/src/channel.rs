//! Byte channels beside JSON (contract, section 9): how bulk bytes reach a client without passing a component.
//!
//! A capability makes a [`Channel`]; the connection that asked for it ([`Peer`]) gives it a number and pumps it. Neither
//! knows the other.

use bytes::Bytes;

use crate::{BoxFuture, fault::Fault};

/// Identifies a connection within this host process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u64);

/// What a channel carries; the upper four bits of a frame's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ChannelKind {
    Terminal = 1,
    File = 2,
    Document = 3,
    Process = 4,
}

/// One frame without its channel number, which only the connection knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub op: u8,
    pub flags: u16,
    pub offset: u64,
    pub payload: Bytes,
}

/// Operations of the contract's table.
pub mod op {
    pub const OUTPUT: u8 = 0x01;
    pub const SNAPSHOT: u8 = 0x02;
    pub const GAP: u8 = 0x03;
    pub const EXIT: u8 = 0x04;
    /// One that is short of what was sent says that there was no room for the rest; the next one, that there is.
    pub const INPUT_ACK: u8 = 0x05;
    pub const META: u8 = 0x06;
    pub const INPUT: u8 = 0x10;
    pub const ACK: u8 = 0x11;
    pub const RESIZE: u8 = 0x12;
}

/// Frames for the client, drawn at the connection's pace: the source keeps a position, not a queue.
pub trait FrameSource: Send {
    /// The next frame; `None` ends the channel. Dropping the future loses nothing.
    fn next(&mut self) -> BoxFuture<'_, Option<Frame>>;
}

/// Frames from the client. Never blocks: what cannot be taken is refused, and the client learns from the source
/// (`INPUT_ACK`, `META`) how far it came.
pub trait FrameSink: Send + Sync {
    fn receive(&self, frame: Frame) -> Result<(), Fault>;
}

/// Both directions of one channel.
pub struct Channel {
    pub kind: ChannelKind,
    pub source: Box<dyn FrameSource>,
    pub sink: std::sync::Arc<dyn FrameSink>,
}

/// The connection a call came from.
pub trait Peer: Send + Sync {
    fn id(&self) -> PeerId;

    /// Gives the channel a number and starts pumping it. The channel ends with its source, or with the connection.
    /// The reply of the call that opens it reaches the client before the channel's first frame.
    ///
    /// # Errors
    /// `quota_exceeded` beyond `CHANNELS_MAX`; `unavailable` when the connection is closing.
    fn open_channel(&self, channel: Channel) -> Result<u32, Fault>;

    /// Ends a channel from the host's side.
    fn close_channel(&self, channel: u32);
}
