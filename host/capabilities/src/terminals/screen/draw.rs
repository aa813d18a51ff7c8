//! Rows of cells as bytes that draw them, from left to right, beginning and ending with nothing set.

use alacritty_terminal::{
    term::cell::{Cell, Flags},
    vte::ansi::{Color, NamedColor},
};

use super::pen::{DRAWN, Pen, is_erased};

const BACKGROUND: Color = Color::Named(NamedColor::Background);

/// Appends what draws `row`; says whether the line goes on in `next`, the row below it: then the emulator must wrap by itself.
/// Only a wrap makes the two rows one line again when the size changes. The last row of a screen goes on nowhere.
pub(super) fn row(row: &[Cell], next: Option<&[Cell]>, bytes: &mut Vec<u8>) -> bool {
    let next = next.filter(|_| row.last().is_some_and(|last| last.flags.contains(Flags::WRAPLINE)));
    let wraps = next.is_some();
    let gap = next.is_some_and(|next| leaves_gap(row, next));
    let end = if wraps { row.len() - usize::from(gap) } else { row.len() - erased_tail(row) };
    let mut pen = Pen::default();
    cells(&row[..end], &mut pen, bytes);
    if end < row.len() && !wraps && row[end].bg != BACKGROUND {
        pen.take(&row[end], bytes);
        bytes.extend_from_slice(b"\x1b[K");
    }
    pen.reset(bytes);
    // Nothing is drawn in an empty row, so nothing would wrap into it; and what wraps with a background set would colour the
    // whole row.
    let wrap_now = |next: &[Cell]| next[0].bg != BACKGROUND || erased_tail(next) == next.len();
    if !gap && next.is_some_and(wrap_now) {
        bytes.extend_from_slice(b" \r");
    }
    wraps
}

/// A wide letter that does not fit leaves the last column empty, and does so again when it is written again; but in its own
/// colours.
fn leaves_gap(row: &[Cell], next: &[Cell]) -> bool {
    row.last().zip(next.first()).is_some_and(|(last, below)| {
        last.flags.contains(Flags::LEADING_WIDE_CHAR_SPACER)
            && is_wide(next, 0)
            && below.bg == BACKGROUND
            && (below.fg, below.bg) == (last.fg, last.bg)
            && below.flags & DRAWN == last.flags & DRAWN
            && below.extra.is_none()
            && last.extra.is_none()
    })
}

/// Draws cells from the place where the first one is to be.
pub(super) fn cells(row: &[Cell], pen: &mut Pen, bytes: &mut Vec<u8>) {
    letters(row, |cell, bytes| pen.take(cell, bytes), bytes);
}

/// The letters of cells, each after what `before` writes.
pub(super) fn letters(row: &[Cell], mut before: impl FnMut(&Cell, &mut Vec<u8>), bytes: &mut Vec<u8>) {
    let mut column = 0;
    while let Some(cell) = row.get(column) {
        before(cell, bytes);
        let wide = is_wide(row, column);
        if !wide && cell.flags.intersects(Flags::WIDE_CHAR | Flags::WIDE_CHAR_SPACER) {
            // Half of a wide letter is none.
            bytes.push(b' ');
        } else {
            letter(cell, bytes);
        }
        column += 1 + usize::from(wide);
    }
}

/// Whether a wide letter is at this column and the next.
pub(super) fn is_wide(row: &[Cell], column: usize) -> bool {
    row[column].flags.contains(Flags::WIDE_CHAR)
        && row.get(column + 1).is_some_and(|next| next.flags.contains(Flags::WIDE_CHAR_SPACER))
}

fn letter(cell: &Cell, bytes: &mut Vec<u8>) {
    let mut buffer = [0; 4];
    // A tab has left itself in its first cell.
    let c = if cell.c == '\t' { ' ' } else { cell.c };
    bytes.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
    for mark in cell.zerowidth().into_iter().flatten() {
        bytes.extend_from_slice(mark.encode_utf8(&mut buffer).as_bytes());
    }
}

/// How many cells at the end are erased, with one and the same background.
fn erased_tail(row: &[Cell]) -> usize {
    let Some(last) = row.last() else { return 0 };
    if last.bg == BACKGROUND {
        // Nearly all rows, and much of the time that output takes: compared with what is known when this is compiled.
        return row.iter().rev().take_while(|cell| is_erased(cell) && matches!(cell.bg, BACKGROUND)).count();
    }
    row.iter().rev().take_while(|cell| cell.bg == last.bg && is_erased(cell)).count()
}
