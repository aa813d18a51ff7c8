//! All that a program has written: the raw ring, the screen model and what the shell has said, fed together, so that an offset
//! in one is a state of the others.

use std::time::Instant;

use super::{
    answers,
    scan::{Piece, Scanner, unfinished_char},
    screen::ScreenModel,
    shell::ShellLog,
    size::Size,
};
use crate::ring::Ring;

/// A sequence that is longer than this and not finished is not sent again from its beginning: it may be an image of
/// megabytes. Its reader is made to ignore the rest.
const RESENT_BYTES_MAX: u64 = 4096;

pub(super) struct Output {
    pub(super) ring: Ring,
    pub(super) model: ScreenModel,
    pub(super) shell: ShellLog,
    scanner: Scanner,
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
    pub(super) bytes: Vec<u8>,
}

/// How much scrollback a snapshot has at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Depth {
    pub(super) lines: usize,
    pub(super) bytes: usize,
}

impl Output {
    pub(super) fn new(size: Size, ring_bytes: usize, scrollback_lines: usize) -> Self {
        Self {
            ring: Ring::new(ring_bytes),
            model: ScreenModel::new(size, scrollback_lines),
            shell: ShellLog::new(),
            scanner: Scanner::new(),
            resized_at: 0,
            last_write: Instant::now(),
        }
    }

    /// Takes what the program wrote; returns what the host answers to the questions in it.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.last_write = Instant::now();
        self.scan(|scanner, emit| scanner.push(bytes, emit))
    }

    /// No more will be written: nothing is held back any longer.
    pub(super) fn finish(&mut self) {
        self.scan(|scanner, emit| scanner.finish(emit));
    }

    fn scan(&mut self, run: impl FnOnce(&mut Scanner, &mut dyn FnMut(Piece<'_>))) -> Vec<u8> {
        let Self { ring, model, shell, scanner, .. } = self;
        let mut answers = Vec::new();
        run(scanner, &mut |piece| match piece {
            Piece::Shown(bytes) => {
                ring.push(bytes);
                model.process(bytes);
            }
            Piece::Wide { written, shown } => {
                ring.push(written);
                model.process(shown);
            }
            Piece::Unshown(bytes) => ring.push(bytes),
            Piece::Osc(content, bytes) => {
                shell.hear(content, ring.end() - bytes, bytes);
                model.process(b"\x1b]");
                model.process(content);
                model.process(b"\x07");
            }
            Piece::Repeat(bytes, times) => {
                ring.push(bytes);
                model.process(format!("\x1b[{times}b").as_bytes());
            }
            Piece::Query(query, _) => answers.extend(answers::answer(&query, model)),
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
    pub(super) fn snapshot(&mut self, depth: Depth) -> Snapshot {
        let rebuilt = self.model.rebuild(depth.lines, depth.bytes);
        let mut bytes = rebuilt.bytes;
        let mut offset = self.cut();
        if self.ring.end() - offset > RESENT_BYTES_MAX
            && let Some(introducer) = self.scanner.string_introducer()
        {
            bytes.extend_from_slice(introducer);
            offset = self.ring.end();
        }
        Snapshot {
            offset,
            size: self.model.size(),
            alternate: self.model.alternate_screen(),
            more_scrollback: rebuilt.more_scrollback,
            bytes,
        }
    }

    /// The latest offset at which no sequence or character is half written. The bytes after it have not touched the
    /// screen yet, so a snapshot stands for this offset and its reader gets them again, whole.
    fn cut(&mut self) -> u64 {
        let end = self.ring.end();
        let unfinished = match self.scanner.unfinished_bytes() {
            0 => unfinished_char(&self.ring.read(end.saturating_sub(3).max(self.ring.start()), 3)) as u64,
            bytes => bytes,
        };
        end.saturating_sub(unfinished).max(self.ring.start())
    }

    /// Memory that all of it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.ring.bytes() + self.model.bytes()
    }

    /// Forgets old output and old lines until both together take about this much, now and later.
    pub(super) fn keep_bytes(&mut self, bytes: usize) {
        self.ring.set_capacity(bytes / 2);
        self.model.keep_scrollback(bytes / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { cols: 40, rows: 6 };
    const ALL: Depth = Depth { lines: usize::MAX, bytes: usize::MAX };

    #[test]
    fn snapshot_and_rest_equal_the_whole_wherever_it_is_cut() {
        let stream =
            "one \x1b[1;32mgreen\x1b[0m ä漢€\r\n\x1b]2;title\x1b\\two\x1b[2;9Hx\x1b[?1049hALT\x1b[?1049l\x1bP+p\x1b[m"
                .as_bytes();
        let mut whole = Output::new(SIZE, 1024, 10);
        whole.write(stream);
        for cut in 0..=stream.len() {
            let mut output = Output::new(SIZE, 1024, 10);
            output.write(&stream[..cut]);
            let snapshot = output.snapshot(ALL);
            output.write(&stream[cut..]);
            let mut copy = Output::new(SIZE, 1024, 10);
            copy.write(&snapshot.bytes);
            let mut from = snapshot.offset;
            while from < output.ring.end() {
                let piece = output.ring.slice(from, 7).unwrap();
                from += piece.len() as u64;
                copy.write(&piece);
            }
            assert_eq!(copy.snapshot(ALL).bytes, whole.snapshot(ALL).bytes, "cut at {cut}");
        }
    }

    #[test]
    fn questions_are_answered_where_they_stand() {
        let mut output = Output::new(SIZE, 1024, 10);
        assert_eq!(output.write(b"abc\x1b[6nde\r\n\x1b[6n"), b"\x1b[1;4R\x1b[2;1R");
        assert_eq!(output.ring.end(), 7);
    }

    #[test]
    fn the_rest_of_a_long_string_is_ignored_by_who_comes_in_its_middle() {
        let mut output = Output::new(SIZE, 1 << 20, 10);
        output.write(b"text\x1bPq");
        output.write(&[b'#'; 100_000]);
        let snapshot = output.snapshot(ALL);
        output.write(b"###\x1b\\ more");
        let mut copy = Output::new(SIZE, 1 << 20, 10);
        copy.write(&snapshot.bytes);
        let rest = output.ring.read(snapshot.offset, usize::MAX);
        assert_eq!(rest, b"###\x1b\\ more");
        copy.write(&rest);
        assert_eq!(copy.model.lines(), output.model.lines());
    }
}
