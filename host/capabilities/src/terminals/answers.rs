//! What the host answers to the questions of programs: as the emulator that most clients run (xterm.js), and truly.

use std::fmt::Write;

use alacritty_terminal::{term::TermMode, vte::ansi::Rgb};

use super::{
    scan::{Color, Query},
    screen::ScreenModel,
};

/// Letters, background and cursor where the program has set none: a dark terminal, as that emulator has it.
const FOREGROUND: Rgb = Rgb { r: 0xff, g: 0xff, b: 0xff };
const BACKGROUND: Rgb = Rgb { r: 0, g: 0, b: 0 };

/// The first 16 colours of the palette, of the same emulator.
const PALETTE: [u32; 16] = [
    0x2e_3436, 0xcc_0000, 0x4e_9a06, 0xc4_a000, 0x34_65a4, 0x75_507b, 0x06_989a, 0xd3_d7cf, 0x55_5753, 0xef_2929,
    0x8a_e234, 0xfc_e94f, 0x72_9fcf, 0xad_7fa8, 0x34_e2e2, 0xee_eeec,
];

/// The answer as the program reads it; empty where there is none.
pub(super) fn answer(query: &Query, screen: &ScreenModel) -> Vec<u8> {
    let text = match query {
        // A VT100 with advanced video.
        Query::PrimaryAttributes => "\x1b[?1;2c".to_owned(),
        Query::SecondaryAttributes => "\x1b[>0;276;0c".to_owned(),
        Query::TertiaryAttributes => "\x1bP!|00000000\x1b\\".to_owned(),
        Query::Status => "\x1b[0n".to_owned(),
        Query::CursorPosition { private } => {
            let (row, column) = screen.reported_cursor();
            let mark = if *private { "?" } else { "" };
            format!("\x1b[{mark}{};{}R", row + 1, column + 1)
        }
        Query::PrivateStatus(number) => private_status(*number).to_owned(),
        Query::Mode { private, number } => {
            let mark = if *private { "?" } else { "" };
            format!("\x1b[{mark}{number};{}$y", mode(screen, *private, *number))
        }
        Query::Version => concat!("\x1bP>|Midplane(", env!("CARGO_PKG_VERSION"), ")\x1b\\").to_owned(),
        Query::Window(operation) => window(*operation, screen),
        Query::LineParameters(request) => format!("\x1b[{};1;1;128;128;1;0x", request + 2),
        // There are no images.
        Query::Graphics(item) => format!("\x1b[?{item};3;0S"),
        Query::Colors { asked, end } => return colors(asked, end, screen),
        Query::Setting(request) => setting(request, screen),
        Query::Capabilities(names) => capabilities(names),
        Query::Unanswered => String::new(),
    };
    text.into_bytes()
}

fn private_status(number: u16) -> &'static str {
    match number {
        // No printer, no locked keys, a keyboard as in North America, no locator.
        15 => "\x1b[?13n",
        25 => "\x1b[?20n",
        26 => "\x1b[?27;1;0;0n",
        53 | 55 => "\x1b[?53n",
        56 => "\x1b[?57;0n",
        // A dark colour scheme.
        996 => "\x1b[?997;1n",
        _ => "",
    }
}

/// 0 unknown, 1 set, 2 not set.
fn mode(screen: &ScreenModel, private: bool, number: u16) -> u8 {
    let flag = match (private, number) {
        (false, 4) => TermMode::INSERT,
        (false, 20) => TermMode::LINE_FEED_NEW_LINE,
        (true, 1) => TermMode::APP_CURSOR,
        (true, 6) => TermMode::ORIGIN,
        (true, 7) => TermMode::LINE_WRAP,
        (true, 25) => TermMode::SHOW_CURSOR,
        (true, 66) => TermMode::APP_KEYPAD,
        (true, 1000) => TermMode::MOUSE_REPORT_CLICK,
        (true, 1002) => TermMode::MOUSE_DRAG,
        (true, 1003) => TermMode::MOUSE_MOTION,
        (true, 1004) => TermMode::FOCUS_IN_OUT,
        (true, 1005) => TermMode::UTF8_MOUSE,
        (true, 1006) => TermMode::SGR_MOUSE,
        (true, 1007) => TermMode::ALTERNATE_SCROLL,
        (true, 47 | 1047 | 1049) => TermMode::ALT_SCREEN,
        (true, 2004) => TermMode::BRACKETED_PASTE,
        // Updates are synchronised by clients, which end them by themselves.
        (true, 2026) => return 2,
        (true, noted) => return screen.noted_mode(noted).map_or(0, |set| if set { 1 } else { 2 }),
        _ => return 0,
    };
    if screen.mode(flag) { 1 } else { 2 }
}

fn window(operation: u16, screen: &ScreenModel) -> String {
    let size = screen.size();
    match operation {
        // Not iconified.
        11 => "\x1b[1t".to_owned(),
        18 => format!("\x1b[8;{};{}t", size.rows, size.cols),
        19 => format!("\x1b[9;{};{}t", size.rows, size.cols),
        // Pixels and places are the clients', each its own; a title could type commands.
        _ => String::new(),
    }
}

fn colors(asked: &[Color], end: &[u8], screen: &ScreenModel) -> Vec<u8> {
    let mut bytes = Vec::new();
    for color in asked {
        let (name, Rgb { r, g, b }) = match *color {
            Color::Palette(index) => {
                (format!("4;{index}"), screen.color(index.into()).unwrap_or_else(|| palette(index)))
            }
            Color::Dynamic(number) => {
                let (index, default) = match number {
                    11 => (257, BACKGROUND),
                    12 => (258, FOREGROUND),
                    _ => (256, FOREGROUND),
                };
                (number.to_string(), screen.color(index).unwrap_or(default))
            }
        };
        bytes.extend(format!("\x1b]{name};rgb:{r:02x}{r:02x}/{g:02x}{g:02x}/{b:02x}{b:02x}").bytes());
        bytes.extend(end);
    }
    bytes
}

/// The palette of 256 colours: 16 by name, a cube of 6 shades each, 24 greys.
fn palette(index: u8) -> Rgb {
    match index {
        0..16 => {
            let [_, r, g, b] = PALETTE[usize::from(index)].to_be_bytes();
            Rgb { r, g, b }
        }
        16..232 => {
            let shade = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
            let index = index - 16;
            Rgb { r: shade(index / 36), g: shade(index / 6 % 6), b: shade(index % 6) }
        }
        232.. => {
            let grey = 8 + 10 * (index - 232);
            Rgb { r: grey, g: grey, b: grey }
        }
    }
}

fn setting(request: &[u8], screen: &ScreenModel) -> String {
    let value = match request {
        b"m" => format!("{}m", screen.attributes()),
        b"r" => {
            let (top, bottom) = screen.region();
            format!("{};{bottom}r", top + 1)
        }
        b" q" => format!("{} q", screen.cursor_style()),
        // Level 1, as the attributes say.
        b"\"p" => "61;1\"p".to_owned(),
        _ => return "\x1bP0$r\x1b\\".to_owned(),
    };
    format!("\x1bP1$r{value}\x1b\\")
}

fn capabilities(names: &[u8]) -> String {
    let mut answers = String::new();
    for name in
        String::from_utf8_lossy(names).split(';').filter(|name| name.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        let value = match name.to_ascii_lowercase().as_str() {
            // TN, name
            "544e" | "6e616d65" => "xterm-256color",
            // Co, colors
            "436f" | "636f6c6f7273" => "256",
            // RGB
            "524742" => "8/8/8",
            _ => {
                _ = write!(answers, "\x1bP0+r{name}\x1b\\");
                continue;
            }
        };
        _ = write!(answers, "\x1bP1+r{name}=");
        for byte in value.bytes() {
            _ = write!(answers, "{byte:02x}");
        }
        answers.push_str("\x1b\\");
    }
    answers
}
