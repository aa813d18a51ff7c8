//! Lines as they are shown: text, cut to a window where they are long, with places that editors understand.

use std::ops::Range;

use midplane_model::limits::{SEARCH_LINE_BYTES_MAX, SEARCH_SPANS_MAX};

/// A line of a file, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// From 1.
    pub number: u64,
    /// At most `SEARCH_LINE_BYTES_MAX` and a character; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// Where in the line `text` begins, from 1, in UTF-16 units.
    pub column: u32,
    /// `text` is not the whole line.
    pub cut: bool,
}

/// A place in a line, in UTF-16 units, which is what editors count in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From 1, from the beginning of the line even where its text is cut.
    pub column: u32,
    pub length: u32,
}

impl Line {
    /// From the bytes of the line; `around` is what must be seen of it.
    pub fn of(number: u64, bytes: &[u8], around: usize) -> Self {
        if bytes.len() <= SEARCH_LINE_BYTES_MAX {
            return Self { number, text: text(bytes), column: 1, cut: false };
        }
        // What comes before is worth less than what follows.
        let start = boundary(bytes, around.saturating_sub(SEARCH_LINE_BYTES_MAX / 4));
        let end = boundary(bytes, start + SEARCH_LINE_BYTES_MAX);
        Self { number, text: text(&bytes[start..end]), column: 1 + units(&bytes[..start]), cut: true }
    }
}

/// The line's own bytes, without its end.
pub(super) fn trimmed(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

/// Places from ranges of bytes, which are in order.
pub(super) fn spans(bytes: &[u8], ranges: impl Iterator<Item = Range<usize>>) -> Vec<Span> {
    let (mut at, mut column) = (0, 1);
    let place = |range: Range<usize>| {
        let (start, end) = (range.start.min(bytes.len()), range.end.min(bytes.len()));
        column += units(&bytes[at..start]);
        let span = Span { column, length: units(&bytes[start..end]) };
        at = start;
        span
    };
    ranges.take(SEARCH_SPANS_MAX).map(place).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn units(bytes: &[u8]) -> u32 {
    let units = if bytes.is_ascii() { bytes.len() } else { text(bytes).encode_utf16().count() };
    u32::try_from(units).unwrap_or(u32::MAX)
}

/// The beginning of a character at or before `at`.
fn boundary(bytes: &[u8], at: usize) -> usize {
    let is_inside = |index: &usize| bytes.get(*index).is_some_and(|byte| byte & 0xc0 == 0x80);
    let at = at.min(bytes.len());
    // A character has at most four bytes; more of that kind is no UTF-8, and any place is as good.
    (at.saturating_sub(3)..=at).rev().find(|index| !is_inside(index)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(column: u32, length: u32) -> Span {
        Span { column, length }
    }

    #[test]
    fn columns_count_utf16_units_from_one() {
        let line = "aü𝄞b";
        let ranges = [0..1, 1..3, 3..7, 7..8];
        assert_eq!(spans(line.as_bytes(), ranges.into_iter()), [span(1, 1), span(2, 1), span(3, 2), span(5, 1)]);
    }

    #[test]
    fn a_long_line_is_cut_around_what_was_found_and_says_where_it_begins() {
        let long = format!("{}needle{}", "ü".repeat(5000), "x".repeat(5000));
        let line = Line::of(3, long.as_bytes(), 10_000);
        assert!(line.cut && line.text.contains("needle") && line.text.len() <= SEARCH_LINE_BYTES_MAX + 3);
        let before = line.text.split("needle").next().expect("text").encode_utf16().count();
        assert_eq!(line.column as usize + before, 5001);
        assert!(!line.text.contains('\u{fffd}'), "no character is cut in two");
    }

    #[test]
    fn ends_of_lines_are_no_part_of_them_and_bytes_that_are_no_text_are_replaced() {
        assert_eq!(trimmed(b"a\r\n"), b"a");
        assert_eq!(trimmed(b"a"), b"a");
        assert_eq!(Line::of(1, b"a\xffb", 0).text, "a\u{fffd}b");
        assert_eq!(spans(b"a\xffb", std::iter::once(2..3)), [span(3, 1)]);
    }
}
