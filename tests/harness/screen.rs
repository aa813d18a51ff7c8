//! An emulator as a client has one, so that what two clients see can be compared cell by cell.

use std::time::Duration;

use alacritty_terminal::{
    event::VoidListener,
    grid::Dimensions,
    index::{Column, Line},
    term::{Config, Term, cell::Flags},
    vte::ansi::{Processor, Timeout},
};

pub struct Screen {
    /// Large; boxed, so that the futures of tests are not.
    term: Box<Term<VoidListener>>,
    parser: Processor<Immediate>,
}

/// Shows synchronised updates at once.
#[derive(Default)]
struct Immediate;

impl Timeout for Immediate {
    fn set_timeout(&mut self, _: Duration) {}

    fn clear_timeout(&mut self) {}

    fn pending_timeout(&self) -> bool {
        false
    }
}

struct Size {
    cols: usize,
    rows: usize,
}

impl Dimensions for Size {
    fn total_lines(&self) -> usize {
        self.rows
    }

    fn screen_lines(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.cols
    }
}

impl Screen {
    pub fn new(cols: usize, rows: usize) -> Self {
        let term = Term::new(Config::default(), &Size { cols, rows }, VoidListener);
        Self { term: Box::new(term), parser: Processor::new() }
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.parser.advance(&mut *self.term, bytes);
    }

    pub fn resize(&mut self, cols: usize, rows: usize) {
        self.term.resize(Size { cols, rows });
    }

    /// Every visible cell with its colours and attributes, and the cursor. Tabs are blanks, and where lines wrap is not told.
    pub fn grid(&self) -> Vec<String> {
        let grid = self.term.grid();
        let mut rows: Vec<String> = (0..grid.screen_lines())
            .map(|line| {
                let row = &grid[Line(line as i32)];
                let cell = |column| {
                    let cell = &row[Column(column)];
                    let letter = if cell.c == '\t' { ' ' } else { cell.c };
                    let flags = cell.flags - (Flags::WRAPLINE | Flags::LEADING_WIDE_CHAR_SPACER);
                    let plain = *cell == Default::default() || cell.c == '\t';
                    if plain { letter.to_string() } else { format!("{letter}<{:?}{:?}{flags:?}>", cell.fg, cell.bg) }
                };
                (0..grid.columns()).map(cell).collect::<String>().trim_end().to_owned()
            })
            .collect();
        rows.push(format!("cursor {:?} modes {:?}", grid.cursor.point, self.term.mode()));
        rows
    }

    pub fn text(&self) -> String {
        let grid = self.term.grid();
        let line =
            |line| (0..grid.columns()).map(|column| grid[Line(line as i32)][Column(column)].c).collect::<String>();
        (0..grid.screen_lines()).map(line).collect::<Vec<_>>().join("\n")
    }
}
