//! Binary channel frames (contract, section 9): a 16-byte big-endian header, then the payload as it is.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use midplane_model::{ChannelKind, Frame, limits::FRAME_BYTES_MAX};

/// `u8 kind<<4|version` · `u8 op` · `u16 flags` · `u32 channel` · `u64 offset`.
pub const FRAME_HEADER_BYTES: usize = 16;
/// The lower four bits of the first byte.
const VERSION: u8 = 1;

/// Why bytes are no frame, or a frame cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame has at least {FRAME_HEADER_BYTES} bytes, this one has {bytes}")]
    Short { bytes: usize },
    #[error("frames have version {VERSION}, this one has {version}")]
    Version { version: u8 },
    #[error("there is no channel kind {kind}")]
    Kind { kind: u8 },
    #[error("a frame carries at most {FRAME_BYTES_MAX} bytes, this one has {bytes}")]
    Long { bytes: usize },
}

/// One frame on the wire. The payload is copied once, behind its header.
///
/// # Errors
/// [`FrameError::Long`] for a payload beyond `FRAME_BYTES_MAX`.
pub fn encode_frame(kind: ChannelKind, channel: u32, frame: &Frame) -> Result<Bytes, FrameError> {
    let bytes = frame.payload.len();
    if bytes > FRAME_BYTES_MAX {
        return Err(FrameError::Long { bytes });
    }
    let mut wire = BytesMut::with_capacity(FRAME_HEADER_BYTES + bytes);
    wire.put_u8((kind as u8) << 4 | VERSION);
    wire.put_u8(frame.op);
    wire.put_u16(frame.flags);
    wire.put_u32(channel);
    wire.put_u64(frame.offset);
    wire.put_slice(&frame.payload);
    Ok(wire.freeze())
}

/// Reads one frame; the payload shares the bytes. What an op means, and whether it is known, is for the channel to say.
///
/// # Errors
/// Whatever is wrong with the header, or [`FrameError::Long`].
pub fn decode_frame(mut wire: Bytes) -> Result<(ChannelKind, u32, Frame), FrameError> {
    if wire.len() < FRAME_HEADER_BYTES {
        return Err(FrameError::Short { bytes: wire.len() });
    }
    let first = wire.get_u8();
    let (kind, version) = (first >> 4, first & 0x0f);
    if version != VERSION {
        return Err(FrameError::Version { version });
    }
    let kind = match kind {
        1 => ChannelKind::Terminal,
        2 => ChannelKind::File,
        3 => ChannelKind::Document,
        4 => ChannelKind::Process,
        kind => return Err(FrameError::Kind { kind }),
    };
    let (op, flags, channel, offset) = (wire.get_u8(), wire.get_u16(), wire.get_u32(), wire.get_u64());
    if wire.len() > FRAME_BYTES_MAX {
        return Err(FrameError::Long { bytes: wire.len() });
    }
    Ok((kind, channel, Frame { op, flags, offset, payload: wire }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [ChannelKind; 4] =
        [ChannelKind::Terminal, ChannelKind::File, ChannelKind::Document, ChannelKind::Process];

    proptest! {
        #[test]
        fn a_frame_comes_back_as_it_was(
            kind in 0_usize..4, op: u8, flags: u16, channel: u32, offset: u64,
            payload in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let frame = Frame { op, flags, offset, payload: payload.into() };
            let wire = encode_frame(KINDS[kind], channel, &frame).unwrap();
            prop_assert_eq!(decode_frame(wire), Ok((KINDS[kind], channel, frame)));
        }

        #[test]
        fn any_bytes_are_a_frame_or_an_error_and_a_frame_writes_the_same_bytes(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let wire = Bytes::from(bytes);
            if let Ok((kind, channel, frame)) = decode_frame(wire.clone()) {
                prop_assert_eq!(encode_frame(kind, channel, &frame), Ok(wire));
            }
        }
    }

    #[test]
    fn the_header_is_big_endian_as_the_contract_has_it() {
        let frame = Frame { op: 0x01, flags: 0x0203, offset: 0x0a0b, payload: Bytes::from_static(b"x") };
        let wire = encode_frame(ChannelKind::Terminal, 0x0405, &frame).unwrap();
        assert_eq!(&wire[..], [0x11, 1, 2, 3, 0, 0, 4, 5, 0, 0, 0, 0, 0, 0, 0x0a, 0x0b, b'x']);
    }

    #[test]
    fn what_is_no_frame_is_named() {
        let with_first = |first: u8| decode_frame(Bytes::from([&[first][..], &[0; 15]].concat()));
        assert_eq!(decode_frame(Bytes::from_static(&[0x11; 15])), Err(FrameError::Short { bytes: 15 }));
        assert_eq!(with_first(0x12), Err(FrameError::Version { version: 2 }));
        assert_eq!(with_first(0x51), Err(FrameError::Kind { kind: 5 }));
        let long = Frame { op: 1, flags: 0, offset: 0, payload: vec![0; FRAME_BYTES_MAX + 1].into() };
        let bytes = FRAME_BYTES_MAX + 1;
        assert_eq!(encode_frame(ChannelKind::File, 1, &long), Err(FrameError::Long { bytes }));
    }
}
