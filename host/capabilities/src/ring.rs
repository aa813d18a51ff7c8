//! The raw output of a program: its last bytes, addressed by stream offset.
//!
//! Bytes are copied in once. Readers get shared slices ([`Bytes`]), so that many attachments cost no further copies; only
//! pieces smaller than [`SMALL_BYTES`] are joined by copying, to keep frames and bookkeeping few.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Allocation unit of the ring.
const BLOCK_BYTES: usize = 64 * 1024;
/// Below this a piece is worth copying to save a frame or an entry.
const SMALL_BYTES: usize = 4 * 1024;

/// When full, the oldest bytes are forgotten; [`Ring::start`] tells from where it still knows.
pub(crate) struct Ring {
    /// Immutable pieces with the offset of their first byte, contiguous, oldest first.
    sealed: VecDeque<(u64, Bytes)>,
    /// The newest bytes, still growing.
    open: BytesMut,
    end: u64,
    start: u64,
    capacity: usize,
}

impl Ring {
    /// Keeps the last `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { sealed: VecDeque::new(), open: BytesMut::new(), end: 0, start: 0, capacity }
    }

    /// Offset of the oldest byte that is kept.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Offset after the newest byte: the count of all bytes ever pushed.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Keeps so many bytes from now on.
    pub(crate) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
        self.evict();
    }

    /// Memory that the kept bytes take, about.
    pub(crate) fn bytes(&self) -> usize {
        self.open.capacity() + usize::try_from(self.end - self.start).unwrap_or(usize::MAX)
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.open.capacity() - self.open.len();
            if room == 0 {
                self.seal();
                self.open = BytesMut::with_capacity(BLOCK_BYTES);
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.open.extend_from_slice(now);
            self.end += now.len() as u64;
            bytes = later;
        }
        self.evict();
    }

    /// Up to `max` bytes from `from`; less where a piece ends, never empty while `from < end` and `max > 0`.
    /// `None` when `from` has been forgotten or lies ahead.
    pub(crate) fn slice(&mut self, from: u64, max: usize) -> Option<Bytes> {
        if from < self.start || from > self.end {
            return None;
        }
        if from == self.end || max == 0 {
            return Some(Bytes::new());
        }
        if from >= self.open_start() {
            self.seal();
        }
        // The piece that holds `from`: the last one that starts at or before it.
        let index = self.sealed.partition_point(|(offset, _)| *offset <= from) - 1;
        let (offset, piece) = &self.sealed[index];
        let skip = usize::try_from(from - offset).unwrap_or(usize::MAX);
        let first = piece.slice(skip..piece.len().min(skip.saturating_add(max)));
        if first.len() >= SMALL_BYTES.min(max) || from + first.len() as u64 == self.end {
            return Some(first);
        }
        Some(self.join(&first, index + 1, max))
    }

    /// A copy of up to `max` bytes from `from`; empty when that is not kept.
    pub(crate) fn read(&mut self, from: u64, max: usize) -> Vec<u8> {
        if let Some(skip) = from.checked_sub(self.open_start()).filter(|_| from >= self.start) {
            // Only the newest bytes, which go on growing where they are.
            let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(self.open.len());
            let newest = &self.open[skip..];
            return newest[..newest.len().min(max)].to_vec();
        }
        let mut bytes = Vec::new();
        while let Some(piece) = self.slice(from + bytes.len() as u64, max - bytes.len()).filter(|p| !p.is_empty()) {
            bytes.extend_from_slice(&piece);
        }
        bytes
    }

    /// Copies `first` and what follows it into one piece, until that is no longer small.
    fn join(&mut self, first: &[u8], mut index: usize, max: usize) -> Bytes {
        if self.sealed.len() == index {
            self.seal();
        }
        let limit = max.min(2 * SMALL_BYTES);
        let mut joined = BytesMut::from(first);
        while joined.len() < limit && index < self.sealed.len() {
            let piece = &self.sealed[index].1;
            joined.extend_from_slice(&piece[..piece.len().min(limit - joined.len())]);
            index += 1;
        }
        joined.freeze()
    }

    fn open_start(&self) -> u64 {
        self.end - self.open.len() as u64
    }

    /// Makes the growing piece immutable. Small neighbours become one entry, so that a program that writes a byte at a
    /// time cannot make the list longer than about `capacity / SMALL_BYTES * 2`.
    fn seal(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let offset = self.open_start();
        let piece = self.open.split().freeze();
        match self.sealed.back_mut() {
            Some((_, last)) if last.len() + piece.len() <= SMALL_BYTES => {
                let mut joined = BytesMut::with_capacity(last.len() + piece.len());
                joined.extend_from_slice(last);
                joined.extend_from_slice(&piece);
                *last = joined.freeze();
            }
            _ => self.sealed.push_back((offset, piece)),
        }
    }

    fn evict(&mut self) {
        let oldest = self.end.saturating_sub(self.capacity as u64);
        if self.start >= oldest {
            return;
        }
        self.start = oldest;
        // A piece goes when it is wholly forgotten, which may keep one block more than `capacity` in memory.
        while self.sealed.front().is_some_and(|(offset, piece)| offset + piece.len() as u64 <= oldest) {
            self.sealed.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(ring: &mut Ring, mut from: u64, max: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while from < ring.end() {
            let piece = ring.slice(from, max).unwrap();
            assert!(!piece.is_empty() && piece.len() <= max);
            from += piece.len() as u64;
            all.extend_from_slice(&piece);
        }
        all
    }

    #[test]
    fn every_kept_byte_is_found_at_its_offset() {
        let mut ring = Ring::new(10_000);
        let stream: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
        for (turn, chunk) in stream.chunks(777).enumerate() {
            ring.push(chunk);
            // Readers at odd places seal pieces of odd sizes.
            let from = ring.end() - (turn as u64 * 13 % 500).min(ring.end());
            let want = &stream[usize::try_from(from).unwrap()..usize::try_from(ring.end()).unwrap()];
            assert_eq!(read_all(&mut ring, from, 1 + turn * 7), want);
        }
        assert_eq!(ring.end() - ring.start(), 10_000);
        assert_eq!(ring.read(ring.end() - 9, 5), stream[stream.len() - 9..stream.len() - 4]);
        assert!(ring.read(ring.end(), 5).is_empty());
        let start = ring.start();
        assert_eq!(read_all(&mut ring, start, 4096), stream[190_000..]);
    }

    #[test]
    fn forgotten_and_future_offsets_are_refused() {
        let mut ring = Ring::new(4);
        ring.push(b"abcdef");
        assert_eq!(ring.slice(1, 9), None);
        assert_eq!(ring.slice(7, 9), None);
        assert!(ring.read(1, 9).is_empty() && ring.read(7, 9).is_empty());
        assert_eq!(ring.slice(2, 9).unwrap(), "cdef");
        assert_eq!(ring.slice(6, 9).unwrap(), "");
    }

    #[test]
    fn single_bytes_do_not_pile_up_as_entries() {
        let mut ring = Ring::new(1 << 20);
        for n in 0..100_000u64 {
            ring.push(b"x");
            ring.slice(n, 1).unwrap();
        }
        assert!(ring.sealed.len() <= 2 * 100_000 / SMALL_BYTES, "{}", ring.sealed.len());
    }
}
