//! Bytes on their way into a terminal: bounded, in order, each written once.

use std::collections::VecDeque;

use midplane_model::limits::TERMINAL_INPUT_BYTES_MAX;

/// When full, what does not fit is refused: whole for [`InputQueue::push_all`], the rest for [`InputQueue::push_some`].
/// A program that does not read its input thus blocks nobody but those who write to it.
#[derive(Default)]
pub(super) struct InputQueue {
    bytes: VecDeque<u8>,
    heard: Option<Heard>,
}

/// Typed bytes that wait for who records them; beyond, they are counted as lost.
pub(super) const HEARD_BYTES_MAX: usize = 64 * 1024;

#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    lost: u64,
}

impl InputQueue {
    /// Takes all of `bytes` or none; says whether it did.
    pub(super) fn push_all(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= self.room();
        if fits {
            self.hear(bytes);
            self.bytes.extend(bytes);
        }
        fits
    }

    /// Takes what the host answers to a question, all of it or none: nobody has typed it.
    pub(super) fn push_answer(&mut self, bytes: &[u8]) {
        if bytes.len() <= self.room() {
            self.bytes.extend(bytes);
        }
    }

    /// Whether what is typed is kept for [`InputQueue::take_heard`].
    pub(super) fn listen(&mut self, listen: bool) {
        self.heard = listen.then(Heard::default);
    }

    pub(super) fn is_heard(&self) -> bool {
        self.heard.is_some()
    }

    /// What was typed since it was asked for last, and how many bytes more that were not kept.
    pub(super) fn take_heard(&mut self) -> (Vec<u8>, u64) {
        self.heard.as_mut().map(std::mem::take).map_or((Vec::new(), 0), |heard| (heard.bytes, heard.lost))
    }

    fn hear(&mut self, bytes: &[u8]) {
        if let Some(heard) = &mut self.heard {
            let (kept, lost) = bytes.split_at(bytes.len().min(HEARD_BYTES_MAX - heard.bytes.len()));
            heard.bytes.extend_from_slice(kept);
            heard.lost += lost.len() as u64;
        }
    }

    /// Takes the first of `bytes`, as many as fit; says how many.
    pub(super) fn push_some(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        self.hear(&bytes[..taken]);
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
