//! What the parser tells the emulator: most goes on as it is, the rest is noted or guarded on its way.

use alacritty_terminal::vte::ansi::{
    Attr, CharsetIndex, ClearMode, CursorShape, CursorStyle, Handler, Hyperlink, KeyboardModes,
    KeyboardModesApplyBehavior, LineClearMode, Mode, NamedPrivateMode, PrivateMode, Rgb, StandardCharset,
    TabulationClearMode,
};

use super::{
    super::cells, KEYBOARDS_MAX, LINK_BYTES_MAX, NOTED_MODES, TITLE_CHARS_MAX, TITLES_MAX, Tracker, default_tabs,
};

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
