//! The channel of an attachment: frames to the client at the connection's pace, frames from it at once.

use std::sync::Arc;

use midplane_model::{BoxFuture, Channel, ChannelKind, ErrorCode, Fault, Frame, FrameSink, FrameSource};
use tokio::sync::watch;

use super::{attachment::Next, frames::ClientFrame, size::Size, terminal::Terminal};

/// Opens the channel of `attachment`, which ends when its source is dropped.
pub(super) fn open(terminal: Arc<Terminal>, attachment: u64) -> Channel {
    let changes = terminal.changes();
    let sink = Arc::new(Sink { terminal: Arc::clone(&terminal), attachment });
    Channel { kind: ChannelKind::Terminal, source: Box::new(Source { terminal, attachment, changes }), sink }
}

struct Source {
    terminal: Arc<Terminal>,
    attachment: u64,
    changes: watch::Receiver<()>,
}

impl Source {
    async fn next_frame(&mut self) -> Option<Frame> {
        loop {
            // Before looking, so that a change right after the look ends the wait.
            self.changes.borrow_and_update();
            let next = self.terminal.next_frame(self.attachment);
            // Both waits may be dropped: the state changes only where a frame is returned.
            match next {
                Next::Frame(frame) => return Some(frame),
                Next::End => return None,
                Next::Wait => self.changed().await,
                Next::WaitUntil(at) => {
                    let _ = tokio::time::timeout_at(at.into(), self.changed()).await;
                }
            }
        }
    }

    async fn changed(&mut self) {
        // Cannot fail: the terminal, which we hold, owns the sender.
        let _ = self.changes.changed().await;
    }
}

impl FrameSource for Source {
    fn next(&mut self) -> BoxFuture<'_, Option<Frame>> {
        Box::pin(self.next_frame())
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // The pump may have been held back for this one, and the size have been its.
        if let Err(error) = self.terminal.rearrange(|state| state.detach(self.attachment)) {
            tracing::warn!(terminal = %self.terminal.id, error = &error as &dyn std::error::Error, "detaching");
        }
    }
}

struct Sink {
    terminal: Arc<Terminal>,
    attachment: u64,
}

impl Sink {
    fn resize(&self, cols: u16, rows: u16, visible: bool) {
        let resized = Size::new(cols, rows).and_then(|size| {
            self.terminal.rearrange(|state| {
                if let Some((attachment, _)) = state.attachment(self.attachment) {
                    (attachment.window_size, attachment.visible) = (Some(size), visible);
                }
            })
        });
        if let Err(error) = resized {
            let fault = Fault::from(error);
            self.refuse(fault.code, &fault.message);
        }
    }

    fn refuse(&self, code: ErrorCode, message: &str) {
        self.terminal.update(|state| {
            if let Some((attachment, _)) = state.attachment(self.attachment) {
                attachment.refuse(code, message);
            }
        });
    }
}

impl FrameSink for Sink {
    /// Takes what the contract lets a client send. What its role forbids is answered with META, not with an error.
    fn receive(&self, frame: Frame) -> Result<(), Fault> {
        match ClientFrame::parse(frame)? {
            ClientFrame::Resize { cols, rows, visible } => self.resize(cols, rows, visible),
            ClientFrame::Ack { offset } => self.terminal.update(|state| {
                if let Some((attachment, _)) = state.attachment(self.attachment) {
                    attachment.acknowledge(offset);
                }
            }),
            ClientFrame::Input { offset, bytes } => self.terminal.update(|state| {
                let running = state.pty.is_some();
                match state.attachment(self.attachment) {
                    Some((attachment, queue)) if running => attachment.input(offset, &bytes, queue),
                    Some((attachment, _)) => {
                        let refusal = Fault::from(self.terminal.takes_nothing());
                        attachment.refuse(refusal.code, &refusal.message);
                    }
                    None => {}
                }
            }),
        }
        Ok(())
    }
}
