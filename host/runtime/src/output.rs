//! Standard output and error of a guest: lines in the plugin's log.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::slot::Slot;

/// Longest line before it is broken.
const LINE_BYTES_MAX: usize = 8192;

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

struct Lines {
    output: Output,
    line: Vec<u8>,
}

impl Lines {
    fn flush_line(&mut self) {
        if !self.line.is_empty() {
            self.output.slot.log(self.output.level, &String::from_utf8_lossy(&self.line));
            self.line.clear();
        }
    }
}

impl AsyncWrite for Lines {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        for byte in bytes {
            if *byte == b'\n' || self.line.len() >= LINE_BYTES_MAX {
                self.flush_line();
            }
            if *byte != b'\n' {
                self.line.push(*byte);
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flush_line();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.flush_line();
    }
}
