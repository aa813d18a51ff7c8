//! The questions that programs ask their terminal, recognised. These, and nothing else, are taken out of the output:
//!
//! | sequence                                                         | asks for                                      |
//! |------------------------------------------------------------------|-----------------------------------------------|
//! | `CSI c`, `CSI 0 c`, `ESC Z` · `CSI > c` · `CSI = c`              | DA1, DECID · DA2 · DA3                        |
//! | `CSI 5 n` · `CSI 6 n` · `CSI ? Ps n`                             | DSR: health · cursor · cursor, printer, …     |
//! | `CSI Ps $ p`, `CSI ? Ps $ p`                                     | DECRQM: a mode                                |
//! | `CSI > q`, `CSI > 0 q`                                           | XTVERSION                                     |
//! | `CSI Ps t` with Ps 11, 13 to 16, 18 to 21                        | window: state, place, size, title             |
//! | `CSI x`, `CSI 0 x`, `CSI 1 x`                                    | DECREQTPARM                                   |
//! | `CSI ? Pi ; Pa ; Pv S`                                           | XTSMGRAPHICS                                  |
//! | `CSI ? u` · `CSI ? Ps m`                                         | keyboard flags · XTQMODKEYS                   |
//! | `CSI … $ w` · `CSI … $ u` · `CSI … & u` · `CSI … * y`            | DECRQPSR · DECRQTSR · DECRQUPSS · DECRQCRA    |
//! | `OSC 4 ; n ; ? …` · `OSC 10 ; ? …` to `OSC 19 ; ?`, only `?`     | colours                                       |
//! | `OSC 52 ; … ; ?`                                                 | the clipboard                                 |
//! | `DCS $ q … ST` · `DCS + q … ST`                                  | DECRQSS · XTGETTCAP                           |
//! | `APC G … a=q … ST`                                               | kitty: can you show images?                   |
//!
//! The introducers also as characters of two bytes (`C2 9B` for `CSI`). A string that is not at its end after
//! [`HELD_BYTES_MAX`](super::HELD_BYTES_MAX) bytes is no question. ENQ (05) passes: emulators have no answer to it.

/// A question, to which the host gives the only answer, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Query {
    /// DA1, `CSI c`: what kind of terminal are you?
    PrimaryAttributes,
    /// DA2, `CSI > c`: which version?
    SecondaryAttributes,
    /// DA3, `CSI = c`: which unit?
    TertiaryAttributes,
    /// DSR 5: are you well?
    Status,
    /// DSR 6; `private` is the `?` of `CSI ? 6 n`: where is the cursor?
    CursorPosition { private: bool },
    /// Other `CSI ? Ps n`: printer, keyboard, colour scheme.
    PrivateStatus(u16),
    /// DECRQM: is this mode set?
    Mode { private: bool, number: u16 },
    /// XTVERSION, `CSI > q`: who are you?
    Version,
    /// `CSI Ps t` that reports.
    Window(u16),
    /// DECREQTPARM: how fast is the line?
    LineParameters(u16),
    /// XTSMGRAPHICS: how large may images be?
    Graphics(u16),
    /// OSC 4: colours of the palette. OSC 10 to 19: of letters, background and so on, by the number of the OSC.
    Colors { asked: Vec<Color>, end: Vec<u8> },
    /// DECRQSS, `DCS $ q`: what is set?
    Setting(Vec<u8>),
    /// XTGETTCAP, `DCS + q`: capabilities, by names in hexadecimal digits.
    Capabilities(Vec<u8>),
    /// What no client should answer and the host does not either: clipboards, titles, checksums, keyboard protocols.
    Unanswered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Color {
    Palette(u8),
    Dynamic(u16),
}

impl Query {
    /// `sequence` is an escape sequence without its ESC.
    pub(super) fn of_sequence(sequence: &[u8]) -> Option<Self> {
        let (&last, rest) = sequence.split_last()?;
        if rest.is_empty() {
            return (last == b'Z').then_some(Self::PrimaryAttributes);
        }
        let body = rest.strip_prefix(b"[")?;
        let middle = body.iter().position(|byte| !(0x30..=0x3f).contains(byte)).unwrap_or(body.len());
        let (parameters, intermediates) = body.split_at(middle);
        let (prefix, parameters) = match parameters.first() {
            Some(&first @ b'<'..=b'?') => (Some(first), &parameters[1..]),
            _ => (None, parameters),
        };
        let text = std::str::from_utf8(parameters).ok()?;
        let mut numbers = text.split([';', ':']).map(|number| number.parse::<u16>().unwrap_or(0));
        let (first, alone) = (numbers.next().unwrap_or(0), numbers.next().is_none());
        Some(match (prefix, intermediates, last) {
            (None, b"", b'c') if first == 0 => Self::PrimaryAttributes,
            (Some(b'>'), b"", b'c') if first == 0 => Self::SecondaryAttributes,
            (Some(b'='), b"", b'c') if first == 0 => Self::TertiaryAttributes,
            (None, b"", b'n') if first == 5 => Self::Status,
            (None, b"", b'n') if first == 6 && alone => Self::CursorPosition { private: false },
            (Some(b'?'), b"", b'n') if first == 6 => Self::CursorPosition { private: true },
            (Some(b'?'), b"", b'n') => Self::PrivateStatus(first),
            (None, b"$", b'p') => Self::Mode { private: false, number: first },
            (Some(b'?'), b"$", b'p') => Self::Mode { private: true, number: first },
            (Some(b'>'), b"", b'q') if first == 0 => Self::Version,
            (None, b"", b't') if matches!(first, 11 | 13..=16 | 18..=21) => Self::Window(first),
            (None, b"", b'x') if first < 2 => Self::LineParameters(first),
            (Some(b'?'), b"", b'S') => Self::Graphics(first),
            (Some(b'?'), b"", b'u' | b'm') | (None, b"$", b'w' | b'u') | (None, b"*", b'y') | (None, b"&", b'u') => {
                Self::Unanswered
            }
            _ => return None,
        })
    }

    /// `string` is a string sequence without its end, which is `end`.
    pub(super) fn of_string(string: &[u8], end: &[u8]) -> Option<Self> {
        if let Some(request) = string.strip_prefix(b"\x1bP$q") {
            return Some(Self::Setting(request.to_owned()));
        }
        if let Some(names) = string.strip_prefix(b"\x1bP+q") {
            return Some(Self::Capabilities(names.to_owned()));
        }
        if let Some(graphics) = string.strip_prefix(KITTY) {
            return asks_for_images(graphics).then_some(Self::Unanswered);
        }
        let osc = std::str::from_utf8(string.strip_prefix(b"\x1b]")?).ok()?;
        let (number, rest) = osc.split_once(';')?;
        let number: u16 = number.parse().ok()?;
        let parts: Vec<&str> = rest.split(';').collect();
        let asked: Option<Vec<Color>> = match number {
            4 => parts.chunks(2).map(palette_color).collect(),
            10..=19 => {
                (number..).zip(&parts).map(|(number, part)| (*part == "?").then_some(Color::Dynamic(number))).collect()
            }
            52 if parts.last() == Some(&"?") => return Some(Self::Unanswered),
            _ => None,
        };
        Some(Self::Colors { asked: asked?, end: end.to_owned() })
    }
}

/// With which the commands of kitty's graphics protocol begin.
const KITTY: &[u8] = b"\x1b_G";

/// Keys and values before the first semicolon, with `a=q` among them.
fn asks_for_images(graphics: &[u8]) -> bool {
    graphics
        .split(|byte| *byte == b';')
        .next()
        .is_some_and(|keys| keys.split(|byte| *byte == b',').any(|key| key == b"a=q"))
}

fn palette_color(pair: &[&str]) -> Option<Color> {
    match pair {
        [index, "?"] => index.parse().ok().map(Color::Palette),
        _ => None,
    }
}

/// Whether the beginning of a string sequence may still become a question.
pub(super) fn may_be_query(string: &[u8]) -> bool {
    let starts = |of: &[u8]| of.starts_with(string) || string.starts_with(of);
    match string[1] {
        b'P' => starts(b"\x1bP$q") || starts(b"\x1bP+q"),
        // Until its keys are complete it may ask.
        b'_' => starts(KITTY) && (!string.contains(&b';') || asks_for_images(&string[KITTY.len()..])),
        b']' => {
            let osc = &string[2..];
            let digits = osc.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (number, rest) = osc.split_at(digits);
            let may_be = |byte: &u8| matches!(byte, b'?' | b';' | b'0'..=b'9');
            match number {
                // Nothing but the beginning of a number of two digits.
                b"" | b"1" | b"5" => rest.is_empty(),
                b"4" => rest.iter().all(may_be),
                [b'1', b'0'..=b'9'] => rest.iter().all(|byte| matches!(byte, b'?' | b';')),
                b"52" => rest.iter().all(|byte| may_be(byte) || matches!(byte, b'c' | b'p' | b'q' | b's')),
                _ => false,
            }
        }
        _ => false,
    }
}
