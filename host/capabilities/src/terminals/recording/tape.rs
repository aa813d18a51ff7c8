//! From the frames of an attachment to lines of a file.

use std::{fs::File, io, io::Write, sync::Arc, time::Instant};

use midplane_model::{Frame, channel::op};

use super::{
    super::{
        asciicast::{Event, Header, TextPieces},
        attachment::Next,
        size::Size,
        terminal::Terminal,
    },
    RECORDING_BYTES_MIN, RecordingEnd,
};

/// Lines that are written at once.
const BATCH_BYTES: usize = 256 * 1024;
/// In a SNAPSHOT, before the bytes.
const SNAPSHOT_HEAD_BYTES: usize = 8;

/// A recording on its way into its file.
pub(super) struct Tape {
    terminal: Arc<Terminal>,
    /// Of the attachment.
    number: u64,
    began: Instant,
    text: TextPieces,
    typed: TextPieces,
    /// Not yet written.
    lines: Vec<u8>,
    /// Bytes that the file may still have, those in `lines` included.
    left: u64,
    /// Of the last line: lines are in the order of their times.
    at: Instant,
}

/// What to do once the lines are written.
enum Then {
    Wait(Option<Instant>),
    GoOn,
    End(RecordingEnd),
}

impl Tape {
    pub(super) fn new(terminal: Arc<Terminal>, number: u64, began: Instant, header: &Header, limit_bytes: u64) -> Self {
        let lines = header.line();
        Self {
            terminal,
            number,
            began,
            text: TextPieces::default(),
            typed: TextPieces::default(),
            left: limit_bytes - lines.len() as u64,
            lines,
            at: began,
        }
    }

    /// Until the recording ends; its terminal is told how.
    pub(super) async fn run(mut self, file: File) {
        let file = Arc::new(file);
        let mut changes = self.terminal.changes();
        let end = loop {
            changes.borrow_and_update();
            let then = self.gather();
            if let Err(error) = self.write(&file).await {
                tracing::warn!(terminal = %self.terminal.id, error = &error as &dyn std::error::Error, "recording");
                break RecordingEnd::Failed;
            }
            match then {
                Then::End(end) => break end,
                Then::GoOn => {}
                // Cannot fail: the terminal owns the sender.
                Then::Wait(None) => _ = changes.changed().await,
                Then::Wait(Some(at)) => _ = tokio::time::timeout_at(at.into(), changes.changed()).await,
            }
        };
        self.terminal.end_recording(self.number, end);
    }

    /// Takes what there is, as much as is written at once.
    fn gather(&mut self) -> Then {
        while self.lines.len() < BATCH_BYTES {
            self.hear();
            if self.left < RECORDING_BYTES_MIN {
                self.add(&Event::Marker("midplane: the recording is as large as it may be and ends here".into()));
                return Then::End(RecordingEnd::Limit);
            }
            let wait = match self.terminal.next_frame(self.number) {
                Next::Frame(frame) => match self.take(frame) {
                    Some(end) => return Then::End(self.finish(end)),
                    None => continue,
                },
                Next::End => return Then::End(self.finish(RecordingEnd::Closed)),
                Next::Wait => None,
                Next::WaitUntil(at) => Some(at),
            };
            let (stopped, closed) = {
                let state = self.terminal.lock();
                (state.recording.as_ref().is_some_and(|recording| recording.stop), state.closed)
            };
            return match (stopped, closed) {
                (true, _) => Then::End(self.finish(RecordingEnd::Stopped)),
                (_, true) => Then::End(self.finish(RecordingEnd::Closed)),
                _ => Then::Wait(wait),
            };
        }
        // A program that never pauses must not outrun who wants to stop it.
        let stopped = self.terminal.lock().recording.as_ref().is_some_and(|recording| recording.stop);
        if stopped { Then::End(self.finish(RecordingEnd::Stopped)) } else { Then::GoOn }
    }

    /// A frame as a line; how the recording ends, if with this one.
    fn take(&mut self, frame: Frame) -> Option<RecordingEnd> {
        let Frame { op, offset, payload, .. } = frame;
        match op {
            op::OUTPUT => {
                let text = self.text.push(&payload);
                self.add_text(Event::Output, text);
                let seen = offset + payload.len() as u64;
                // The file takes it with the next write, before anything else is asked for.
                if let Some((attachment, _)) = self.terminal.lock().attachment(self.number) {
                    attachment.acknowledge(seen);
                }
            }
            op::SNAPSHOT => {
                let text = self.text.push(&payload[SNAPSHOT_HEAD_BYTES.min(payload.len())..]);
                self.add_text(Event::Output, text);
            }
            op::META => {
                let size = serde_json::from_slice::<serde_json::Value>(&payload).ok().and_then(|facts| {
                    let cells = |name: &str| u16::try_from(facts["size"][name].as_u64()?).ok();
                    Size::new(cells("cols")?, cells("rows")?).ok()
                });
                if let Some(size) = size {
                    self.add(&Event::Resize(size));
                }
            }
            op::GAP => return Some(RecordingEnd::Slow),
            op::EXIT if self.terminal.lock().closing => return Some(RecordingEnd::Closed),
            op::EXIT => return Some(RecordingEnd::Exited),
            _ => {}
        }
        None
    }

    /// What was typed meanwhile.
    fn hear(&mut self) {
        let (typed, lost) = self.terminal.lock().input.take_heard();
        if !typed.is_empty() {
            let text = self.typed.push(&typed);
            self.add_text(Event::Input, text);
        }
        if lost > 0 {
            self.add(&Event::Marker(format!("midplane: {lost} typed bytes are missing here")));
        }
    }

    fn finish(&mut self, end: RecordingEnd) -> RecordingEnd {
        let (text, typed) = (self.text.finish(), self.typed.finish());
        self.add_text(Event::Output, text);
        self.add_text(Event::Input, typed);
        end
    }

    fn add_text(&mut self, event: fn(String) -> Event, text: String) {
        if !text.is_empty() {
            self.add(&event(text));
        }
    }

    fn add(&mut self, event: &Event) {
        self.at = self.at.max(Instant::now());
        let line = event.line(self.at - self.began);
        self.left = self.left.saturating_sub(line.len() as u64);
        self.lines.extend(line);
    }

    /// Writes whole lines, or none of those that do not all fit.
    async fn write(&mut self, file: &Arc<File>) -> io::Result<()> {
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() {
            return Ok(());
        }
        let (file, count) = (Arc::clone(file), lines.len() as u64);
        let written = tokio::task::spawn_blocking(move || append(&file, &lines)).await;
        written.map_err(io::Error::other)??;
        if let Some(recording) = &mut self.terminal.lock().recording {
            recording.shown.bytes += count;
        }
        Ok(())
    }
}

fn append(mut file: &File, lines: &[u8]) -> io::Result<()> {
    let before = file.metadata()?.len();
    file.write_all(lines).inspect_err(|_| {
        // Half a line is worse than none; readers skip one that stays.
        _ = file.set_len(before);
    })
}
