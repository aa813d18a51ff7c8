//! Bytes on their way into a terminal: bounded, in order, each written once.

use std::collections::VecDeque;

use midplane_model::limits::TERMINAL_INPUT_BYTES_MAX;

/// When full, what does not fit is refused: whole for [`InputQueue::push_all`], the rest for [`InputQueue::push_some`].
/// A program that does not read its input thus blocks nobody but those who write to it.
#[derive(Default)]
pub(super) struct InputQueue {
    bytes: VecDeque<u8>,
}

impl InputQueue {
    /// Takes all of `bytes` or none; says whether it did.
    pub(super) fn push_all(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= self.room();
        if fits {
            self.bytes.extend(bytes);
        }
        fits
    }

    /// Takes the first of `bytes`, as many as fit; says how many.
    pub(super) fn push_some(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        self.bytes.extend(&bytes[..taken]);
        taken
    }

    pub(super) fn room(&self) -> usize {
        TERMINAL_INPUT_BYTES_MAX - self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next bytes to write.
    pub(super) fn front(&self) -> &[u8] {
        let (first, second) = self.bytes.as_slices();
        if first.is_empty() { second } else { first }
    }

    /// Forgets `count` bytes that were written.
    pub(super) fn consume(&mut self, count: usize) {
        self.bytes.drain(..count);
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }
}
