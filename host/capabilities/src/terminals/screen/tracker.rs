//! The emulator, and beside it what it knows but does not show: scroll region, tab stops, character set, title, keyboard
//! flags; and guards where a program could make it grow without end.

mod handler;

use std::{collections::BTreeSet, mem};

use alacritty_terminal::{
    event::VoidListener,
    grid::Dimensions,
    index::{Column, Line},
    term::{Config, Term, TermMode, cell::Flags},
    vte::ansi::CharsetIndex,
};

use super::{super::size::Size, CELL_LINES, CELL_LINES_MAX, PIECE_BYTES, draw, line_number, scrollback::Scrollback};

/// Titles are cut here: they come from programs and go to every client.
const TITLE_CHARS_MAX: usize = 256;
/// Titles that a program may push; the oldest is forgotten.
const TITLES_MAX: usize = 16;
/// Keyboard flags that a program may push; the oldest are forgotten.
const KEYBOARDS_MAX: usize = 16;
/// Marks over one letter; more of them are ignored.
const MARKS_MAX: usize = 16;
/// Longest address of a link; longer ones are none.
const LINK_BYTES_MAX: usize = 2048;
/// Columns between tab stops.
const TAB_COLUMNS: usize = 8;

/// Private modes that the emulator ignores and clients do not: reverse video, X10 mouse, reverse wrap, keypad, two encodings of
/// the mouse, grapheme clusters, news of the colour scheme.
pub(super) const NOTED_MODES: [u16; 8] = [5, 9, 45, 66, 1015, 1016, 2027, 2031];

pub(super) struct Tracker {
    pub(super) term: Term<VoidListener>,
    pub(super) size: Size,
    /// Lines above those that the emulator keeps.
    pub(super) older: Scrollback,
    /// First row of the scroll region, and the one after its last.
    pub(super) region: (u16, u16),
    pub(super) tabs: Vec<bool>,
    pub(super) charset: CharsetIndex,
    pub(super) title: String,
    titles: Vec<String>,
    pub(super) noted_modes: BTreeSet<u16>,
    /// Of the screen that is shown. Kept here, because the emulator's own stack fails when it is full.
    pub(super) keyboard: Vec<u8>,
    /// Of the other screen.
    pub(super) other_keyboard: Vec<u8>,
}

struct Cells(Size);

impl Dimensions for Cells {
    fn total_lines(&self) -> usize {
        self.screen_lines()
    }

    fn screen_lines(&self) -> usize {
        self.0.rows.into()
    }

    fn columns(&self) -> usize {
        self.0.cols.into()
    }
}

impl Tracker {
    pub(super) fn new(size: Size, scrollback_lines: usize) -> Self {
        let config = Config { scrolling_history: CELL_LINES_MAX + PIECE_BYTES, ..Config::default() };
        Self {
            term: Term::new(config, &Cells(size), VoidListener),
            size,
            older: Scrollback::new(scrollback_lines.saturating_sub(CELL_LINES)),
            region: (0, size.rows),
            tabs: default_tabs(size.cols),
            charset: CharsetIndex::G0,
            title: String::new(),
            titles: Vec::new(),
            noted_modes: BTreeSet::new(),
            keyboard: Vec::new(),
            other_keyboard: Vec::new(),
        }
    }

    pub(super) fn resize(&mut self, size: Size) {
        if size.cols != self.size.cols {
            self.older.end_line();
        }
        self.term.resize(Cells(size));
        let known = self.tabs.len();
        self.tabs.truncate(size.cols.into());
        self.tabs.extend((known..size.cols.into()).map(|column| column % TAB_COLUMNS == 0));
        self.region = (0, size.rows);
        self.size = size;
        self.settle();
    }

    /// Turns lines far above the screen into text. Called after every piece, before the emulator's history is full.
    pub(super) fn settle(&mut self) {
        if self.is_alternate() || self.term.grid().history_size() <= CELL_LINES_MAX {
            return;
        }
        let grid = self.term.grid_mut();
        let history = grid.history_size();
        for above in (CELL_LINES + 1..=history).rev() {
            let (row, next) = (&grid[Line(-line_number(above))], &grid[Line(1 - line_number(above))]);
            self.older.push(|bytes| draw::row(&row[..], Some(&next[..]), bytes));
        }
        grid.update_history(CELL_LINES);
        grid.update_history(CELL_LINES_MAX + PIECE_BYTES);
    }

    pub(super) fn is_alternate(&self) -> bool {
        self.term.mode().contains(TermMode::ALT_SCREEN)
    }

    fn set_alternate(&mut self, alternate: bool) {
        if self.is_alternate() != alternate {
            self.term.swap_alt();
            mem::swap(&mut self.keyboard, &mut self.other_keyboard);
        }
    }

    /// Whether the cell that a mark would go to has as many as it may.
    fn marks_are_full(&self) -> bool {
        let grid = self.term.grid();
        let mut column = grid.cursor.point.column;
        if !grid.cursor.input_needs_wrap {
            column = Column(column.saturating_sub(1));
        }
        let row = &grid[grid.cursor.point.line];
        if row[column].flags.contains(Flags::WIDE_CHAR_SPACER) {
            column = Column(column.saturating_sub(1));
        }
        row[column].zerowidth().is_some_and(|marks| marks.len() >= MARKS_MAX)
    }
}

fn default_tabs(cols: u16) -> Vec<bool> {
    (0..usize::from(cols)).map(|column| column % TAB_COLUMNS == 0).collect()
}
