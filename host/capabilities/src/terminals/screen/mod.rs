//! The screen of a terminal as its program has drawn it: an emulator that is fed all output and can write itself back.
//!
//! Knows nothing of offsets, clients or processes. The emulator is `alacritty_terminal`, measured against the other two
//! that are kept and can be embedded (80 columns, 24 rows, 10,000 lines of scrollback, MB/s on one core):
//!
//! | input                     | `alacritty_terminal` | `vt100` | `avt` |
//! |---------------------------|---------------------:|--------:|------:|
//! | `yes`                     |                   98 |       5 |     6 |
//! | log lines                 |                   76 |      31 |    59 |
//! | coloured lines            |                   78 |      45 |    62 |
//! | cursor movement, erasing  |                  117 |      77 |   103 |
//! | wide and accented letters |                  119 |      56 |    80 |
//!
//! It is the only one of the three that keeps up with `yes`, and models hyperlinks, underline styles, palettes, origin and
//! insert mode as well. `vt100` has no tab stops and no palette, and shows no scroll region; `avt` takes text, not bytes,
//! and knows nothing of mouse modes. What it does not have is a way to write itself back and a compact scrollback; those
//! are here ([`snapshot`], [`scrollback`]), and [`tracker`] notes what it hides.
//!
//! Not modelled, so not in a snapshot: blinking text, images, double-width lines, and protected cells.

mod draw;
mod pen;
mod scrollback;
mod snapshot;
#[cfg(test)]
mod tests;
mod tracker;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use alacritty_terminal::{
    grid::Dimensions,
    index::{Column, Line},
    term::{TermMode, cell::Cell},
    vte::ansi::{Processor, Rgb, Timeout},
};

use super::{scan::unfinished_char, size::Size};
pub(super) use snapshot::Rebuilt;
use tracker::Tracker;

/// The emulator takes this much at once: each byte may be a line, and its history has room for as many.
const PIECE_BYTES: usize = 512;
/// Lines above the screen that the emulator keeps as cells: a screen that grows gets them back. Older ones are text.
const CELL_LINES: usize = 232;
/// Lines above the screen at which all but [`CELL_LINES`] become text.
const CELL_LINES_MAX: usize = 488;
/// Bytes of a cell in memory.
const CELL_BYTES: usize = size_of::<Cell>();
/// Rows that the emulator allocates beyond its screen once it scrolls.
const SPARE_ROWS: usize = 1000;

pub(super) struct ScreenModel {
    tracker: Tracker,
    parser: Processor<Immediate>,
    /// The first bytes of a character, at most three.
    begun_char: Vec<u8>,
    lines_max: usize,
}

/// Synchronised updates are a matter of showing. A model that held them back would lag behind the offsets of the output.
#[derive(Default)]
struct Immediate;

impl Timeout for Immediate {
    fn set_timeout(&mut self, _: Duration) {}

    fn clear_timeout(&mut self) {}

    fn pending_timeout(&self) -> bool {
        false
    }
}

impl ScreenModel {
    pub(super) fn new(size: Size, scrollback_lines: usize) -> Self {
        let tracker = Tracker::new(size, scrollback_lines);
        Self { tracker, parser: Processor::new(), begun_char: Vec::new(), lines_max: scrollback_lines }
    }

    /// Takes output. Should the emulator fail on it, the screen begins again, empty: the raw output is what counts, and
    /// whatever draws next is right again.
    pub(super) fn process(&mut self, bytes: &[u8]) {
        let fed = catch_unwind(AssertUnwindSafe(|| {
            if self.begun_char.is_empty() {
                return self.feed(bytes);
            }
            let whole = [&std::mem::take(&mut self.begun_char), bytes].concat();
            self.feed(&whole);
        }));
        if fed.is_err() {
            tracing::error!("the emulator failed on the output of a program; its screen begins again");
            *self = Self::new(self.size(), self.lines_max);
        }
    }

    /// The parser of the emulator loses what follows a character that it gets in two pieces, so it gets none.
    fn feed(&mut self, bytes: &[u8]) {
        let (mut rest, begun) = bytes.split_at(bytes.len() - unfinished_char(bytes));
        self.begun_char.extend_from_slice(begun);
        while !rest.is_empty() {
            let cut = match rest.get(..PIECE_BYTES) {
                Some(piece) if rest.len() > PIECE_BYTES => PIECE_BYTES - unfinished_char(piece),
                _ => rest.len(),
            };
            let (piece, later) = rest.split_at(cut);
            self.parser.advance(&mut self.tracker, piece);
            self.tracker.settle();
            rest = later;
        }
    }

    pub(super) fn size(&self) -> Size {
        self.tracker.size
    }

    pub(super) fn set_size(&mut self, size: Size) {
        let resized = catch_unwind(AssertUnwindSafe(|| self.tracker.resize(size)));
        if resized.is_err() {
            tracing::error!("the emulator failed to change its size; its screen begins again");
            *self = Self::new(size, self.lines_max);
        }
    }

    pub(super) fn title(&self) -> &str {
        &self.tracker.title
    }

    /// (row, column) from 0.
    pub(super) fn cursor(&self) -> (u16, u16) {
        let point = self.tracker.term.grid().cursor.point;
        (cells(usize::try_from(point.line.0).unwrap_or(0)), cells(point.column.0))
    }

    /// As a program that asks is told: from 0, and from the top of the scroll region where that is the origin.
    pub(super) fn reported_cursor(&self) -> (u16, u16) {
        let (row, column) = self.cursor();
        let top = if self.mode(TermMode::ORIGIN) { self.tracker.region.0 } else { 0 };
        (row.saturating_sub(top), column)
    }

    /// Rows of the scroll region: first, and the one after the last.
    pub(super) fn region(&self) -> (u16, u16) {
        self.tracker.region
    }

    pub(super) fn mode(&self, mode: TermMode) -> bool {
        self.tracker.term.mode().contains(mode)
    }

    /// A private mode that only clients act on, as the program has set it; `None` where it is not kept.
    pub(super) fn noted_mode(&self, mode: u16) -> Option<bool> {
        tracker::NOTED_MODES.contains(&mode).then(|| self.tracker.noted_modes.contains(&mode))
    }

    /// A colour that the program has set, by the emulator's number (0 to 255, then foreground, background and cursor).
    pub(super) fn color(&self, index: usize) -> Option<Rgb> {
        self.tracker.term.colors()[index]
    }

    /// DECSCUSR's number of the cursor's shape.
    pub(super) fn cursor_style(&self) -> u8 {
        snapshot::cursor_style(self.tracker.term.cursor_style())
    }

    /// What SGR would set the present colours and attributes again, without `ESC [` and `m`.
    pub(super) fn attributes(&self) -> String {
        pen::attributes(&self.tracker.term.grid().cursor.template)
    }

    pub(super) fn alternate_screen(&self) -> bool {
        self.mode(TermMode::ALT_SCREEN)
    }

    /// The visible lines from top to bottom, without trailing blanks.
    pub(super) fn lines(&self) -> Vec<String> {
        let grid = self.tracker.term.grid();
        (0..i32::from(self.size().rows)).map(|line| text(&grid[Line(line)][..])).collect()
    }

    /// The newest `count` lines above the screen, oldest first, without trailing blanks.
    pub(super) fn lines_above(&self, count: usize) -> Vec<String> {
        let grid = self.tracker.term.grid();
        let in_cells = if self.alternate_screen() { 0 } else { grid.history_size().min(count) };
        let mut lines = self.tracker.older.text(count - in_cells);
        lines.extend((1..=in_cells).rev().map(|above| text(&grid[Line(-line_number(above))][..])));
        lines
    }

    /// VT bytes that give any emulator of this size the same screens, scrollback, cursor, colours, modes and title. At most
    /// `lines_max` lines of scrollback, in `bytes_max` bytes.
    pub(super) fn rebuild(&mut self, lines_max: usize, bytes_max: usize) -> Rebuilt {
        snapshot::rebuild(&mut self.tracker, lines_max, bytes_max)
    }

    /// How many lines of output leave nothing of what is kept now; `None` where lines do not push the ones above them out.
    pub(super) fn lines_that_replace_all(&self) -> Option<usize> {
        let rows = self.size().rows;
        // Twice the screen: down to its last row, and out of it.
        let lines = self.lines_max + CELL_LINES_MAX + PIECE_BYTES + 2 * usize::from(rows);
        (self.tracker.region == (0, rows)).then_some(lines)
    }

    /// Memory that this screen takes, about.
    pub(super) fn bytes(&self) -> usize {
        let Size { cols, rows } = self.size();
        // Rows beyond the screen come with the first that scrolls.
        let spare = if self.tracker.term.grid().history_size() > 0 { SPARE_ROWS } else { 0 };
        (2 * usize::from(rows) + spare) * usize::from(cols) * CELL_BYTES + self.tracker.older.bytes()
    }

    /// Forgets the oldest lines above the screen until they take at most this much.
    pub(super) fn keep_scrollback(&mut self, bytes: usize) {
        self.tracker.older.keep_bytes(bytes);
    }
}

fn text(row: &[Cell]) -> String {
    let mut line = Vec::new();
    draw::letters(row, |_, _| {}, &mut line);
    let mut line = String::from_utf8(line).unwrap_or_default();
    line.truncate(line.trim_end().len());
    line
}

/// Sizes are bounded far below these types' ends.
fn cells(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn line_number(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn last_column(size: Size) -> Column {
    Column(usize::from(size.cols) - 1)
}
