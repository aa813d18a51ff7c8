//! Escape and control sequences, up to their ends.

use super::{ESC, HELD_BYTES_MAX, Kind, Piece, Place, Query, Scanner, emit_some, plain_sequence, shown};

/// The emulator repeats a letter at most so often; the widest screen has that many columns. A program may ask for 65,535
/// with seven bytes.
const REPEATS_MAX: u32 = 1000;

impl Scanner {
    /// After ESC, or after the first byte of its two-byte form.
    pub(super) fn begin_sequence(&mut self, wide: bool) {
        self.place = Place::Sequence;
        self.held.clear();
        self.held.push(ESC);
        self.wide = wide;
        self.passed = 0;
    }

    pub(super) fn sequence_byte(&mut self, byte: u8, emit: &mut impl FnMut(Piece<'_>)) {
        if byte == ESC {
            // A new sequence begins; the old one will never be finished.
            self.give_up_sequence(emit);
            return self.begin_sequence(false);
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

    pub(super) fn long_sequence_byte(&mut self, byte: u8, emit: &mut impl FnMut(Piece<'_>)) {
        if byte == ESC {
            return self.begin_sequence(false);
        }
        emit(Piece::Shown(&[byte]));
        self.passed += 1;
        if !matches!(byte, 0x00..=0x17 | 0x19 | 0x1c..=0x3f) {
            self.place = Place::Ground;
        }
    }

    /// What is held of a sequence will never be finished.
    pub(super) fn give_up_sequence(&mut self, emit: &mut impl FnMut(Piece<'_>)) {
        self.emit_held(emit);
        self.held.clear();
    }

    fn hold_on(&mut self, emit: &mut impl FnMut(Piece<'_>)) {
        if self.held.len() >= HELD_BYTES_MAX {
            self.passed = self.held.len() as u64;
            self.give_up_sequence(emit);
            self.place = Place::LongSequence;
        }
    }

    fn end_sequence(&mut self, last: u8, emit: &mut impl FnMut(Piece<'_>)) {
        self.place = Place::Ground;
        let is_control = |byte: u8| byte < 0x20 || byte == 0x7f;
        let sequence: Vec<u8> = self.held[1..].iter().copied().filter(|&byte| !is_control(byte)).collect();
        if let Some(query) = Query::of_sequence(&sequence) {
            let (controls, asked): (Vec<u8>, Vec<u8>) =
                self.held_as_written().iter().partition(|&&byte| is_control(byte) && byte != ESC);
            emit_some(shown, &controls, emit);
            emit(Piece::Query(query, &asked));
        } else if let Some(times) = repeats(&sequence).filter(|_| last == b'b') {
            emit(Piece::Repeat(&self.held_as_written(), times));
        } else {
            self.emit_held(emit);
        }
        self.held.clear();
    }

    fn emit_held(&self, emit: &mut impl FnMut(Piece<'_>)) {
        if self.wide {
            emit(Piece::Wide { written: &self.held_as_written(), shown: &self.held });
        } else if plain_sequence(&self.held) == Some(self.held.len()) {
            emit(Piece::Plain(&self.held));
        } else {
            emit_some(shown, &self.held, emit);
        }
    }
}

/// Of `CSI Pn b`: how often, if that is too often.
fn repeats(sequence: &[u8]) -> Option<u32> {
    let number = sequence.strip_prefix(b"[")?.strip_suffix(b"b")?;
    let number: u32 = std::str::from_utf8(number).ok()?.parse().ok()?;
    (number > REPEATS_MAX).then_some(REPEATS_MAX)
}
