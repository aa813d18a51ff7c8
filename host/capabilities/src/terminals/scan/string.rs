//! Strings (OSC, DCS and others), up to their ends.

use super::{BEL, CAN, ESC, HELD_BYTES_MAX, Kind, LEAD, Piece, Place, Query, SUB, Scanner, emit_some, query, unshown};

/// Longest OSC whose content is looked at; longer ones (images, clipboards) pass as they are.
const OSC_BYTES_MAX: usize = 8 * 1024;
/// The end of a string, and the same as a character of two bytes.
const ST: &[u8] = b"\x1b\\";
const WIDE_ST: &[u8] = b"\xc2\x9c";

impl Scanner {
    /// What makes an emulator ignore the rest of the string that the output is in; `None` where it is in none.
    pub(in super::super) fn string_introducer(&self) -> Option<&'static [u8]> {
        match self.place {
            Place::String { kind: Kind::Osc, held: false } | Place::StringEnd { kind: Kind::Osc, held: false } => {
                Some(b"\x1b]9999;")
            }
            Place::String { held: false, .. } | Place::StringEnd { held: false, .. } => Some(b"\x1bX"),
            _ => None,
        }
    }

    pub(super) fn begin_string(&mut self, kind: Kind) {
        self.place = Place::String { kind, held: true };
        self.osc.clear();
    }

    /// Passes a string on up to its end.
    pub(super) fn passing_string<'a>(
        &mut self,
        kind: Kind,
        bytes: &'a [u8],
        emit: &mut impl FnMut(Piece<'_>),
    ) -> &'a [u8] {
        let end = bytes.iter().position(|&byte| ends_string(kind, byte) || byte == LEAD).unwrap_or(bytes.len());
        self.string_content(kind, &bytes[..end], emit);
        let Some(&byte) = bytes.get(end) else { return &[] };
        match byte {
            LEAD => return &bytes[end..],
            ESC => self.place = Place::StringEnd { kind, held: false },
            _ => {
                self.place = Place::Ground;
                emit(Piece::Unshown(&[byte]));
                if byte == BEL {
                    self.emit_osc(kind, 1, emit);
                }
            }
        }
        &bytes[end + 1..]
    }

    /// Passes bytes on that are within a string and not held.
    pub(super) fn string_content(&mut self, kind: Kind, content: &[u8], emit: &mut impl FnMut(Piece<'_>)) {
        emit_some(unshown, content, emit);
        self.passed += content.len() as u64;
        if kind == Kind::Osc {
            let room = (OSC_BYTES_MAX + 1).saturating_sub(self.osc.len());
            self.osc.extend_from_slice(&content[..content.len().min(room)]);
        }
    }

    pub(super) fn held_string_byte(&mut self, kind: Kind, byte: u8, emit: &mut impl FnMut(Piece<'_>)) {
        match byte {
            ESC => self.place = Place::StringEnd { kind, held: true },
            _ if ends_string(kind, byte) => self.end_held_string(kind, &[byte], &[byte], emit),
            _ => {
                self.held.push(byte);
                if self.held.len() >= HELD_BYTES_MAX || !query::may_be_query(&self.held) {
                    self.release_string(kind, emit);
                }
            }
        }
    }

    /// The string cannot be a question any more.
    fn release_string(&mut self, kind: Kind, emit: &mut impl FnMut(Piece<'_>)) {
        self.osc.extend_from_slice(&self.held[2..]);
        self.passed = self.held.len() as u64;
        emit_some(unshown, &self.held_as_written(), emit);
        self.held.clear();
        self.place = Place::String { kind, held: false };
    }

    /// `end` as it counts and `written` as it stands in the output.
    fn end_held_string(&mut self, kind: Kind, end: &[u8], written: &[u8], emit: &mut impl FnMut(Piece<'_>)) {
        let properly = end != [CAN] && end != [SUB];
        match Query::of_string(&self.held, end).filter(|_| properly) {
            Some(query) => emit(Piece::Query(query, &[&self.held_as_written(), written].concat())),
            None => {
                self.release_string(kind, emit);
                emit(Piece::Unshown(written));
                if properly {
                    self.emit_osc(kind, end.len(), emit);
                }
            }
        }
        self.held.clear();
        self.place = Place::Ground;
    }

    /// An escape within a string, and the byte after it; `wide` where both are one character.
    pub(super) fn string_end(
        &mut self,
        kind: Kind,
        held: bool,
        byte: u8,
        wide: bool,
        emit: &mut impl FnMut(Piece<'_>),
    ) {
        let written = if wide { WIDE_ST } else { ST };
        if byte == b'\\' && held {
            return self.end_held_string(kind, ST, written, emit);
        }
        if byte == b'\\' {
            emit(Piece::Unshown(written));
            self.place = Place::Ground;
            self.emit_osc(kind, written.len(), emit);
        } else {
            self.break_string(kind, held, wide, emit);
            self.sequence_byte(byte, emit);
        }
    }

    /// Any escape ends a string, as emulators have it, and begins a sequence.
    pub(super) fn break_string(&mut self, kind: Kind, held: bool, wide: bool, emit: &mut impl FnMut(Piece<'_>)) {
        if held {
            self.release_string(kind, emit);
        }
        self.emit_osc(kind, 0, emit);
        self.begin_sequence(wide);
    }

    fn emit_osc(&mut self, kind: Kind, end_bytes: usize, emit: &mut impl FnMut(Piece<'_>)) {
        if kind == Kind::Osc && self.osc.len() <= OSC_BYTES_MAX {
            emit(Piece::Osc(&self.osc, self.passed + end_bytes as u64));
        }
    }
}

fn ends_string(kind: Kind, byte: u8) -> bool {
    matches!(byte, ESC | CAN | SUB) || byte == BEL && kind == Kind::Osc
}
