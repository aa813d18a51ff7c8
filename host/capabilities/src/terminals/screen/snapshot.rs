//! A screen as VT bytes that rebuild it in an emulator of the same size.
//!
//! Rows are written one after the other, as a program would print them, so that what is above the screen scrolls into the
//! reader's own scrollback. Everything that moves the cursor comes before the cursor is placed, everything that changes how
//! letters are taken after the last one.

use std::fmt::Write;

use alacritty_terminal::{
    grid::{Cursor, Dimensions},
    index::Line,
    term::{TermMode, cell::Cell},
    vte::ansi::{CharsetIndex, CursorShape, CursorStyle, StandardCharset},
};

use super::{draw, last_column, line_number, pen::Pen, tracker::Tracker};

/// Clears modes, colours, both screens and the scrollback of the emulator that gets the bytes.
const RESET: &[u8] = b"\x1bc\x1b[3J\x1b]104\x1b\\\x1b]110\x1b\\\x1b]111\x1b\\\x1b]112\x1b\\";

/// Colours, link and character sets as after a reset.
const PLAIN: &[u8] = b"\x1b[m\x1b]8;;\x1b\\\x1b(B\x1b)B\x1b*B\x1b+B";

/// Modes that are off after a reset, and how they are set. Those that change how letters are taken come last.
const MODES_OFF: [(TermMode, &[u8]); 11] = [
    (TermMode::APP_CURSOR, b"\x1b[?1h"),
    (TermMode::APP_KEYPAD, b"\x1b="),
    (TermMode::MOUSE_REPORT_CLICK, b"\x1b[?1000h"),
    (TermMode::MOUSE_DRAG, b"\x1b[?1002h"),
    (TermMode::MOUSE_MOTION, b"\x1b[?1003h"),
    (TermMode::FOCUS_IN_OUT, b"\x1b[?1004h"),
    (TermMode::UTF8_MOUSE, b"\x1b[?1005h"),
    (TermMode::SGR_MOUSE, b"\x1b[?1006h"),
    (TermMode::BRACKETED_PASTE, b"\x1b[?2004h"),
    (TermMode::LINE_FEED_NEW_LINE, b"\x1b[20h"),
    (TermMode::INSERT, b"\x1b[4h"),
];

/// Modes that are on after a reset, and how they are taken back.
const MODES_ON: [(TermMode, &[u8]); 4] = [
    (TermMode::SHOW_CURSOR, b"\x1b[?25l"),
    (TermMode::LINE_WRAP, b"\x1b[?7l"),
    (TermMode::ALTERNATE_SCROLL, b"\x1b[?1007l"),
    (TermMode::URGENCY_HINTS, b"\x1b[?1042l"),
];

pub(in super::super) struct Rebuilt {
    pub(in super::super) bytes: Vec<u8>,
    /// There are older lines that were left out.
    pub(in super::super) more_scrollback: bool,
}

pub(super) fn rebuild(tracker: &mut Tracker, lines_max: usize, bytes_max: usize) -> Rebuilt {
    let mut bytes = RESET.to_vec();
    if !tracker.title.is_empty() {
        bytes.extend_from_slice(format!("\x1b]2;{}\x1b\\", tracker.title).as_bytes());
    }
    let alternate = tracker.is_alternate();
    let more_scrollback;
    if alternate {
        // A program that leaves the alternate screen expects the primary one below it. The emulator clears the alternate one
        // when it is entered, so what is on it is kept meanwhile.
        let kept = tracker.term.grid().clone();
        tracker.term.swap_alt();
        more_scrollback = primary(tracker, lines_max, bytes_max, &mut bytes);
        keyboard(&tracker.other_keyboard, &mut bytes);
        place(tracker, &tracker.term.grid().cursor, 0, &mut bytes);
        tracker.term.swap_alt();
        *tracker.term.grid_mut() = kept;
        bytes.extend_from_slice(b"\x1b[?1049h");
        bytes.extend_from_slice(PLAIN);
        bytes.extend_from_slice(b"\x1b[2J\x1b[H");
        screen(tracker, &mut bytes);
    } else {
        more_scrollback = primary(tracker, lines_max, bytes_max, &mut bytes);
    }
    settings(tracker, &mut bytes);
    modes(tracker, &mut bytes);
    Rebuilt { bytes, more_scrollback }
}

/// The primary screen with what is above it. Says whether some of that was left out.
fn primary(tracker: &Tracker, lines_max: usize, bytes_max: usize, bytes: &mut Vec<u8>) -> bool {
    let grid = tracker.term.grid();
    let history = grid.history_size();
    let near = history.min(lines_max);
    let mut drawn = Vec::new();
    let mut starts = Vec::with_capacity(near);
    for above in (1..=near).rev() {
        starts.push(drawn.len());
        if !draw::row(&grid[Line(-line_number(above))][..], Some(&grid[Line(1 - line_number(above))][..]), &mut drawn) {
            drawn.extend_from_slice(b"\r\n");
        }
    }
    let mut older = 0;
    if near == history && drawn.len() <= bytes_max {
        older = tracker.older.append(lines_max - near, bytes_max - drawn.len(), bytes);
        bytes.extend_from_slice(&drawn);
    } else {
        let begin = starts.iter().copied().find(|start| drawn.len() - start <= bytes_max).unwrap_or(drawn.len());
        bytes.extend_from_slice(&drawn[begin..]);
    }
    let left_out = near < history || drawn.len() > bytes_max || older < tracker.older.len();
    screen(tracker, bytes);
    left_out
}

/// The visible rows, from the place where the first one is to be.
fn screen(tracker: &Tracker, bytes: &mut Vec<u8>) {
    let grid = tracker.term.grid();
    let bottom = i32::from(tracker.size.rows) - 1;
    for line in 0..bottom {
        if !draw::row(&grid[Line(line)][..], Some(&grid[Line(line + 1)][..]), bytes) {
            bytes.extend_from_slice(b"\r\n");
        }
    }
    draw::row(&grid[Line(bottom)][..], None, bytes);
}

/// Tab stops, colours, scroll region, saved cursor, cursor.
fn settings(tracker: &Tracker, bytes: &mut Vec<u8>) {
    let mut text = String::new();
    // Writing to a string cannot fail.
    if tracker.tabs.iter().enumerate().any(|(column, &stop)| stop != (column % 8 == 0)) {
        text.push_str("\x1b[3g");
        for column in tracker.tabs.iter().enumerate().filter_map(|(column, &stop)| stop.then_some(column)) {
            _ = write!(text, "\x1b[1;{}H\x1bH", column + 1);
        }
    }
    for (index, color) in (0..=258).filter_map(|index| Some((index, tracker.term.colors()[index]?))) {
        _ = match index {
            0..256 => write!(text, "\x1b]4;{index};"),
            _ => write!(text, "\x1b]{};", index - 256 + 10),
        };
        _ = write!(text, "rgb:{:02x}/{:02x}/{:02x}\x1b\\", color.r, color.g, color.b);
    }
    let (top, bottom) = tracker.region;
    if (top, bottom) != (0, tracker.size.rows) {
        _ = write!(text, "\x1b[{};{bottom}r", top + 1);
    }
    bytes.extend_from_slice(text.as_bytes());
    let grid = tracker.term.grid();
    if grid.saved_cursor != Cursor::default() {
        // That it waits to wrap is given up: to make it wait, its cell would be written again, as if no line went on there.
        place(tracker, &Cursor { input_needs_wrap: false, ..grid.saved_cursor.clone() }, 0, bytes);
        bytes.extend_from_slice(b"\x1b7");
        bytes.extend_from_slice(PLAIN);
    }
    let mut origin = 0;
    if tracker.term.mode().contains(TermMode::ORIGIN) {
        bytes.extend_from_slice(b"\x1b[?6h");
        origin = i32::from(top);
    }
    place(tracker, &grid.cursor, origin, bytes);
    if tracker.charset == CharsetIndex::G1 {
        bytes.push(0x0e);
    }
}

/// Puts the cursor where `cursor` is, with its colours and character sets, and waiting to wrap if it does. Rows are counted
/// from `origin`.
fn place(tracker: &Tracker, cursor: &Cursor<Cell>, origin: i32, bytes: &mut Vec<u8>) {
    let grid = tracker.term.grid();
    // A saved place may be outside of a screen that has become smaller.
    let line = cursor.point.line.min(grid.bottommost_line()).max(Line(0));
    let mut column = cursor.point.column.min(last_column(tracker.size)).0;
    let row = &grid[line][..];
    let waits = cursor.input_needs_wrap;
    if waits && column > 0 && draw::is_wide(row, column - 1) {
        column -= 1;
    }
    bytes.extend_from_slice(format!("\x1b[{};{}H", (line.0 - origin).max(0) + 1, column + 1).as_bytes());
    let mut pen = Pen::default();
    if waits {
        // Only writing into the last column makes an emulator wait there.
        draw::cells(&row[column..], &mut pen, bytes);
    }
    pen.take(&cursor.template, bytes);
    for (index, designator) in
        [(CharsetIndex::G0, '('), (CharsetIndex::G1, ')'), (CharsetIndex::G2, '*'), (CharsetIndex::G3, '+')]
    {
        if cursor.charsets[index] == StandardCharset::SpecialCharacterAndLineDrawing {
            bytes.extend_from_slice(format!("\x1b{designator}0").as_bytes());
        }
    }
}

fn modes(tracker: &Tracker, bytes: &mut Vec<u8>) {
    let mode = *tracker.term.mode();
    let style = cursor_style(tracker.term.cursor_style());
    if style != cursor_style(CursorStyle::default()) {
        bytes.extend_from_slice(format!("\x1b[{style} q").as_bytes());
    }
    for noted in &tracker.noted_modes {
        bytes.extend_from_slice(format!("\x1b[?{noted}h").as_bytes());
    }
    keyboard(&tracker.keyboard, bytes);
    for (flag, set) in MODES_OFF {
        if mode.contains(flag) {
            bytes.extend_from_slice(set);
        }
    }
    for (flag, unset) in MODES_ON {
        if !mode.contains(flag) {
            bytes.extend_from_slice(unset);
        }
    }
}

/// Flags of the keyboard protocol, as programs have pushed them one above the other.
fn keyboard(pushed: &[u8], bytes: &mut Vec<u8>) {
    for flags in pushed {
        bytes.extend_from_slice(format!("\x1b[>{flags}u").as_bytes());
    }
}

/// DECSCUSR's number.
pub(super) fn cursor_style(style: CursorStyle) -> u8 {
    let steady = match style.shape {
        CursorShape::Underline => 4,
        CursorShape::Beam => 6,
        _ => 2,
    };
    steady - u8::from(style.blinking)
}
