//! Recording a terminal into a file: a reader of its own that skips nothing, and turns frames into lines.
//!
//! It is a lossless attachment with nobody behind it: a disk that is too slow holds the program back for as long as any such
//! reader may, and ends the recording then. What waits in memory is the ring of the terminal, and typed bytes up to
//! [`HEARD_BYTES_MAX`](super::input::HEARD_BYTES_MAX). It belongs to the host, so that no reload of a plugin disturbs it.

mod tape;

use std::{fs::File, sync::Arc, time::Instant};

use midplane_model::limits::TERMINAL_RING_BYTES;
use serde::Serialize;

use super::{
    asciicast::Header,
    attachment::{AttachmentStart, AttachmentState},
    error::TerminalError,
    lineage::Lineage,
    options::{Role, TerminalEvent},
    registry::Terminals,
    state::State,
    terminal::Terminal,
    waiting::when,
};
use tape::Tape;

/// The largest line: the bytes of one frame, each six letters as JSON, and something around them.
const LINE_BYTES_MAX: u64 = 6 * 64 * 1024 + 1024;
/// A smaller recording might not hold one line beside the one that says that it is full.
const RECORDING_BYTES_MIN: u64 = 2 * LINE_BYTES_MAX;

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
    /// `AlreadyRecorded`, `BadParameter` for a limit too small to hold anything, `ShuttingDown`.
    pub fn record(&self, id: &str, file: File, options: &RecordOptions) -> Result<Recording, TerminalError> {
        let terminal = self.recordable(id, options)?;
        let began = Instant::now();
        let (number, header, shown) = terminal.begin_recording(options)?;
        let tape = Tape::new(Arc::clone(&terminal), number, began, &header, options.limit_bytes);
        if !self.spawn(tape.run(file)) {
            terminal.end_recording(number, RecordingEnd::Closed);
            return Err(TerminalError::ShuttingDown);
        }
        terminal.emit(TerminalEvent::RecordingBegan { id: Arc::clone(&terminal.id), path: Arc::clone(&shown.path) });
        Ok(shown)
    }

    /// Whether a recording should begin now: to be asked before the file is made.
    ///
    /// # Errors
    /// As [`Terminals::record`], and `Exited`: what does not run any more is exported.
    pub fn check_recording(&self, id: &str, options: &RecordOptions) -> Result<(), TerminalError> {
        let terminal = self.recordable(id, options)?;
        terminal.lock().may_record(&terminal)
    }

    fn recordable(&self, id: &str, options: &RecordOptions) -> Result<Arc<Terminal>, TerminalError> {
        if options.limit_bytes < RECORDING_BYTES_MIN {
            let message =
                format!("a recording needs {RECORDING_BYTES_MIN} bytes at least, not {}", options.limit_bytes);
            return Err(TerminalError::BadParameter { path: "params.limit_bytes", message });
        }
        self.find(id)
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

impl RecordingState {
    pub(super) fn goes_on(&self) -> bool {
        self.shown.end.is_none()
    }
}

impl State {
    fn may_record(&self, terminal: &Terminal) -> Result<(), TerminalError> {
        if self.ending.is_some() { Err(terminal.exited()) } else { self.is_not_recorded(terminal) }
    }

    fn is_not_recorded(&self, terminal: &Terminal) -> Result<(), TerminalError> {
        match &self.recording {
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
            // One that has ended since somebody looked is recorded as it stands: its last screen and its end.
            state.is_not_recorded(self)?;
            let size = state.output.known().size();
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
            let title = Some(state.output.known().title()).filter(|title| !title.is_empty()).unwrap_or(&state.name);
            let timestamp = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok();
            let header = Header {
                size,
                timestamp: timestamp.map(|since| since.as_secs()),
                title: Some(title.to_owned()),
                idle_time_limit: None,
            };
            let shown = Recording { path: options.path.as_str().into(), bytes: 0, end: None };
            state.recording = Some(RecordingState { shown: shown.clone(), stop: false });
            state.tell_of_recording(None);
            Ok((number, header, shown))
        })
    }

    fn end_recording(&self, number: u64, end: RecordingEnd) {
        let ended = self.update(|state| {
            state.forget_recorder(number);
            state.input.listen(false);
            let recording = state.recording.as_mut()?;
            recording.shown.end = Some(end);
            let shown = recording.shown.clone();
            state.tell_of_recording(None);
            Some(shown)
        });
        if let Some(recording) = ended {
            self.emit(TerminalEvent::RecordingEnded { id: Arc::clone(&self.id), recording });
        }
    }
}
