//! The screen of a terminal as its program has drawn it: a VT model that is fed all output and can write itself back.
//!
//! Knows nothing of offsets, clients or processes. Wraps `vt100`; what that does not model (scroll region, tab stops,
//! palette, hyperlinks) is not in a snapshot.

use std::num::NonZeroU16;

use vt100::{Callbacks, Parser, Screen};

use super::size::Size;

/// Titles are cut here: they come from programs and go to every client.
const TITLE_CHARS_MAX: usize = 256;

/// Clears modes, colours, both screens and the scrollback of the emulator that gets a snapshot.
const RESET: &str = "\x1bc\x1b[3J";

pub(super) struct ScreenModel {
    parser: Parser<Title>,
    size: Size,
}

#[derive(Default)]
struct Title(String);

impl Callbacks for Title {
    fn set_window_title(&mut self, _: &mut Screen, title: &[u8]) {
        self.0 = String::from_utf8_lossy(title).chars().filter(|c| !c.is_control()).take(TITLE_CHARS_MAX).collect();
    }
}

impl ScreenModel {
    pub(super) fn new(size: Size, scrollback_lines: usize) -> Self {
        let (rows, cols) = cells(size);
        Self { parser: Parser::new_with_callbacks(rows, cols, scrollback_lines, Title::default()), size }
    }

    pub(super) fn process(&mut self, bytes: &[u8]) {
        self.parser.process(bytes);
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    pub(super) fn set_size(&mut self, size: Size) {
        let (rows, cols) = cells(size);
        self.parser.set_size(rows, cols);
        self.size = size;
    }

    pub(super) fn title(&self) -> &str {
        &self.parser.callbacks().0
    }

    /// (row, column) from 0.
    pub(super) fn cursor(&self) -> (u16, u16) {
        let (row, column) = self.parser.screen().cursor_position();
        // After the last column was written the model's cursor is beyond it, waiting to wrap.
        (row, column.min(self.size.cols - 1))
    }

    pub(super) fn alternate_screen(&self) -> bool {
        self.parser.screen().alternate_screen()
    }

    pub(super) fn has_scrollback(&self) -> bool {
        self.parser.screen().scrollback_len() > 0
    }

    /// The visible lines from top to bottom, without trailing blanks.
    pub(super) fn lines(&self) -> Vec<String> {
        self.parser.screen().rows(0, self.size.cols).map(|line| line.trim_end().to_owned()).collect()
    }

    /// VT bytes that give any emulator of this size the same screens, cursor, colours, input modes and title.
    pub(super) fn rebuild(&mut self) -> String {
        let mut bytes = RESET.to_owned();
        if !self.title().is_empty() {
            bytes.push_str(&format!("\x1b]2;{}\x1b\\", self.title()));
        }
        if self.alternate_screen() {
            // A program that leaves the alternate screen expects the primary one below it.
            bytes.push_str(&self.primary_screen());
            bytes.push_str("\x1b[?1049h");
        }
        bytes.push_str(&self.parser.screen().state_formatted());
        bytes
    }

    /// The primary screen while the alternate one is shown. The model shows one at a time, and its own parser may be in
    /// the middle of a sequence, so the screen visits another parser for the switch there and back.
    fn primary_screen(&mut self) -> String {
        let (rows, cols) = cells(self.size);
        let mut visitor = Parser::new(rows, cols, 0);
        std::mem::swap(self.parser.screen_mut(), visitor.screen_mut());
        visitor.process(b"\x1b[?47l");
        let contents = visitor.screen().contents_formatted();
        visitor.process(b"\x1b[?47h");
        std::mem::swap(self.parser.screen_mut(), visitor.screen_mut());
        contents
    }
}

fn cells(size: Size) -> (NonZeroU16, NonZeroU16) {
    (NonZeroU16::new(size.rows).unwrap_or(NonZeroU16::MIN), NonZeroU16::new(size.cols).unwrap_or(NonZeroU16::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { cols: 20, rows: 5 };

    fn copy_of(model: &mut ScreenModel) -> ScreenModel {
        let mut copy = ScreenModel::new(SIZE, 100);
        copy.process(b"\x1b[44mold\x1b[?1049h\x1b[?2004h rubbish");
        copy.process(model.rebuild().as_bytes());
        copy
    }

    #[test]
    fn a_rebuilt_screen_equals_the_original() {
        let mut model = ScreenModel::new(SIZE, 100);
        model.process("\x1b]2;t\x07\x1b[1;31mred\r\n\x1b[?2004h\x1b[?1hä€ wide 漢字\x1b[3;7H".as_bytes());
        let copy = copy_of(&mut model);
        assert_eq!(copy.parser.screen().state_formatted(), model.parser.screen().state_formatted());
        assert_eq!(copy.title(), "t");
    }

    #[test]
    fn the_primary_screen_survives_below_the_alternate_one() {
        let mut model = ScreenModel::new(SIZE, 100);
        model.process(b"shell$ vi\r\n\x1b[?1049h\x1b[32mfile\x1b[");
        let mut copy = copy_of(&mut model);
        assert_eq!(copy.lines(), model.lines());
        for model in [&mut copy, &mut model] {
            model.process(b"\x1b[?1049l");
            assert_eq!(model.lines()[0], "shell$ vi");
        }
    }
}
