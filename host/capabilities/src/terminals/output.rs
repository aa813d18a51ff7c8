//! All that a program has written: the raw ring, the screen model and what the shell has said, fed together, so that an offset
//! in one is a state of the others. Plain output is drawn later, out of the ring, when somebody wants to see it.

use std::time::Instant;

use super::{
    answers,
    scan::{Piece, Scanner, unfinished_char},
    screen::ScreenModel,
    shell::ShellLog,
    size::Size,
    undrawn,
};
use crate::ring::Ring;

/// A sequence that is longer than this and not finished is not sent again from its beginning: it may be an image of
/// megabytes. Its reader is made to ignore the rest.
const RESENT_BYTES_MAX: u64 = 4096;

pub(super) struct Output {
    pub(super) ring: Ring,
    model: ScreenModel,
    /// Up to here the model has taken the output.
    drawn: u64,
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
            drawn: 0,
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
        let Self { ring, model, drawn, shell, scanner, .. } = self;
        let mut answers = Vec::new();
        run(scanner, &mut |piece| {
            let undrawn_max = ring.capacity() / 4 * 3;
            if let Piece::Plain(bytes) = piece
                && bytes.len() <= undrawn_max
            {
                // Before the ring forgets it.
                if ring.end() - *drawn > (undrawn_max - bytes.len()) as u64 {
                    leave_out(ring, model, drawn);
                }
                return ring.push(bytes);
            }
            draw(ring, model, drawn);
            match piece {
                Piece::Plain(bytes) | Piece::Shown(bytes) => {
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
            }
            *drawn = ring.end();
        });
        answers
    }

    /// The model as far as plain output cannot change it: size, title, modes.
    pub(super) fn known(&self) -> &ScreenModel {
        &self.model
    }

    /// The screen as it is.
    pub(super) fn screen(&mut self) -> &mut ScreenModel {
        draw(&mut self.ring, &mut self.model, &mut self.drawn);
        &mut self.model
    }

    pub(super) fn resize(&mut self, size: Size) {
        self.screen().set_size(size);
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
        let rebuilt = self.screen().rebuild(depth.lines, depth.bytes);
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
        self.screen().keep_scrollback(bytes / 2);
        self.ring.set_capacity(bytes / 2);
    }
}

/// Has the model take less than all that it has not taken, where most of it will never be seen: what would replace all that is kept
/// stays to be drawn.
fn leave_out(ring: &mut Ring, model: &mut ScreenModel, drawn: &mut u64) {
    let plain = ring.read(*drawn, usize::MAX);
    match model.lines_that_replace_all().and_then(|lines| undrawn::remainder(&plain, lines)) {
        // Little would be gained, and soon be looked for again.
        Some(remainder) if remainder.tail.len() <= plain.len() / 4 * 3 => {
            model.process(remainder.head);
            model.process(&remainder.pen);
            model.process(b"\r");
            *drawn = ring.end() - remainder.tail.len() as u64;
        }
        _ => draw(ring, model, drawn),
    }
}

/// Has the model take what it has not taken.
fn draw(ring: &mut Ring, model: &mut ScreenModel, drawn: &mut u64) {
    if *drawn == ring.end() {
        return;
    }
    let plain = ring.read(*drawn, usize::MAX);
    *drawn = ring.end();
    match model.lines_that_replace_all().and_then(|lines| undrawn::remainder(&plain, lines)) {
        Some(undrawn::Remainder { head, pen, tail }) => {
            model.process(head);
            model.process(&pen);
            model.process(b"\r");
            model.process(tail);
        }
        None => model.process(&plain),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        assert_eq!(copy.screen().lines(), output.screen().lines());
    }

    fn line() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[ -~]{0,30}\r\n",
            2 => "[a-zä漢]{0,90}\r\n",
            2 => (0..50_u8, "[a-z]{0,9}").prop_map(|(color, text)| format!("\x1b[{color}m{text}\x1b[K\r\n")),
            2 => "[a-z]{1,9}\x1b\\[0m\r\n",
            1 => "[a-z]{1,9}\n",
            1 => "[a-z]{0,9}\r|\t|\x08",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn what_is_drawn_late_and_in_part_looks_as_what_was_drawn_at_once(
            before in prop_oneof![Just(""), Just("\x1b[2;5r"), Just("\x1b[?1049h"), Just("\x1b[4m漢\x1b"), Just("\x1b(0\x0e")],
            lines in proptest::collection::vec(line(), 1..60),
            after in "[a-z]{0,3}(\x1b\\[9b)?",
        ) {
            let (mut late, mut at_once) = (Output::new(SIZE, 4 << 20, 20), Output::new(SIZE, 4 << 20, 20));
            let much = lines.concat().repeat(2000 / lines.len() + 1);
            for text in [before, &much, &after] {
                late.write(text.as_bytes());
                for piece in text.as_bytes().chunks(1000) {
                    at_once.write(piece);
                    at_once.screen();
                }
            }
            let depth = Depth { lines: 20, bytes: usize::MAX };
            prop_assert_eq!(late.snapshot(depth).bytes, at_once.snapshot(depth).bytes);
            prop_assert_eq!(late.known().cursor(), at_once.known().cursor());
        }
    }
}
