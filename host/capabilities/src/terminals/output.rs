//! All that a program has written: the raw ring and the screen model, fed together, so that an offset in one is a state of
//! the other.

use std::time::Instant;

use super::{
    model::ScreenModel,
    queries::{Piece, QueryFilter},
    size::Size,
};
use crate::ring::Ring;

pub(super) struct Output {
    pub(super) ring: Ring,
    pub(super) model: ScreenModel,
    filter: QueryFilter,
    /// Offset at the last change of size: older bytes were written for another screen.
    resized_at: u64,
    pub(super) last_write: Instant,
}

/// A screen as bytes, and the offset from which the ring continues it.
pub(super) struct Snapshot {
    pub(super) offset: u64,
    pub(super) size: Size,
    pub(super) alternate: bool,
    pub(super) more_scrollback: bool,
    pub(super) bytes: String,
}

impl Output {
    pub(super) fn new(size: Size, ring_bytes: usize, scrollback_lines: usize) -> Self {
        Self {
            ring: Ring::new(ring_bytes),
            model: ScreenModel::new(size, scrollback_lines),
            filter: QueryFilter::new(),
            resized_at: 0,
            last_write: Instant::now(),
        }
    }

    /// Takes what the program wrote; returns what the host answers to the queries in it.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.last_write = Instant::now();
        self.scan(|filter, emit| filter.push(bytes, emit))
    }

    /// No more will be written: nothing is held back any longer.
    pub(super) fn finish(&mut self) {
        self.scan(|filter, emit| filter.finish(emit));
    }

    fn scan(&mut self, run: impl FnOnce(&mut QueryFilter, &mut dyn FnMut(Piece<'_>))) -> Vec<u8> {
        let Self { ring, model, filter, .. } = self;
        let mut answers = Vec::new();
        run(filter, &mut |piece| match piece {
            Piece::Output(bytes) => {
                ring.push(bytes);
                model.process(bytes);
            }
            Piece::Query(query) => answers.extend(query.answer(model.cursor())),
        });
        answers
    }

    pub(super) fn resize(&mut self, size: Size) {
        self.model.set_size(size);
        self.resized_at = self.ring.end();
    }

    /// Offset of the last change of size.
    pub(super) fn resized_at(&self) -> u64 {
        self.resized_at
    }

    /// Whether a reader who has seen everything before `offset` can go on with bytes from the ring.
    pub(super) fn continues_from(&self, offset: u64) -> bool {
        (self.ring.start().max(self.resized_at)..=self.ring.end()).contains(&offset)
    }

    /// The screen as it is, and where the ring continues it.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        Snapshot {
            offset: self.cut(),
            size: self.model.size(),
            alternate: self.model.alternate_screen(),
            more_scrollback: self.model.has_scrollback(),
            bytes: self.model.rebuild(),
        }
    }

    /// The latest offset at which no sequence or character is half written. The bytes after it have not touched the
    /// screen yet, so a snapshot stands for this offset and its reader gets them again, whole.
    fn cut(&mut self) -> u64 {
        let end = self.ring.end();
        let unfinished = match self.filter.unfinished_bytes() {
            0 => unfinished_char(&self.ring.read(end.saturating_sub(3).max(self.ring.start()), 3)),
            bytes => bytes,
        };
        end.saturating_sub(unfinished).max(self.ring.start())
    }
}

/// Length of the UTF-8 character that `bytes` end in the middle of; 0 when they do not.
fn unfinished_char(bytes: &[u8]) -> u64 {
    (1..=bytes.len())
        .find(|len| {
            let tail = &bytes[bytes.len() - len..];
            std::str::from_utf8(tail).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        })
        .map_or(0, |len| len as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { cols: 40, rows: 6 };

    #[test]
    fn snapshot_and_rest_equal_the_whole_wherever_it_is_cut() {
        let stream =
            "one \x1b[1;32mgreen\x1b[0m ä漢€\r\n\x1b]2;title\x1b\\two\x1b[2;9Hx\x1b[?1049hALT\x1b[?1049l".as_bytes();
        let mut whole = ScreenModel::new(SIZE, 10);
        whole.process(stream);
        for cut in 0..=stream.len() {
            let mut output = Output::new(SIZE, 1024, 10);
            output.write(&stream[..cut]);
            let snapshot = output.snapshot();
            output.write(&stream[cut..]);
            let mut copy = ScreenModel::new(SIZE, 10);
            copy.process(snapshot.bytes.as_bytes());
            let mut from = snapshot.offset;
            while from < output.ring.end() {
                let piece = output.ring.slice(from, 7).unwrap();
                from += piece.len() as u64;
                copy.process(&piece);
            }
            assert_eq!(copy.rebuild(), whole.rebuild(), "cut at {cut}");
        }
    }

    #[test]
    fn queries_are_answered_where_they_stand() {
        let mut output = Output::new(SIZE, 1024, 10);
        assert_eq!(output.write(b"abc\x1b[6nde\r\n\x1b[6n"), b"\x1b[1;4R\x1b[2;1R");
        assert_eq!(output.ring.end(), 7);
    }
}
