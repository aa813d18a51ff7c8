//! Colours and attributes of cells as the sequences that set them.

use std::fmt::Write;

use alacritty_terminal::{
    term::cell::{Cell, Flags, Hyperlink},
    vte::ansi::{Color, NamedColor},
};

/// Which flag is which parameter of SGR.
const ATTRIBUTES: [(Flags, &str); 11] = [
    (Flags::BOLD, ";1"),
    (Flags::DIM, ";2"),
    (Flags::ITALIC, ";3"),
    (Flags::UNDERLINE, ";4"),
    (Flags::DOUBLE_UNDERLINE, ";4:2"),
    (Flags::UNDERCURL, ";4:3"),
    (Flags::DOTTED_UNDERLINE, ";4:4"),
    (Flags::DASHED_UNDERLINE, ";4:5"),
    (Flags::INVERSE, ";7"),
    (Flags::HIDDEN, ";8"),
    (Flags::STRIKEOUT, ";9"),
];

/// The flags that SGR sets.
pub(super) const DRAWN: Flags = Flags::BOLD
    .union(Flags::DIM)
    .union(Flags::ITALIC)
    .union(Flags::ALL_UNDERLINES)
    .union(Flags::INVERSE)
    .union(Flags::HIDDEN)
    .union(Flags::STRIKEOUT);

/// What is set at the moment in the emulator that gets the bytes.
#[derive(Default)]
pub(super) struct Pen {
    set: Cell,
}

impl Pen {
    /// Sets colours, attributes and link of `cell` where they differ from what is set.
    pub(super) fn take(&mut self, cell: &Cell, bytes: &mut Vec<u8>) {
        let same = self.set.fg == cell.fg && self.set.bg == cell.bg && self.set.flags == cell.flags & DRAWN;
        if same && self.set.extra.is_none() && cell.extra.is_none() {
            return;
        }
        if !same || self.set.underline_color() != cell.underline_color() {
            bytes.extend_from_slice(b"\x1b[");
            bytes.extend_from_slice(attributes(cell).as_bytes());
            bytes.push(b'm');
        }
        let new = cell.hyperlink();
        if self.set.hyperlink() != new {
            link(new.as_ref(), bytes);
        }
        (self.set.fg, self.set.bg, self.set.flags) = (cell.fg, cell.bg, cell.flags & DRAWN);
        self.set.set_underline_color(cell.underline_color());
        self.set.set_hyperlink(new);
    }

    /// Sets everything back.
    pub(super) fn reset(&mut self, bytes: &mut Vec<u8>) {
        self.take(&Cell::default(), bytes);
    }
}

/// The parameters of SGR that set what `cell` has, whatever was set before.
pub(super) fn attributes(cell: &Cell) -> String {
    let mut sgr = String::from("0");
    for (flag, parameter) in ATTRIBUTES {
        if cell.flags.contains(flag) {
            sgr.push_str(parameter);
        }
    }
    color(cell.fg, 30, &mut sgr);
    color(cell.bg, 40, &mut sgr);
    if let Some(underline) = cell.underline_color() {
        // There are no short forms of it.
        color(indexed(underline), 50, &mut sgr);
    }
    sgr
}

/// `base` is 30 for letters, 40 for what is behind them, 50 for lines below them.
fn color(color: Color, base: u16, sgr: &mut String) {
    // Writing to a string cannot fail.
    _ = match color {
        Color::Named(name) => match name as u16 {
            number @ 0..8 => write!(sgr, ";{}", base + number),
            number @ 8..16 => write!(sgr, ";{}", base + 60 + number - 8),
            _ => Ok(()),
        },
        Color::Indexed(index) => write!(sgr, ";{};5;{index}", base + 8),
        Color::Spec(rgb) => write!(sgr, ";{};2;{};{};{}", base + 8, rgb.r, rgb.g, rgb.b),
    };
}

fn indexed(color: Color) -> Color {
    match color {
        Color::Named(name) if (name as usize) < 16 => Color::Indexed(name as u8),
        color => color,
    }
}

fn link(link: Option<&Hyperlink>, bytes: &mut Vec<u8>) {
    let (id, uri) = link.map_or(("", ""), |link| (link.id(), link.uri()));
    let id = if id.is_empty() { String::new() } else { format!("id={id}") };
    bytes.extend_from_slice(format!("\x1b]8;{id};{uri}\x1b\\").as_bytes());
}

/// Whether nothing is to be seen in a cell but its background.
pub(super) fn is_erased(cell: &Cell) -> bool {
    matches!(cell.c, ' ' | '\t')
        && cell.flags.is_empty()
        && matches!(cell.fg, Color::Named(NamedColor::Foreground))
        && cell.extra.is_none()
}
