//! The emulator, and beside it what it knows but does not show: scroll region, tab stops, character set, title, keyboard
//! flags; and guards where a program could make it grow without end.

use std::{collections::BTreeSet, mem};

use alacritty_terminal::{
    event::VoidListener,
    grid::Dimensions,
    index::{Column, Line},
    term::{Config, Term, TermMode, cell::Flags},
    vte::ansi::{
        Attr, CharsetIndex, ClearMode, CursorShape, CursorStyle, Handler, Hyperlink, KeyboardModes,
        KeyboardModesApplyBehavior, LineClearMode, Mode, NamedPrivateMode, PrivateMode, Rgb, StandardCharset,
        TabulationClearMode,
    },
};

use super::{
    super::size::Size, CELL_LINES, CELL_LINES_MAX, PIECE_BYTES, cells, draw, line_number, scrollback::Scrollback,
};

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

macro_rules! forward {
    ($($name:ident($($argument:ident: $of:ty),*);)*) => {
        $(fn $name(&mut self, $($argument: $of),*) { Handler::$name(&mut self.term, $($argument),*); })*
    };
}

/// What asks for an answer (device status and the like) is not forwarded: questions are taken out before.
impl Handler for Tracker {
    forward! {
        set_cursor_style(style: Option<CursorStyle>);
        set_cursor_shape(shape: CursorShape);
        goto(line: i32, column: usize);
        goto_line(line: i32);
        goto_col(column: usize);
        insert_blank(count: usize);
        move_up(count: usize);
        move_down(count: usize);
        move_forward(count: usize);
        move_backward(count: usize);
        move_down_and_cr(count: usize);
        move_up_and_cr(count: usize);
        put_tab(count: u16);
        backspace();
        carriage_return();
        linefeed();
        newline();
        scroll_up(count: usize);
        scroll_down(count: usize);
        insert_blank_lines(count: usize);
        delete_lines(count: usize);
        erase_chars(count: usize);
        delete_chars(count: usize);
        move_forward_tabs(count: u16);
        save_cursor_position();
        restore_cursor_position();
        clear_line(mode: LineClearMode);
        reverse_index();
        terminal_attribute(attribute: Attr);
        set_mode(mode: Mode);
        unset_mode(mode: Mode);
        set_keypad_application_mode();
        unset_keypad_application_mode();
        configure_charset(index: CharsetIndex, charset: StandardCharset);
        set_color(index: usize, color: Rgb);
        reset_color(index: usize);
        decaln();
    }

    fn input(&mut self, c: char) {
        // Marks have no width; nothing below U+0300 is one.
        if c < '\u{300}' || !self.marks_are_full() {
            self.term.input(c);
        }
    }

    fn move_backward_tabs(&mut self, count: u16) {
        self.term.move_backward_tabs(count);
        // The emulator forgets that who has moved does not wait to wrap.
        self.term.grid_mut().cursor.input_needs_wrap = false;
    }

    fn set_title(&mut self, title: Option<String>) {
        let title = title.unwrap_or_default();
        self.title = title.chars().filter(|c| !c.is_control()).take(TITLE_CHARS_MAX).collect();
    }

    fn push_title(&mut self) {
        if self.titles.len() == TITLES_MAX {
            self.titles.remove(0);
        }
        self.titles.push(self.title.clone());
    }

    fn pop_title(&mut self) {
        if let Some(title) = self.titles.pop() {
            self.title = title;
        }
    }

    fn set_horizontal_tabstop(&mut self) {
        let column = self.term.grid().cursor.point.column;
        self.tabs[column.0] = true;
        self.term.set_horizontal_tabstop();
    }

    fn clear_tabs(&mut self, mode: TabulationClearMode) {
        match mode {
            TabulationClearMode::Current => {
                let column = self.term.grid().cursor.point.column;
                self.tabs[column.0] = false;
            }
            TabulationClearMode::All => self.tabs.fill(false),
        }
        self.term.clear_tabs(mode);
    }

    fn clear_screen(&mut self, mode: ClearMode) {
        if matches!(mode, ClearMode::Saved) {
            self.older.clear();
        }
        self.term.clear_screen(mode);
    }

    fn reset_state(&mut self) {
        self.term.reset_state();
        self.older.clear();
        self.region = (0, self.size.rows);
        self.tabs = default_tabs(self.size.cols);
        self.charset = CharsetIndex::G0;
        self.title.clear();
        self.titles.clear();
        self.noted_modes.clear();
        self.keyboard.clear();
        self.other_keyboard.clear();
        for index in 0..alacritty_terminal::term::color::COUNT {
            self.term.reset_color(index);
        }
    }

    fn set_private_mode(&mut self, mode: PrivateMode) {
        match mode {
            PrivateMode::Named(NamedPrivateMode::SwapScreenAndSetRestoreCursor) | PrivateMode::Unknown(47 | 1047) => {
                self.set_alternate(true);
            }
            PrivateMode::Unknown(1048) => self.term.save_cursor_position(),
            PrivateMode::Unknown(mode) => {
                if NOTED_MODES.contains(&mode) {
                    self.noted_modes.insert(mode);
                }
            }
            // Clears the screen to no purpose.
            PrivateMode::Named(NamedPrivateMode::ColumnMode) => {}
            mode => self.term.set_private_mode(mode),
        }
    }

    fn unset_private_mode(&mut self, mode: PrivateMode) {
        match mode {
            PrivateMode::Named(NamedPrivateMode::SwapScreenAndSetRestoreCursor) | PrivateMode::Unknown(47 | 1047) => {
                self.set_alternate(false);
            }
            PrivateMode::Unknown(1048) => self.term.restore_cursor_position(),
            PrivateMode::Unknown(mode) => _ = self.noted_modes.remove(&mode),
            PrivateMode::Named(NamedPrivateMode::ColumnMode) => {}
            mode => self.term.unset_private_mode(mode),
        }
    }

    fn set_scrolling_region(&mut self, top: usize, bottom: Option<usize>) {
        let rows = usize::from(self.size.rows);
        let bottom = bottom.unwrap_or(rows).min(rows);
        if top < bottom {
            self.region = (cells(top - 1), cells(bottom));
            self.term.set_scrolling_region(top, Some(bottom));
        }
    }

    fn set_active_charset(&mut self, index: CharsetIndex) {
        self.charset = index;
        self.term.set_active_charset(index);
    }

    fn set_hyperlink(&mut self, link: Option<Hyperlink>) {
        let fits = |link: &Hyperlink| link.uri.len() + link.id.as_ref().map_or(0, String::len) <= LINK_BYTES_MAX;
        self.term.set_hyperlink(link.filter(fits));
    }

    fn push_keyboard_mode(&mut self, mode: KeyboardModes) {
        if self.keyboard.len() == KEYBOARDS_MAX {
            self.keyboard.remove(0);
        }
        self.keyboard.push(mode.bits());
    }

    fn pop_keyboard_modes(&mut self, count: u16) {
        self.keyboard.truncate(self.keyboard.len().saturating_sub(count.into()));
    }

    fn set_keyboard_mode(&mut self, mode: KeyboardModes, behavior: KeyboardModesApplyBehavior) {
        let present = self.keyboard.pop().unwrap_or(0);
        self.keyboard.push(match behavior {
            KeyboardModesApplyBehavior::Replace => mode.bits(),
            KeyboardModesApplyBehavior::Union => present | mode.bits(),
            KeyboardModesApplyBehavior::Difference => present & !mode.bits(),
        });
    }
}
