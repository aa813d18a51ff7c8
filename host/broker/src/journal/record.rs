//! Events as bytes, and groups of them as frames: `magic, length, checksum, records`. A frame counts as a whole or not at
//! all, so a group that was cut off by a crash leaves nothing behind.
//!
//! Numbers are little-endian. A record is `seq u64, time_ms u64, expires_ms u64 (0: never), topic u16+bytes, origin u32+JSON,
//! payload u32+JSON`; times are the wall clock's, because no other outlives the process.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use midplane_model::{Event, Origin, Stamp, Topic};
use serde_json::value::RawValue;

pub(super) const FRAME_MAGIC: [u8; 4] = *b"MPEF";
/// Magic, length and checksum.
pub(super) const FRAME_HEADER_BYTES: usize = 12;

/// The clocks at one moment, to translate between what is stored and what is compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    pub wall: SystemTime,
    pub monotonic: Instant,
}

/// Appends one frame with these events.
pub(super) fn write_frame(buffer: &mut Vec<u8>, events: &[Arc<Event>], clocks: Clocks) {
    let start = buffer.len();
    buffer.extend([0; FRAME_HEADER_BYTES]);
    for event in events {
        write_record(buffer, event, clocks);
    }
    let body = start + FRAME_HEADER_BYTES;
    // A group is bounded far below 4 GiB.
    let length = u32::try_from(buffer.len() - body).unwrap_or(u32::MAX);
    let checksum = crc32fast::hash(&buffer[body..]);
    buffer[start..start + 4].copy_from_slice(&FRAME_MAGIC);
    buffer[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    buffer[start + 8..body].copy_from_slice(&checksum.to_le_bytes());
}

/// The records of the frame at the beginning of these bytes, and how long the frame is. None if it is not whole.
pub(super) fn read_frame(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let mut header = Reader(bytes);
    if header.take(4)? != FRAME_MAGIC {
        return None;
    }
    let (length, checksum) = (usize::try_from(header.u32()?).ok()?, header.u32()?);
    let records = header.take(length)?;
    (crc32fast::hash(records) == checksum).then_some((records, FRAME_HEADER_BYTES + length))
}

/// Whether a whole frame begins anywhere in these bytes.
pub(super) fn contains_frame(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.windows(4).position(|window| window == FRAME_MAGIC) {
        if read_frame(&rest[at..]).is_some() {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// The events of a frame. None if they are not what this version writes.
pub(super) fn read_records(
    records: &[u8],
    stream: &Arc<str>,
    epoch: &Arc<str>,
    clocks: Clocks,
) -> Option<Vec<Arc<Event>>> {
    let mut reader = Reader(records);
    let mut events = Vec::new();
    while !reader.0.is_empty() {
        events.push(Arc::new(read_record(&mut reader, stream, epoch, clocks)?));
    }
    Some(events)
}

fn write_record(buffer: &mut Vec<u8>, event: &Event, clocks: Clocks) {
    let origin = serde_json::to_vec(&event.origin).unwrap_or_else(|_| b"{}".to_vec());
    let expires = event.expires_at.map_or(0, |at| {
        let left = at.saturating_duration_since(clocks.monotonic);
        // Already expired is not the same as never.
        millis(clocks.wall + left).max(1)
    });
    for number in [event.seq, millis(event.time), expires] {
        buffer.extend(number.to_le_bytes());
    }
    let (topic, payload) = (event.topic.as_str(), event.payload.get());
    // Topics have 256 bytes at most, payloads a mebibyte.
    buffer.extend(u16::try_from(topic.len()).unwrap_or(u16::MAX).to_le_bytes());
    buffer.extend(topic.as_bytes());
    for part in [&origin[..], payload.as_bytes()] {
        buffer.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        buffer.extend(part);
    }
}

fn read_record(reader: &mut Reader<'_>, stream: &Arc<str>, epoch: &Arc<str>, clocks: Clocks) -> Option<Event> {
    let (seq, time, expires) = (reader.u64()?, reader.u64()?, reader.u64()?);
    let length = reader.u16()?;
    let topic = Topic::parse(std::str::from_utf8(reader.take(length.into())?).ok()?).ok()?;
    let length = reader.u32()?;
    let origin: Origin = serde_json::from_slice(reader.take(usize::try_from(length).ok()?)?).ok()?;
    let length = reader.u32()?;
    let payload = reader.take(usize::try_from(length).ok()?)?;
    let payload = RawValue::from_string(String::from_utf8(payload.to_vec()).ok()?).ok()?;
    let stamp = Stamp { stream: Arc::clone(stream), epoch: Arc::clone(epoch), seq, time: moment(time) };
    let mut event = Event::new(stamp, topic, payload, origin);
    event.expires_at = (expires > 0).then(|| {
        let left = moment(expires).duration_since(clocks.wall).unwrap_or_default();
        clocks.monotonic + left
    });
    Some(event)
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A damaged number cannot get here past the checksum, a clock that was wrong can: no moment is later than a millennium.
fn moment(millis: u64) -> SystemTime {
    const LATEST: Duration = Duration::from_secs(1000 * 365 * 24 * 3600);
    UNIX_EPOCH + Duration::from_millis(millis).min(LATEST)
}

/// Takes numbers and bytes from the front.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }
}
