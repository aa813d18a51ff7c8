//! Frames of a terminal's channel (contract, section 9), as a client makes and reads them.

use anyhow::Context;
use bytes::{BufMut, Bytes, BytesMut};
use midplane_model::{ChannelKind, Frame, channel::op};
use midplane_protocol::{decode_frame, encode_frame};
use serde_json::Value;

use crate::client::Failure;

/// In a SNAPSHOT's header: another part of it follows.
const MORE_FOLLOWS: u16 = 1;
/// In a SNAPSHOT, before the bytes.
const SNAPSHOT_HEAD_BYTES: usize = 8;
/// With which snapshots begin: they reset the emulator and clear its scrollback, which is not ours to clear.
const RESET: &[u8] = b"\x1bc\x1b[3J";
const CLEAR: &[u8] = b"\x1b[!p\x1b[?1049l\x1b[r\x1b[m\x1b[2J\x1b[H";

/// What a frame tells.
pub enum Told {
    /// To show, and where the output then stands.
    Output {
        bytes: Bytes,
        offset: u64,
    },
    /// To show; with the last part all is drawn, for a terminal of this size and up to this offset.
    Snapshot {
        bytes: Bytes,
        offset: u64,
        size: (u16, u16),
        last: bool,
    },
    InputAccepted(u64),
    Facts(Value),
    /// With the exit code.
    Exit(i32),
    Nothing,
}

/// # Errors
/// For bytes that are no frame.
pub fn read(wire: Bytes, channel: u32) -> Result<Told, Failure> {
    let (_, number, frame) = decode_frame(wire).context("the host sent no frame")?;
    if number != channel {
        return Ok(Told::Nothing);
    }
    let Frame { op, flags, offset, payload } = frame;
    Ok(match op {
        op::OUTPUT => {
            let end = offset + payload.len() as u64;
            Told::Output { bytes: payload, offset: end }
        }
        op::SNAPSHOT => {
            let &[c1, c0, r1, r0] = payload.first_chunk().context("the host sent a snapshot without a size")?;
            let size = (u16::from_be_bytes([c1, c0]), u16::from_be_bytes([r1, r0]));
            let bytes = gently(payload.slice(SNAPSHOT_HEAD_BYTES.min(payload.len())..));
            Told::Snapshot { bytes, offset, size, last: flags & MORE_FOLLOWS == 0 }
        }
        op::INPUT_ACK => Told::InputAccepted(offset),
        op::META => serde_json::from_slice(&payload).map_or(Told::Nothing, Told::Facts),
        op::EXIT => Told::Exit(payload.first_chunk().map_or(-1, |code| i32::from_be_bytes(*code))),
        _ => Told::Nothing,
    })
}

fn gently(snapshot: Bytes) -> Bytes {
    match snapshot.strip_prefix(RESET) {
        Some(rest) => [CLEAR, rest].concat().into(),
        None => snapshot,
    }
}

pub fn input(channel: u32, offset: u64, bytes: &[u8]) -> Result<Bytes, Failure> {
    write(channel, op::INPUT, offset, Bytes::copy_from_slice(bytes))
}

pub fn acknowledgement(channel: u32, offset: u64) -> Result<Bytes, Failure> {
    write(channel, op::ACK, offset, Bytes::new())
}

pub fn resize(channel: u32, (cols, rows): (u16, u16)) -> Result<Bytes, Failure> {
    let mut payload = BytesMut::with_capacity(5);
    payload.put_u16(cols);
    payload.put_u16(rows);
    payload.put_u8(1);
    write(channel, op::RESIZE, 0, payload.freeze())
}

fn write(channel: u32, op: u8, offset: u64, payload: Bytes) -> Result<Bytes, Failure> {
    let frame = Frame { op, flags: 0, offset, payload };
    Ok(encode_frame(ChannelKind::Terminal, channel, &frame).context("a frame that cannot be sent")?)
}
