//! The person's own terminal: its size, and its keys as they are pressed.

use std::io::{IsTerminal, Write, stdin, stdout};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Ctrl-].
pub const DETACH_KEY_DEFAULT: u8 = 0x1d;

/// What programs may have set and the person did not: screen, mouse, paste, cursor, colours, keypad.
const RESTORE: &[u8] =
    b"\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>\x1b[r\x1b[?25h\x1b[m";

/// Keys come one by one and unchanged until this is dropped. Does nothing where there is no terminal.
pub struct RawMode(Option<Termios>);

impl RawMode {
    pub fn begin() -> Self {
        let before = tcgetattr(stdin()).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            // If it fails, keys come line by line, which is better than none.
            _ = tcsetattr(stdin(), OptionalActions::Now, &raw);
        }
        Self(before)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let mut out = stdout();
            // Nobody is left to tell of a failure.
            _ = out.write_all(RESTORE);
            _ = out.flush();
            _ = tcsetattr(stdin(), OptionalActions::Drain, before);
        }
    }
}

/// Columns and rows, where there is a terminal.
pub fn window() -> Option<(u16, u16)> {
    let size = tcgetwinsize(stdout()).ok()?;
    (stdout().is_terminal() && size.ws_col > 1 && size.ws_row > 1).then_some((size.ws_col, size.ws_row))
}

/// `ctrl-]`, `ctrl-a`.
pub fn parse_key(text: &str) -> Result<u8, String> {
    match text.strip_prefix("ctrl-").map(str::as_bytes) {
        Some([key @ (b'a'..=b'z' | b'[' | b'\\' | b']' | b'^' | b'_')]) => Ok(key.to_ascii_uppercase() & 0x1f),
        _ => Err(format!("{text:?} is no key; write ctrl-a to ctrl-z, or one of ctrl-[ ctrl-\\ ctrl-] ctrl-^ ctrl-_")),
    }
}

/// As [`parse_key`] reads it.
pub fn key_name(key: u8) -> String {
    format!("ctrl-{}", char::from(key | 0x40).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_names() {
        assert_eq!(parse_key("ctrl-]"), Ok(DETACH_KEY_DEFAULT));
        assert_eq!(parse_key("ctrl-a"), Ok(1));
        assert_eq!((key_name(0x1d), key_name(1)), ("ctrl-]".to_owned(), "ctrl-a".to_owned()));
        assert!(parse_key("q").is_err() && parse_key("ctrl-1").is_err());
    }
}
