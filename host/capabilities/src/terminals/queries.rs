//! Takes the queries out of a terminal's output, so that they have exactly one answerer: the host.
//!
//! A program asks its terminal things ("where is the cursor?") in band. If the question reached every attached emulator,
//! each would type an answer into the program's input, and without one nobody would. So the host answers, and neither
//! ring nor clients see the question; replaying old output can then never trigger an answer either.
//!
//! Everything else passes unchanged, byte for byte. Only an unfinished `ESC [ …` is held back, because nobody can know
//! yet whether it is a query; it has no effect on a screen until it is finished. Not covered: queries in strings (OSC
//! 10/11 colours, DECRQSS, XTVERSION), which pass to the clients.

/// An unfinished sequence longer than this is no query and passes.
pub(super) const HELD_BYTES_MAX: usize = 32;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;

/// A question the host answers. `private` is the `?` of `CSI ? 6 n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Query {
    /// DA1, `CSI c`: what kind of terminal are you?
    PrimaryAttributes,
    /// DA2, `CSI > c`: which version?
    SecondaryAttributes,
    /// DSR 5, `CSI 5 n`: are you well?
    Status,
    /// DSR 6, `CSI 6 n` or `CSI ? 6 n`: where is the cursor?
    CursorPosition { private: bool },
}

impl Query {
    fn of(sequence: &[u8]) -> Option<Self> {
        match sequence {
            b"\x1b[c" | b"\x1b[0c" => Some(Self::PrimaryAttributes),
            b"\x1b[>c" | b"\x1b[>0c" => Some(Self::SecondaryAttributes),
            b"\x1b[5n" => Some(Self::Status),
            b"\x1b[6n" => Some(Self::CursorPosition { private: false }),
            b"\x1b[?6n" => Some(Self::CursorPosition { private: true }),
            _ => None,
        }
    }

    /// The answer as the program reads it. `cursor` is (row, column) from 0.
    pub(super) fn answer(self, cursor: (u16, u16)) -> Vec<u8> {
        let (row, column) = (u32::from(cursor.0) + 1, u32::from(cursor.1) + 1);
        match self {
            // The answers of the emulator most clients run (xterm.js): a VT100 with advanced video.
            Self::PrimaryAttributes => b"\x1b[?1;2c".to_vec(),
            Self::SecondaryAttributes => b"\x1b[>0;276;0c".to_vec(),
            Self::Status => b"\x1b[0n".to_vec(),
            Self::CursorPosition { private: false } => format!("\x1b[{row};{column}R").into_bytes(),
            Self::CursorPosition { private: true } => format!("\x1b[?{row};{column}R").into_bytes(),
        }
    }
}

/// What the filter makes of the output, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Output(&'a [u8]),
    Query(Query),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Ground,
    /// After ESC, or within `ESC [ …`; those bytes are in `held`.
    Sequence,
    /// Within OSC, DCS, SOS, PM or APC, which end with ST (or BEL, for OSC).
    String {
        escaped: bool,
    },
}

/// The incremental scanner. It follows the sequences of ECMA-48 only as far as it must to find their ends.
pub(super) struct QueryFilter {
    place: Place,
    held: Vec<u8>,
    /// Bytes of the string sequence that the output is in.
    string_bytes: u64,
}

impl QueryFilter {
    pub(super) fn new() -> Self {
        Self { place: Place::Ground, held: Vec::with_capacity(HELD_BYTES_MAX), string_bytes: 0 }
    }

    /// How many of the emitted bytes belong to a string sequence that is not finished; a snapshot is cut before it.
    pub(super) fn unfinished_bytes(&self) -> u64 {
        if matches!(self.place, Place::String { .. }) { self.string_bytes } else { 0 }
    }

    /// Scans `bytes` and hands what they are to `emit`, in order.
    pub(super) fn push(&mut self, bytes: &[u8], mut emit: impl FnMut(Piece<'_>)) {
        // `bytes[plain..]` has been scanned and passes, but has not been emitted.
        let mut plain = 0;
        for (index, &byte) in bytes.iter().enumerate() {
            match self.place {
                Place::Ground if byte == ESC => {
                    emit_output(&bytes[plain..index], &mut emit);
                    self.hold(byte);
                }
                Place::Ground => {}
                Place::String { escaped } => {
                    self.place = after_string_byte(escaped, byte);
                    self.string_bytes += 1;
                }
                Place::Sequence => {
                    plain = index + 1;
                    self.sequence_byte(byte, &mut emit);
                }
            }
            if self.place == Place::Sequence {
                plain = index + 1;
            }
        }
        emit_output(&bytes[plain..], &mut emit);
    }

    /// Gives up what is held, because the output ends here.
    pub(super) fn finish(&mut self, mut emit: impl FnMut(Piece<'_>)) {
        self.release(Place::Ground, &mut emit);
    }

    fn hold(&mut self, byte: u8) {
        self.place = Place::Sequence;
        self.held.push(byte);
    }

    fn sequence_byte(&mut self, byte: u8, emit: &mut impl FnMut(Piece<'_>)) {
        if byte == ESC {
            // A new sequence begins; the old one will never be finished.
            self.release(Place::Ground, emit);
            self.hold(byte);
            return;
        }
        self.held.push(byte);
        let is_csi = self.held.get(1) == Some(&b'[');
        let next = match byte {
            CAN | SUB => Some(Place::Ground),
            b'[' if self.held.len() == 2 => None,
            b']' | b'P' | b'X' | b'^' | b'_' if self.held.len() == 2 => Some(Place::String { escaped: false }),
            // Parameters and intermediates of CSI, intermediates of plain escapes.
            0x20..=0x2f => None,
            0x30..=0x3f if is_csi => None,
            // A final byte, or something that does not belong here and is the emulator's to judge.
            _ => Some(Place::Ground),
        };
        match next {
            None if self.held.len() >= HELD_BYTES_MAX => self.release(Place::Ground, emit),
            None => {}
            Some(place) => match Query::of(&self.held) {
                Some(query) => {
                    self.held.clear();
                    self.place = place;
                    emit(Piece::Query(query));
                }
                None => self.release(place, emit),
            },
        }
    }

    fn release(&mut self, place: Place, emit: &mut impl FnMut(Piece<'_>)) {
        self.string_bytes = self.held.len() as u64;
        emit_output(&self.held, emit);
        self.held.clear();
        self.place = place;
    }
}

fn emit_output(bytes: &[u8], emit: &mut impl FnMut(Piece<'_>)) {
    if !bytes.is_empty() {
        emit(Piece::Output(bytes));
    }
}

fn after_string_byte(escaped: bool, byte: u8) -> Place {
    match byte {
        BEL | CAN | SUB => Place::Ground,
        b'\\' if escaped => Place::Ground,
        ESC => Place::String { escaped: true },
        _ if escaped => Place::Ground,
        _ => Place::String { escaped: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(chunks: &[&[u8]]) -> (Vec<u8>, Vec<Query>) {
        let (mut output, mut queries) = (Vec::new(), Vec::new());
        let mut filter = QueryFilter::new();
        let mut take = |piece: Piece<'_>| match piece {
            Piece::Output(bytes) => output.extend_from_slice(bytes),
            Piece::Query(query) => queries.push(query),
        };
        for chunk in chunks {
            filter.push(chunk, &mut take);
        }
        filter.finish(&mut take);
        (output, queries)
    }

    #[test]
    fn queries_leave_the_output_wherever_a_read_cuts_them() {
        let stream = b"a\x1b[6nb\x1b[31mc\x1b[c\x1b]0;t\x1b\\d\x1b[>c\x1b[?6n\x1b[5n\xff\xc3";
        for cut in 0..stream.len() {
            let (output, queries) = filtered(&[&stream[..cut], &stream[cut..]]);
            assert_eq!(output, b"ab\x1b[31mc\x1b]0;t\x1b\\d\xff\xc3", "cut at {cut}");
            let cursor = |private| Query::CursorPosition { private };
            let want =
                [cursor(false), Query::PrimaryAttributes, Query::SecondaryAttributes, cursor(true), Query::Status];
            assert_eq!(queries, want, "cut at {cut}");
        }
    }

    #[test]
    fn all_else_passes_unchanged() {
        let every_byte: Vec<u8> = (0..=255).collect();
        let long = [b"\x1b[".as_slice(), &[b'1'; 100], b"m"].concat();
        for stream in [
            &every_byte[..],
            &long,
            b"\x1b[\x186n",
            b"\x1b\x1b[1mx\x1b",
            b"\x1b(B\x1b[?1049h",
            b"\x1b[7n\x1b[?1c\x1b[6;1n",
            b"\x1bP$qm\x1b\\\x1b]11;?\x07",
            b"\x1b]0;\x1b[5x",
        ] {
            for cut in 0..stream.len() {
                let (output, queries) = filtered(&[&stream[..cut], &stream[cut..]]);
                assert_eq!(output, stream);
                assert_eq!(queries, []);
            }
        }
    }
}
