//! Reads a program's output as far as the host must: takes out the questions, so that they have exactly one answerer, and
//! finds what is said to the terminal rather than shown (folder, marks of the shell, title).
//!
//! A program asks its terminal things ("where is the cursor?") in band. If a question reached every attached emulator, each
//! would type an answer into the program's input, and without one nobody would. So the host answers, and neither ring nor
//! clients see the question; replaying old output can then never trigger an answer either.
//!
//! Everything else passes unchanged, byte for byte. What may become a question is held back until that is decided; it has
//! no effect on a screen until it is complete. Only sequences that begin with ESC are looked at: the one-byte forms mean
//! other things in UTF-8.

mod query;
#[cfg(test)]
mod tests;

pub(super) use query::{Color, Query};

/// What may still become a question is held back up to this length; none is longer.
pub(super) const HELD_BYTES_MAX: usize = 512;
/// Longest OSC whose content is looked at; longer ones (images, clipboards) pass as they are.
const OSC_BYTES_MAX: usize = 8 * 1024;
/// The emulator repeats a letter at most so often; the widest screen has that many columns. A program may ask for 65,535
/// with seven bytes.
const REPEATS_MAX: u32 = 1000;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;

/// What the output is made of, in order. Concatenating `Shown`, `Unshown` and `Repeat` gives the output without its
/// questions.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text and whole control sequences.
    Shown(&'a [u8]),
    /// Part of a string sequence, and of other sequences that the emulator is told of by the next variants, if at all.
    Unshown(&'a [u8]),
    /// A whole OSC: its content, and how many bytes of it have passed as `Unshown`.
    Osc(&'a [u8], u64),
    /// The last letter again, so many times: the sequence, and the number.
    Repeat(&'a [u8], u32),
    Query(Query),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Ground,
    /// After ESC, or within `ESC [ …`; those bytes are in `held`.
    Sequence,
    /// Within a sequence that is too long to be held; its bytes pass, without effect until its end.
    LongSequence,
    /// Within a string (OSC, DCS and others). `held` while it may be a question.
    String {
        kind: Kind,
        held: bool,
    },
    /// After an ESC within a string: the end, if a backslash follows.
    StringEnd {
        kind: Kind,
        held: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Osc,
    Dcs,
    /// SOS, PM, APC.
    Other,
}

/// The incremental scanner. It follows ECMA-48 only as far as it must to find ends.
pub(super) struct Scanner {
    place: Place,
    held: Vec<u8>,
    /// Content of the OSC that the output is in; cut at `OSC_BYTES_MAX` and one more byte.
    osc: Vec<u8>,
    /// Bytes that have passed of a sequence that is not finished.
    passed: u64,
}

impl Scanner {
    pub(super) fn new() -> Self {
        Self { place: Place::Ground, held: Vec::new(), osc: Vec::new(), passed: 0 }
    }

    /// How many of the bytes that have passed belong to a sequence that is not finished, and so has had no effect yet.
    pub(super) fn unfinished_bytes(&self) -> u64 {
        if self.place == Place::Ground { 0 } else { self.passed }
    }

    /// What makes an emulator ignore the rest of the string that the output is in; `None` where it is in none.
    pub(super) fn string_introducer(&self) -> Option<&'static [u8]> {
        match self.place {
            Place::String { kind: Kind::Osc, held: false } | Place::StringEnd { kind: Kind::Osc, held: false } => {
                Some(b"\x1b]9999;")
            }
            Place::String { held: false, .. } | Place::StringEnd { held: false, .. } => Some(b"\x1bX"),
            _ => None,
        }
    }

    /// Scans `bytes` and hands what they are to `emit`, in order.
    pub(super) fn push(&mut self, bytes: &[u8], mut emit: impl FnMut(Piece<'_>)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.place {
                Place::Ground => self.ground(rest, &mut emit),
                Place::String { kind, held: false } => self.passing_string(kind, rest, &mut emit),
                _ => {
                    self.byte(rest[0], &mut emit);
                    &rest[1..]
                }
            };
        }
    }

    /// Gives up what is held, because the output ends here.
    pub(super) fn finish(&mut self, mut emit: impl FnMut(Piece<'_>)) {
        emit_some(unshown, &self.held, &mut emit);
        if matches!(self.place, Place::StringEnd { .. }) {
            emit(Piece::Unshown(&[ESC]));
        }
        self.held.clear();
        self.place = Place::Ground;
    }

    fn ground<'a>(&mut self, bytes: &'a [u8], emit: &mut impl FnMut(Piece<'_>)) -> &'a [u8] {
        let text = memchr::memchr(ESC, bytes).unwrap_or(bytes.len());
        emit_some(shown, &bytes[..text], emit);
        if text == bytes.len() {
            return &[];
        }
        self.begin_sequence();
        &bytes[text + 1..]
    }

    fn begin_sequence(&mut self) {
        self.place = Place::Sequence;
        self.held.clear();
        self.held.push(ESC);
        self.passed = 0;
    }

    /// Passes a string on up to its end.
    fn passing_string<'a>(&mut self, kind: Kind, bytes: &'a [u8], emit: &mut impl FnMut(Piece<'_>)) -> &'a [u8] {
        let end = bytes.iter().position(|&byte| ends_string(kind, byte)).unwrap_or(bytes.len());
        let content = &bytes[..end];
        emit_some(unshown, content, emit);
        self.passed += content.len() as u64;
        if kind == Kind::Osc {
            let room = (OSC_BYTES_MAX + 1).saturating_sub(self.osc.len());
            self.osc.extend_from_slice(&content[..content.len().min(room)]);
        }
        let Some(&byte) = bytes.get(end) else { return &[] };
        if byte == ESC {
            self.place = Place::StringEnd { kind, held: false };
        } else {
            self.place = Place::Ground;
            emit(Piece::Unshown(&[byte]));
            if byte == BEL {
                self.emit_osc(kind, 1, emit);
            }
        }
        &bytes[end + 1..]
    }

    fn byte(&mut self, byte: u8, emit: &mut impl FnMut(Piece<'_>)) {
        match self.place {
            Place::Sequence => self.sequence_byte(byte, emit),
            Place::LongSequence if byte == ESC => self.begin_sequence(),
            Place::LongSequence => {
                emit(Piece::Shown(&[byte]));
                self.passed += 1;
                if !matches!(byte, 0x00..=0x17 | 0x19 | 0x1c..=0x3f) {
                    self.place = Place::Ground;
                }
            }
            Place::String { kind, .. } => self.held_string_byte(kind, byte, emit),
            Place::StringEnd { kind, held } => self.string_end(kind, held, byte, emit),
            Place::Ground => emit(Piece::Shown(&[byte])),
        }
    }

    fn sequence_byte(&mut self, byte: u8, emit: &mut impl FnMut(Piece<'_>)) {
        if byte == ESC {
            // A new sequence begins; the old one will never be finished.
            emit_some(shown, &self.held, emit);
            return self.begin_sequence();
        }
        self.held.push(byte);
        let second = self.held.len() == 2;
        let is_csi = self.held[1] == b'[';
        match byte {
            b'[' if second => {}
            b']' if second => self.begin_string(Kind::Osc),
            b'P' if second => self.begin_string(Kind::Dcs),
            b'X' | b'^' | b'_' if second => self.begin_string(Kind::Other),
            // Controls act within a sequence and do not end it. Parameters and intermediates follow each other.
            0x00..=0x17 | 0x19 | 0x1c..=0x2f | 0x7f => self.hold_on(emit),
            0x30..=0x3f if is_csi => self.hold_on(emit),
            // The end, or something that does not belong here and is the emulator's to judge.
            _ => self.end_sequence(byte, emit),
        }
    }

    fn hold_on(&mut self, emit: &mut impl FnMut(Piece<'_>)) {
        if self.held.len() >= HELD_BYTES_MAX {
            self.release(shown, Place::LongSequence, emit);
        }
    }

    fn end_sequence(&mut self, last: u8, emit: &mut impl FnMut(Piece<'_>)) {
        self.place = Place::Ground;
        let is_control = |byte: u8| byte < 0x20 || byte == 0x7f;
        let sequence: Vec<u8> = self.held[1..].iter().copied().filter(|&byte| !is_control(byte)).collect();
        if let Some(query) = Query::of_sequence(&sequence) {
            let controls: Vec<u8> = self.held[1..].iter().copied().filter(|&byte| is_control(byte)).collect();
            emit_some(shown, &controls, emit);
            emit(Piece::Query(query));
        } else if let Some(times) = repeats(&sequence).filter(|_| last == b'b') {
            emit(Piece::Repeat(&self.held, times));
        } else {
            emit_some(shown, &self.held, emit);
        }
        self.held.clear();
    }

    fn begin_string(&mut self, kind: Kind) {
        self.place = Place::String { kind, held: true };
        self.osc.clear();
    }

    fn held_string_byte(&mut self, kind: Kind, byte: u8, emit: &mut impl FnMut(Piece<'_>)) {
        match byte {
            ESC => self.place = Place::StringEnd { kind, held: true },
            _ if ends_string(kind, byte) => self.end_held_string(kind, &[byte], emit),
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
        self.release(unshown, Place::String { kind, held: false }, emit);
    }

    fn end_held_string(&mut self, kind: Kind, end: &[u8], emit: &mut impl FnMut(Piece<'_>)) {
        let properly = end != [CAN] && end != [SUB];
        match Query::of_string(&self.held, end).filter(|_| properly) {
            Some(query) => emit(Piece::Query(query)),
            None => {
                self.release_string(kind, emit);
                emit(Piece::Unshown(end));
                if properly {
                    self.emit_osc(kind, end.len(), emit);
                }
            }
        }
        self.held.clear();
        self.place = Place::Ground;
    }

    fn string_end(&mut self, kind: Kind, held: bool, byte: u8, emit: &mut impl FnMut(Piece<'_>)) {
        if byte == b'\\' && held {
            return self.end_held_string(kind, b"\x1b\\", emit);
        }
        // Any escape ends a string, as emulators have it.
        if held {
            self.release_string(kind, emit);
        }
        if byte == b'\\' {
            emit(Piece::Unshown(b"\x1b\\"));
            self.place = Place::Ground;
            self.emit_osc(kind, 2, emit);
        } else {
            self.emit_osc(kind, 0, emit);
            self.begin_sequence();
            self.sequence_byte(byte, emit);
        }
    }

    fn emit_osc(&mut self, kind: Kind, end_bytes: usize, emit: &mut impl FnMut(Piece<'_>)) {
        if kind == Kind::Osc && self.osc.len() <= OSC_BYTES_MAX {
            emit(Piece::Osc(&self.osc, self.passed + end_bytes as u64));
        }
    }

    fn release(&mut self, kind: fn(&[u8]) -> Piece<'_>, place: Place, emit: &mut impl FnMut(Piece<'_>)) {
        self.passed = self.held.len() as u64;
        emit_some(kind, &self.held, emit);
        self.held.clear();
        self.place = place;
    }
}

fn shown(bytes: &[u8]) -> Piece<'_> {
    Piece::Shown(bytes)
}

fn unshown(bytes: &[u8]) -> Piece<'_> {
    Piece::Unshown(bytes)
}

fn emit_some(kind: fn(&[u8]) -> Piece<'_>, bytes: &[u8], emit: &mut impl FnMut(Piece<'_>)) {
    if !bytes.is_empty() {
        emit(kind(bytes));
    }
}

fn ends_string(kind: Kind, byte: u8) -> bool {
    matches!(byte, ESC | CAN | SUB) || byte == BEL && kind == Kind::Osc
}

/// Of `CSI Pn b`: how often, if that is too often.
fn repeats(sequence: &[u8]) -> Option<u32> {
    let number = sequence.strip_prefix(b"[")?.strip_suffix(b"b")?;
    let number: u32 = std::str::from_utf8(number).ok()?.parse().ok()?;
    (number > REPEATS_MAX).then_some(REPEATS_MAX)
}

/// Length of the UTF-8 character that `bytes` end in the middle of; 0 when they do not.
pub(super) fn unfinished_char(bytes: &[u8]) -> usize {
    (1..=bytes.len().min(3))
        .find(|len| {
            let tail = &bytes[bytes.len() - len..];
            std::str::from_utf8(tail).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        })
        .unwrap_or(0)
}
