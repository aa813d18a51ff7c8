//! Reads a program's output as far as the host must: takes out the questions, so that they have exactly one answerer, and
//! finds what is said to the terminal rather than shown (folder, marks of the shell, title).
//!
//! A program asks its terminal things ("where is the cursor?") in band. If a question reached every attached emulator, each
//! would type an answer into the program's input, and without one nobody would. So the host answers, and neither ring nor
//! clients see the question; replaying old output can then never trigger an answer either. What is a question says
//! [`query`], with the table of all that are taken out.
//!
//! Everything else passes unchanged, byte for byte, be it text or not: what comes in is what goes out and what is asked,
//! however it is cut. What may become a question is held back until that is decided; it has no effect on a screen until it
//! is complete.
//!
//! Terminals are UTF-8. The one-byte controls of ECMA-48 (`9B` for `ESC [`) are no characters there and mean nothing; as
//! characters of two bytes (`C2 9B`) they do what `ESC` and a letter do, in xterm and xterm.js and so here.

mod query;
mod sequence;
mod string;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub(super) use query::{Color, Query};

/// What may still become a question is held back up to about this length; none is longer.
pub(super) const HELD_BYTES_MAX: usize = 512;

/// Longest parameters of a sequence that is looked at where it stands.
const PLAIN_BYTES_MAX: usize = 64;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
/// With which the characters U+0080 to U+00BF begin, controls of two bytes among them.
const LEAD: u8 = 0xc2;
/// What such a control has more than the letter that means the same after ESC.
const WIDE_OFFSET: u8 = 0x40;

/// What the output is made of, in order. Concatenating all but `Osc` gives the output as it was written, where no control
/// stands within a question: such a one comes before it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text, and among it whole sequences that set colours (SGR) or erase within a line (EL).
    Plain(&'a [u8]),
    /// Text and whole control sequences.
    Shown(&'a [u8]),
    /// A sequence that begins with a control of two bytes: as it was written, and as the emulator understands it.
    Wide { written: &'a [u8], shown: &'a [u8] },
    /// Part of a string sequence, and of other sequences that the emulator is told of by the next variants, if at all.
    Unshown(&'a [u8]),
    /// A whole OSC: its content, and how many bytes of it have passed as `Unshown`.
    Osc(&'a [u8], u64),
    /// The last letter again, so many times: the sequence, and the number.
    Repeat(&'a [u8], u32),
    /// A question, and the bytes that it was, which go no further.
    Query(Query, &'a [u8]),
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
    /// After the first byte of a character that may be a control.
    lead: bool,
    held: Vec<u8>,
    /// What is held began with a control of two bytes; `held` has ESC and a letter instead.
    wide: bool,
    /// Content of the OSC that the output is in; cut at what is looked at and one more byte.
    osc: Vec<u8>,
    /// Bytes that have passed of a sequence that is not finished.
    passed: u64,
}

impl Scanner {
    pub(super) fn new() -> Self {
        Self { place: Place::Ground, lead: false, held: Vec::new(), wide: false, osc: Vec::new(), passed: 0 }
    }

    /// How many of the bytes that have passed belong to a sequence that is not finished, and so has had no effect yet.
    pub(super) fn unfinished_bytes(&self) -> u64 {
        if self.place == Place::Ground { 0 } else { self.passed }
    }

    /// Scans `bytes` and hands what they are to `emit`, in order.
    pub(super) fn push(&mut self, bytes: &[u8], mut emit: impl FnMut(Piece<'_>)) {
        let mut rest = bytes;
        while let Some((&first, later)) = rest.split_first() {
            rest = match self.place {
                _ if self.lead => self.after_lead(rest, &mut emit),
                Place::Ground => self.ground(rest, &mut emit),
                _ if first == LEAD => {
                    self.lead = true;
                    later
                }
                Place::String { kind, held: false } => self.passing_string(kind, rest, &mut emit),
                _ => {
                    self.byte(first, &mut emit);
                    later
                }
            };
        }
    }

    /// Gives up what is held, because the output ends here.
    pub(super) fn finish(&mut self, mut emit: impl FnMut(Piece<'_>)) {
        emit_some(unshown, &self.held_as_written(), &mut emit);
        if matches!(self.place, Place::StringEnd { .. }) {
            emit(Piece::Unshown(&[ESC]));
        }
        if std::mem::take(&mut self.lead) {
            emit(Piece::Unshown(&[LEAD]));
        }
        self.held.clear();
        self.place = Place::Ground;
    }

    fn ground<'a>(&mut self, bytes: &'a [u8], emit: &mut impl FnMut(Piece<'_>)) -> &'a [u8] {
        let mut end = 0;
        while let Some(found) = memchr::memchr2(ESC, LEAD, &bytes[end..]) {
            end += found;
            let passes = if bytes[end] == ESC {
                plain_sequence(&bytes[end..])
            } else {
                bytes.get(end + 1).filter(|&&second| !is_wide_control(second)).map(|_| 1)
            };
            match passes {
                Some(length) => end += length,
                None => break,
            }
        }
        let ends_here = bytes.get(end).is_some_and(|byte| matches!(*byte, ESC | LEAD));
        let (text, rest) = bytes.split_at(if ends_here { end } else { bytes.len() });
        emit_some(plain, text, emit);
        let Some((&first, later)) = rest.split_first() else { return &[] };
        if first == ESC {
            self.begin_sequence(false);
        } else {
            self.lead = true;
        }
        later
    }

    fn byte(&mut self, byte: u8, emit: &mut impl FnMut(Piece<'_>)) {
        match self.place {
            Place::Sequence => self.sequence_byte(byte, emit),
            Place::LongSequence => self.long_sequence_byte(byte, emit),
            Place::String { kind, held: true } => self.held_string_byte(kind, byte, emit),
            Place::String { kind, held: false } => self.string_content(kind, &[byte], emit),
            Place::StringEnd { kind, held } => self.string_end(kind, held, byte, false, emit),
            Place::Ground => emit(Piece::Shown(&[byte])),
        }
    }

    /// The second byte of a character that may be a control.
    fn after_lead<'a>(&mut self, bytes: &'a [u8], emit: &mut impl FnMut(Piece<'_>)) -> &'a [u8] {
        self.lead = false;
        if is_wide_control(bytes[0]) {
            self.wide_control(bytes[0] - WIDE_OFFSET, emit);
            return &bytes[1..];
        }
        self.byte(LEAD, emit);
        bytes
    }

    /// What ESC and `letter` are, as one character.
    fn wide_control(&mut self, letter: u8, emit: &mut impl FnMut(Piece<'_>)) {
        if let Place::StringEnd { kind, held } = self.place {
            // The escape before it has ended the string.
            self.break_string(kind, held, false, emit);
        }
        if let Place::String { kind, held } = self.place {
            return self.string_end(kind, held, letter, true, emit);
        }
        if self.place == Place::Sequence {
            self.give_up_sequence(emit);
        }
        self.begin_sequence(true);
        self.sequence_byte(letter, emit);
    }

    /// What is held, as the program wrote it.
    fn held_as_written(&self) -> Cow<'_, [u8]> {
        match &self.held[..] {
            [_, letter, rest @ ..] if self.wide => [&[LEAD, letter + WIDE_OFFSET], rest].concat().into(),
            held => held.into(),
        }
    }
}

/// Length of the SGR or EL that `bytes` begin with, if it is whole and asks nothing.
fn plain_sequence(bytes: &[u8]) -> Option<usize> {
    let parameters = bytes.strip_prefix(b"\x1b[")?;
    let end = parameters.iter().take(PLAIN_BYTES_MAX).position(|byte| !matches!(byte, b'0'..=b'9' | b';' | b':'))?;
    matches!(parameters[end], b'm' | b'K').then_some(end + 3)
}

fn is_wide_control(second: u8) -> bool {
    matches!(second, 0x80..=0x9f)
}

fn plain(bytes: &[u8]) -> Piece<'_> {
    Piece::Plain(bytes)
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

/// Length of the UTF-8 character that `bytes` end in the middle of; 0 when they do not.
pub(super) fn unfinished_char(bytes: &[u8]) -> usize {
    (1..=bytes.len().min(3))
        .find(|len| {
            let tail = &bytes[bytes.len() - len..];
            std::str::from_utf8(tail).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        })
        .unwrap_or(0)
}
