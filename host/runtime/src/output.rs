//! Standard output and error of a guest: lines in the plugin's log.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use midplane_model::limits::PLUGIN_LOG_LINE_BYTES_MAX;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::{log_line::LogLine, slot::Slot};

#[derive(Clone)]
pub struct Output {
    pub slot: Arc<Slot>,
    pub level: &'static str,
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Lines { output: self.clone(), line: Vec::new() })
    }
}

/// A line ends with a newline, when it is as long as a log line may be, or with the guest.
struct Lines {
    output: Output,
    line: Vec<u8>,
}

impl Lines {
    fn end(&mut self, bytes: usize) {
        let rest = self.line.split_off(bytes);
        let line = std::mem::replace(&mut self.line, rest);
        if !line.is_empty() {
            let slot = &self.output.slot;
            slot.guest_line(LogLine::new(self.output.level, &String::from_utf8_lossy(&line), Vec::new()));
        }
    }
}

/// Where to break a line that is too long: not inside a character.
fn break_at(line: &[u8]) -> usize {
    match std::str::from_utf8(line) {
        // The last character is not complete yet.
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => error.valid_up_to(),
        _ => line.len(),
    }
}

impl AsyncWrite for Lines {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        for byte in bytes {
            if *byte == b'\n' {
                let whole = self.line.len();
                self.end(whole);
                continue;
            }
            if self.line.len() >= PLUGIN_LOG_LINE_BYTES_MAX {
                let part = break_at(&self.line);
                self.end(part);
            }
            self.line.push(*byte);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let whole = self.line.len();
        self.end(whole);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let whole = self.line.len();
        self.end(whole);
    }
}
