//! Recording a terminal into a file: a reader of its own that skips nothing, and turns frames into lines.
//!
//! It is a lossless attachment with nobody behind it: a disk that is too slow holds the program back for as long as any such
//! reader may, and ends the recording then. What waits in memory is the ring of the terminal, and typed bytes up to
//! [`HEARD_BYTES_MAX`](super::input::HEARD_BYTES_MAX). It belongs to the host, so that no reload of a plugin disturbs it.

use std::{fs::File, io, io::Write, sync::Arc, time::Instant};

use midplane_model::{Frame, channel::op, limits::TERMINAL_RING_BYTES};
use serde::Serialize;

use super::{
    asciicast::{Event, Header, TextPieces},
    attachment::{AttachmentStart, AttachmentState, Next},
    error::TerminalError,
    lineage::Lineage,
    options::{Role, TerminalEvent},
    registry::Terminals,
    size::Size,
    state::State,
    terminal::Terminal,
    waiting::when,
};

/// Lines that are written at once.
const BATCH_BYTES: usize = 256 * 1024;
/// The largest line: the bytes of one frame, each six letters as JSON, and something around them.
const LINE_BYTES_MAX: u64 = 6 * 64 * 1024 + 1024;
/// A smaller recording might not hold one line beside the one that says that it is full.
const RECORDING_BYTES_MIN: u64 = 2 * LINE_BYTES_MAX;
/// In a SNAPSHOT, before the bytes.
const SNAPSHOT_HEAD_BYTES: usize = 8;

/// What to record, and how much.
#[derive(Debug, Clone)]
pub struct RecordOptions {
    /// Of the file, as its reader names it.
    pub path: String,
    /// What is typed, too; passwords among it.
    pub input: bool,
    /// Size of the file at which the recording ends.
    pub limit_bytes: u64,
}

/// A recording as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recording {
    pub path: Arc<str>,
    /// Of the file.
    pub bytes: u64,
    pub end: Option<RecordingEnd>,
}

/// Why a recording ended. In each case the file is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingEnd {
    /// Somebody asked for it.
    Stopped,
    /// The program exited.
    Exited,
    /// The terminal was closed.
    Closed,
    /// The file is as large as it may be.
    Limit,
    /// The disk was slower than the program for as long as it may be held back.
    Slow,
    /// The file could not be written.
    Failed,
}

impl RecordingEnd {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Exited => "exited",
            Self::Closed => "closed",
            Self::Limit => "limit",
            Self::Slow => "slow",
            Self::Failed => "failed",
        }
    }
}

/// What a terminal knows of its recording.
pub(super) struct RecordingState {
    pub(super) shown: Recording,
    stop: bool,
}

impl Terminals {
    /// Records a terminal from its present screen on into `file`, which is empty: until it is stopped, the terminal ends or the
    /// file is full, whatever plugins and clients do.
    ///
    /// # Errors
    /// `AlreadyRecorded`, `Exited`, `BadParameter` for a limit too small to hold anything, `ShuttingDown`.
    pub fn record(&self, id: &str, file: File, options: &RecordOptions) -> Result<Recording, TerminalError> {
        let terminal = self.may_record(id, options)?;
        let began = Instant::now();
        let (number, header, shown) = terminal.begin_recording(options)?;
        let tape = Tape {
            terminal: Arc::clone(&terminal),
            number,
            began,
            text: TextPieces::default(),
            typed: TextPieces::default(),
            left: options.limit_bytes - header.line().len() as u64,
            lines: header.line(),
            at: began,
        };
        if !self.spawn(tape.run(file)) {
            terminal.end_recording(number, RecordingEnd::Closed);
            return Err(TerminalError::ShuttingDown);
        }
        terminal.emit(TerminalEvent::RecordingBegan { id: Arc::clone(&terminal.id), path: Arc::clone(&shown.path) });
        Ok(shown)
    }

    /// Whether [`Terminals::record`] would be refused now: to be asked before the file is made.
    ///
    /// # Errors
    /// As [`Terminals::record`].
    pub fn check_recording(&self, id: &str, options: &RecordOptions) -> Result<(), TerminalError> {
        self.may_record(id, options).map(drop)
    }

    fn may_record(&self, id: &str, options: &RecordOptions) -> Result<Arc<Terminal>, TerminalError> {
        if options.limit_bytes < RECORDING_BYTES_MIN {
            let message =
                format!("a recording needs {RECORDING_BYTES_MIN} bytes at least, not {}", options.limit_bytes);
            return Err(TerminalError::BadParameter { path: "params.limit_bytes", message });
        }
        let terminal = self.find(id)?;
        terminal.lock().may_record(&terminal)?;
        Ok(terminal)
    }

    /// Ends a recording and returns when its file is complete; of one that has ended it says how.
    ///
    /// # Errors
    /// `NotRecorded`. Dropping the future does not undo the end.
    pub async fn stop_recording(&self, id: &str) -> Result<Recording, TerminalError> {
        let terminal = self.find(id)?;
        let asked = terminal.update(|state| state.recording.as_mut().map(|recording| recording.stop = true));
        asked.ok_or_else(|| TerminalError::NotRecorded { id: id.to_owned() })?;
        Ok(when(&terminal, |state| {
            let shown = &state.recording.as_ref()?.shown;
            shown.end.map(|_| shown.clone())
        })
        .await)
    }
}

impl State {
    fn may_record(&self, terminal: &Terminal) -> Result<(), TerminalError> {
        match &self.recording {
            _ if self.ending.is_some() => Err(terminal.exited()),
            Some(RecordingState { shown: Recording { path, end: None, .. }, .. }) => {
                Err(TerminalError::AlreadyRecorded { id: terminal.id.to_string(), path: path.to_string() })
            }
            _ => Ok(()),
        }
    }
}

impl Terminal {
    fn begin_recording(&self, options: &RecordOptions) -> Result<(u64, Header, Recording), TerminalError> {
        let name: Arc<str> = format!("r-{:016x}", getrandom::u64().map_err(|_| TerminalError::Identify)?).into();
        self.update(|state| {
            state.may_record(self)?;
            let size = state.output.model.size();
            let start = AttachmentStart {
                role: Role::View,
                lossless: true,
                max_unacked_bytes: Some(TERMINAL_RING_BYTES),
                scrollback_lines: Some(0),
                size: None,
                lineage: Lineage::new(name),
            };
            let mut attachment = AttachmentState::new(start, size);
            (attachment.records, attachment.visible) = (true, false);
            let number = state.attach(attachment);
            state.begin(number, None);
            state.input.listen(options.input);
            let title = Some(state.output.model.title()).filter(|title| !title.is_empty()).unwrap_or(&state.name);
            let timestamp = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok();
            let header = Header {
                size,
                timestamp: timestamp.map(|since| since.as_secs()),
                title: Some(title.to_owned()),
                idle_time_limit: None,
            };
            let shown = Recording { path: options.path.as_str().into(), bytes: 0, end: None };
            state.recording = Some(RecordingState { shown: shown.clone(), stop: false });
            Ok((number, header, shown))
        })
    }

    fn end_recording(&self, number: u64, end: RecordingEnd) {
        let ended = self.update(|state| {
            state.forget_recorder(number);
            state.input.listen(false);
            let recording = state.recording.as_mut()?;
            recording.shown.end = Some(end);
            Some(recording.shown.clone())
        });
        if let Some(recording) = ended {
            self.emit(TerminalEvent::RecordingEnded { id: Arc::clone(&self.id), recording });
        }
    }
}

/// From frames to lines.
struct Tape {
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
    async fn run(mut self, file: File) {
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
