//! The frames of a terminal channel (contract, section 9), made and read.

use bytes::{BufMut, Bytes, BytesMut};
use midplane_model::{ErrorCode, Fault, Frame, channel::op, limits::FRAME_BYTES_MAX};
use serde_json::{Value, json};

use super::output::Snapshot;
use crate::child::Exit;

/// In a SNAPSHOT's header: another frame of the same snapshot follows.
pub(super) const MORE_FOLLOWS: u16 = 1;

/// In a SNAPSHOT's payload, the `u32 flags`. Bit 1 (`truncated`) is reserved.
mod snapshot_flag {
    pub(super) const ALTERNATE_SCREEN: u32 = 1;
    pub(super) const MORE_SCROLLBACK: u32 = 1 << 2;
    /// Not the first frame of its snapshot: its VT bytes go on where the last frame's ended.
    pub(super) const CONTINUED: u32 = 1 << 3;
}

/// The last byte of EXIT: why there is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum EndReason {
    /// The program exited.
    Exited = 0,
    /// A signal ended it.
    Signalled = 1,
    /// The terminal was closed.
    Closed = 2,
}

pub(super) fn output(offset: u64, payload: Bytes) -> Frame {
    Frame { op: op::OUTPUT, flags: 0, offset, payload }
}

/// One frame for all but the most colourful screens. Each frame bears the size, so that a client that ignores the
/// flags still writes the right bytes in the right order.
pub(super) fn snapshot(snapshot: &Snapshot) -> Vec<Frame> {
    const HEAD_BYTES: usize = 8;
    let chunks: Vec<&[u8]> = snapshot.bytes.chunks(FRAME_BYTES_MAX - HEAD_BYTES).collect();
    let mut flags = 0;
    if snapshot.alternate {
        flags |= snapshot_flag::ALTERNATE_SCREEN;
    }
    if snapshot.more_scrollback {
        flags |= snapshot_flag::MORE_SCROLLBACK;
    }
    let frame = |(index, chunk): (usize, &&[u8])| {
        let mut payload = BytesMut::with_capacity(HEAD_BYTES + chunk.len());
        payload.put_u16(snapshot.size.cols);
        payload.put_u16(snapshot.size.rows);
        payload.put_u32(if index == 0 { flags } else { flags | snapshot_flag::CONTINUED });
        payload.put_slice(chunk);
        let more = if index + 1 < chunks.len() { MORE_FOLLOWS } else { 0 };
        Frame { op: op::SNAPSHOT, flags: more, offset: snapshot.offset, payload: payload.freeze() }
    };
    chunks.iter().enumerate().map(frame).collect()
}

pub(super) fn gap(lost: u64, next: u64) -> Frame {
    Frame { op: op::GAP, flags: 0, offset: lost, payload: Bytes::copy_from_slice(&next.to_be_bytes()) }
}

pub(super) fn exit(offset: u64, exit: Exit, reason: EndReason) -> Frame {
    let mut payload = BytesMut::with_capacity(6);
    payload.put_i32(exit.code);
    payload.put_u8(exit.signal.unwrap_or(0));
    payload.put_u8(reason as u8);
    Frame { op: op::EXIT, flags: 0, offset, payload: payload.freeze() }
}

pub(super) fn input_ack(accepted: u64) -> Frame {
    Frame { op: op::INPUT_ACK, flags: 0, offset: accepted, payload: Bytes::new() }
}

/// `offset` is where in the output the facts hold.
pub(super) fn meta(offset: u64, facts: &Value) -> Frame {
    Frame { op: op::META, flags: 0, offset, payload: facts.to_string().into() }
}

/// The META that tells a client why what it sent had no effect.
pub(super) fn refusal(code: ErrorCode, message: &str) -> Value {
    json!({ "error": { "code": code.as_str(), "message": message } })
}

/// What a client may send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ClientFrame {
    Input {
        offset: u64,
        bytes: Bytes,
    },
    Ack {
        offset: u64,
    },
    /// `visible` says whether anybody sees the client's window.
    Resize {
        cols: u16,
        rows: u16,
        visible: bool,
    },
}

impl ClientFrame {
    /// # Errors
    /// `invalid_request` for an unknown operation or a payload of the wrong length.
    pub(super) fn parse(frame: Frame) -> Result<Self, Fault> {
        match (frame.op, &frame.payload[..]) {
            (op::INPUT, _) => Ok(Self::Input { offset: frame.offset, bytes: frame.payload }),
            (op::ACK, []) => Ok(Self::Ack { offset: frame.offset }),
            (op::RESIZE, &[c1, c0, r1, r0, visible]) => Ok(Self::Resize {
                cols: u16::from_be_bytes([c1, c0]),
                rows: u16::from_be_bytes([r1, r0]),
                visible: visible != 0,
            }),
            (op, payload) => Err(Fault::new(
                ErrorCode::InvalidRequest,
                format!("a terminal channel takes no frame of operation {op:#04x} with {} bytes", payload.len()),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::size::Size, *};

    #[test]
    fn payloads_are_laid_out_as_the_contract_says() {
        let frame = exit(9, Exit { code: -2, signal: Some(15) }, EndReason::Closed);
        assert_eq!((frame.op, frame.offset, &frame.payload[..]), (0x04, 9, &[255, 255, 255, 254, 15, 2][..]));
        assert_eq!(&gap(1, 258).payload[..], &[0, 0, 0, 0, 0, 0, 1, 2]);
        let client = |op, payload: &[u8]| {
            ClientFrame::parse(Frame { op, flags: 0, offset: 3, payload: Bytes::copy_from_slice(payload) })
        };
        assert_eq!(
            client(0x12, &[1, 0, 0, 24, 1]).unwrap(),
            ClientFrame::Resize { cols: 256, rows: 24, visible: true }
        );
        assert_eq!(client(0x11, &[]).unwrap(), ClientFrame::Ack { offset: 3 });
        assert!(client(0x12, &[1, 0, 0, 24]).is_err());
        assert!(client(0x01, &[]).is_err());
    }

    #[test]
    fn a_snapshot_beyond_one_frame_is_continued_by_the_next() {
        let bytes = vec![b'x'; FRAME_BYTES_MAX];
        let size = Size { cols: 258, rows: 3 };
        let frames = snapshot(&Snapshot { offset: 7, size, alternate: true, more_scrollback: false, bytes });
        assert_eq!(frames.iter().map(|frame| frame.payload.len()).collect::<Vec<_>>(), [FRAME_BYTES_MAX, 16]);
        assert_eq!(frames.iter().map(|frame| (frame.flags, frame.offset)).collect::<Vec<_>>(), [(1, 7), (0, 7)]);
        assert_eq!(&frames[0].payload[..8], &[1, 2, 0, 3, 0, 0, 0, 1]);
        assert_eq!(&frames[1].payload[..8], &[1, 2, 0, 3, 0, 0, 0, 9]);
    }
}
