//! The person's own terminal: its size, and its keys as they are pressed.

use std::io::{IsTerminal, Write, stdin, stdout};

use midplane_model::limits::TERMINAL_CELLS;
use rustix::{
    process::{Signal, getpid, kill_process},
    termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr},
};

/// Ctrl-].
pub const DETACH_KEY_DEFAULT: u8 = 0x1d;

/// What programs may have set and the person did not. Each line leaves the cursor where it is: some of these would move it, to where
/// the shell then writes over what is there.
const RESTORE: &[u8] = concat!(
    // The other screen. Where it is not shown, the position that is restored is the one that was just saved.
    "\x1b7\x1b[?1049l",
    // Scroll region, origin mode.
    "\x1b7\x1b[r\x1b[?6l\x1b8",
    // Mouse, in all its encodings; focus; paste.
    "\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1005l\x1b[?1006l\x1b[?1015l\x1b[?1016l\x1b[?1004l\x1b[?2004l",
    // Keys of the cursor and the keypad; keyboards that tell more.
    "\x1b[?1l\x1b>\x1b[<16u\x1b[>4m",
    // Inserting, wrapping, synchronised drawing, reverse video; letters for lines.
    "\x1b[4l\x1b[?7h\x1b[?2026l\x1b[?5l\x1b(B\x0f",
    // Cursor and its shape, colours and attributes.
    "\x1b[?25h\x1b[0 q\x1b[m",
)
.as_bytes();

/// Keys come one by one and unchanged until this is dropped. Does nothing where there is no terminal.
pub struct RawMode(Option<Termios>);

/// Stops this program, as Ctrl-Z would have; returns when it goes on.
pub fn suspend() {
    // Cannot fail for one's own process; if it did, the program would just go on.
    _ = kill_process(getpid(), Signal::STOP);
}

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
        if stdout().is_terminal() {
            let mut out = stdout();
            // Nobody is left to tell of a failure.
            _ = out.write_all(RESTORE);
            _ = out.flush();
        }
        if let Some(before) = &self.0 {
            _ = tcsetattr(stdin(), OptionalActions::Drain, before);
        }
    }
}

/// Columns and rows that a terminal may have, where this is one and knows its size. What a larger window has beyond stays empty.
pub fn window() -> Option<(u16, u16)> {
    let size = tcgetwinsize(stdout()).ok()?;
    let (min, max) = TERMINAL_CELLS.into_inner();
    let known = stdout().is_terminal() && size.ws_col >= min && size.ws_row >= min;
    known.then_some((size.ws_col.min(max), size.ws_row.min(max)))
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
