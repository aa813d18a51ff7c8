//! Lines far above the screen, as the bytes that draw them: about a tenth of what cells take, and ready for a snapshot.

use std::collections::VecDeque;

/// When full, the oldest lines are forgotten.
pub(super) struct Scrollback {
    bytes: VecDeque<u8>,
    /// Length of each line, oldest first.
    lines: VecDeque<Line>,
    lines_max: usize,
    /// For making a line; kept, so that it is not allocated for each.
    scratch: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Line {
    bytes: u32,
    /// The next line goes on where this one ends.
    wraps: bool,
}

impl Scrollback {
    pub(super) fn new(lines_max: usize) -> Self {
        Self { bytes: VecDeque::new(), lines: VecDeque::new(), lines_max, scratch: Vec::new() }
    }

    /// Adds the line that `draw` draws, as the newest.
    pub(super) fn push(&mut self, draw: impl FnOnce(&mut Vec<u8>) -> bool) {
        self.scratch.clear();
        let wraps = draw(&mut self.scratch);
        // A line has at most 1,000 cells of bounded size.
        let bytes = u32::try_from(self.scratch.len()).unwrap_or(u32::MAX);
        self.bytes.extend(&self.scratch);
        self.lines.push_back(Line { bytes, wraps });
        while self.lines.len() > self.lines_max {
            self.forget_oldest();
        }
    }

    /// The newest line goes on nowhere: what follows has been laid out for another width.
    pub(super) fn end_line(&mut self) {
        if let Some(line) = self.lines.back_mut() {
            line.wraps = false;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Appends the newest lines, oldest first: at most `count`, in at most `bytes_max` bytes. Says how many.
    pub(super) fn append(&self, count: usize, bytes_max: usize, target: &mut Vec<u8>) -> usize {
        let (mut lines, mut bytes, mut drawn) = (0, 0, 0);
        for line in self.lines.iter().rev().take(count) {
            let length = line.bytes as usize;
            drawn += length + 2;
            if drawn > bytes_max {
                break;
            }
            lines += 1;
            bytes += length;
        }
        let mut at = self.bytes.len() - bytes;
        for line in self.lines.range(self.lines.len() - lines..) {
            let end = at + line.bytes as usize;
            let (first, second) = self.bytes.as_slices();
            target.extend_from_slice(&first[at.min(first.len())..end.min(first.len())]);
            target.extend_from_slice(&second[at.saturating_sub(first.len())..end.saturating_sub(first.len())]);
            at = end;
            if !line.wraps {
                target.extend_from_slice(b"\r\n");
            }
        }
        lines
    }

    /// The newest lines as text, oldest first.
    pub(super) fn text(&self, count: usize) -> Vec<String> {
        let count = count.min(self.lines.len());
        let newest = self.lines.range(self.lines.len() - count..);
        let mut at = self.bytes.len() - newest.clone().map(|line| line.bytes as usize).sum::<usize>();
        newest
            .map(|line| {
                let drawn: Vec<u8> = self.bytes.range(at..at + line.bytes as usize).copied().collect();
                at += line.bytes as usize;
                without_sequences(&drawn).trim_end().to_owned()
            })
            .collect()
    }

    /// Memory that the lines take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.capacity() + self.lines.capacity() * size_of::<Line>()
    }

    /// Forgets the oldest lines until the rest takes at most this much.
    pub(super) fn keep_bytes(&mut self, bytes: usize) {
        while self.bytes.len() + self.lines.len() * size_of::<Line>() > bytes {
            self.forget_oldest();
        }
        self.bytes.shrink_to(self.bytes.len());
        self.lines.shrink_to(self.lines.len());
    }

    pub(super) fn clear(&mut self) {
        self.bytes = VecDeque::new();
        self.lines = VecDeque::new();
    }

    fn forget_oldest(&mut self) {
        if let Some(line) = self.lines.pop_front() {
            self.bytes.drain(..line.bytes as usize);
        }
    }
}

/// The letters among the bytes that draw a line: what else is in there are colours (`ESC [ … m`, `ESC [ K`) and links
/// (`ESC ] … ESC \`).
fn without_sequences(drawn: &[u8]) -> String {
    let mut letters = Vec::with_capacity(drawn.len());
    let mut rest = drawn;
    while let Some(at) = rest.iter().position(|&byte| byte == 0x1b) {
        letters.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let end = match rest.get(1) {
            Some(b'[') => rest[2..].iter().position(|byte| (0x40..=0x7e).contains(byte)).map(|end| end + 3),
            _ => rest[1..].windows(2).position(|pair| pair == b"\x1b\\").map(|end| end + 3),
        };
        rest = &rest[end.unwrap_or(rest.len())..];
    }
    letters.extend_from_slice(rest);
    // What wraps into an empty line is a blank and a return.
    String::from_utf8_lossy(&letters).replace('\r', "")
}
