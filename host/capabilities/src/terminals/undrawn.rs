//! Plain output that the screen model has not drawn yet: letters, ends of lines, colours (SGR) and EL, which change nothing that
//! anybody asks for but the picture. It is drawn when the picture is wanted.
//!
//! Programs print faster than anybody looks. Where so many lines have come meanwhile that all older ones would be forgotten, what
//! is before those lines is left out, and the picture is the same.

use memchr::{memchr, memchr2, memrchr_iter};

/// What is to be drawn, in this order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remainder<'a> {
    /// Up to the end of the first line: whatever was half drawn before is whole then.
    pub(super) head: &'a [u8],
    /// The colours and attributes that what is left out has set.
    pub(super) pen: Vec<u8>,
    /// From the beginning of a line.
    pub(super) tail: &'a [u8],
}

/// What must be drawn of plain output so that the same is to be seen; `None` for all of it. `lines` of them replace everything
/// that is kept.
pub(super) fn remainder(plain: &[u8], lines: usize) -> Option<Remainder<'_>> {
    let head = memchr(b'\n', plain)? + 1;
    // The line must begin at the left edge, wherever the cursor was.
    let begins = memrchr_iter(b'\n', plain).skip(lines).find(|&end| end > head && plain[end - 1] == b'\r')? + 1;
    let (before, tail) = plain.split_at(begins);
    let left_out = &before[head..];
    // A shift to other letters lasts; and a repetition later may mean the last letter.
    let lasts = memchr2(0x0e, 0x0f, left_out).is_some() || !begins_with_letter(tail);
    (!lasts).then(|| Remainder { head: &plain[..head], pen: pen(left_out), tail })
}

/// The sequences that set colours and attributes, from the last that sets all of them back.
fn pen(plain: &[u8]) -> Vec<u8> {
    let mut pen = Vec::new();
    let mut rest = plain;
    while let Some(begin) = memchr(0x1b, rest) {
        rest = &rest[begin..];
        let Some(end) = rest.iter().position(|&byte| matches!(byte, b'm' | b'K')) else { break };
        let (sequence, later) = rest.split_at(end + 1);
        if matches!(sequence, b"\x1b[m" | b"\x1b[0m") {
            pen.clear();
        }
        if sequence.ends_with(b"m") {
            pen.extend_from_slice(sequence);
        }
        rest = later;
    }
    pen
}

/// Whether a letter is among the first, after sequences.
fn begins_with_letter(plain: &[u8]) -> bool {
    let mut rest = plain;
    while rest.first() == Some(&0x1b) {
        let Some(end) = rest.iter().position(|&byte| matches!(byte, b'm' | b'K')) else { return false };
        rest = &rest[end + 1..];
    }
    rest.first().is_some_and(|&byte| matches!(byte, 0x20..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_leaves_its_colours() {
        let plain = b"half\r\n\x1b[31mred\r\n\x1b[0;1mbold \x1b[0m\x1b[32m\x1b[K\r\nlast\r\nline";
        let remainder = remainder(plain, 1).unwrap();
        assert_eq!(remainder.head, b"half\r\n");
        assert_eq!(remainder.pen, b"\x1b[0m\x1b[32m");
        assert_eq!(remainder.tail, b"last\r\nline");
    }

    #[test]
    fn all_is_drawn_where_something_would_last_or_there_is_too_little() {
        assert_eq!(remainder(b"a\r\nb\r\nc\r\nd", 3), None);
        assert_eq!(remainder(b"a\r\nb\x0e\r\nc\r\nd", 1), None);
        assert_eq!(remainder(b"a\nb\nc\nd\ne", 1), None);
        assert_eq!(remainder(b"a\r\nb\r\n\r\n\r\n", 1), None);
    }
}
