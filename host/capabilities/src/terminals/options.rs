//! What is given to terminals, and what they tell about themselves.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use midplane_model::{
    Channel,
    event::rfc3339,
    limits::{SCROLLBACK_LINES_MAX, TERMINAL_HOLD_MAX, TERMINAL_RING_BYTES, TERMINALS_MAX, TERMINALS_MEMORY_BYTES_MAX},
};
use serde::{Serialize, Serializer};

use super::{recording::Recording, shell::Command, size::Size};
use crate::child::Exit;

/// Everything terminals need to know about the machine; the program that assembles the host fills it.
#[derive(Clone)]
pub struct TerminalsConfig {
    /// Terminals start here or below.
    pub root: PathBuf,
    /// The whole environment of programs, before what [`OpenOptions`] add; nothing is inherited from the host.
    pub env: Vec<(String, String)>,
    /// The shell where none is asked for; `/bin/sh` without.
    pub shell: Option<String>,
    pub limits: TerminalLimits,
    /// Told what happens to terminals. Called from their threads and tasks, in order per terminal: it must not block.
    pub observer: Arc<dyn Fn(TerminalEvent) + Send + Sync>,
}

/// Bounds, with the defaults of the contract.
#[derive(Debug, Clone, Copy)]
pub struct TerminalLimits {
    /// Terminals at the same time, exited ones included; one more is `quota_exceeded`.
    pub terminals: usize,
    /// Raw output kept per terminal; older bytes are forgotten.
    pub ring_bytes: usize,
    /// Lines the screen model keeps above the screen; older ones are forgotten.
    pub scrollback_lines: usize,
    /// Output, scrollback and screens of all terminals together. Beyond, those that take more than an even share forget
    /// their oldest, and keep less from then on.
    pub memory_bytes: usize,
    /// How long a lossless reader may hold a program back at once; one that does longer is ended.
    pub hold_max: Duration,
}

impl Default for TerminalLimits {
    fn default() -> Self {
        Self {
            terminals: TERMINALS_MAX,
            ring_bytes: TERMINAL_RING_BYTES,
            scrollback_lines: SCROLLBACK_LINES_MAX,
            memory_bytes: TERMINALS_MEMORY_BYTES_MAX,
            hold_max: TERMINAL_HOLD_MAX,
        }
    }
}

/// What to open.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// A path, or a name that is looked up in `PATH`.
    pub shell: Option<String>,
    pub args: Vec<String>,
    /// A folder relative to the root, `/`-separated.
    pub cwd: Option<String>,
    pub env: Vec<(String, String)>,
    pub cols: u16,
    pub rows: u16,
    /// For people; the program's name without.
    pub name: Option<String>,
    /// Programs are told not to page, prompt or colour their questions: nobody sits at this terminal.
    pub agent: bool,
    /// Who opens it, where that is known.
    pub opened_by: Option<String>,
}

/// A terminal as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TerminalInfo {
    pub id: Arc<str>,
    pub name: String,
    /// As the program set it; empty if it did not.
    pub title: String,
    pub pid: u32,
    /// Offsets are comparable within one epoch only.
    pub epoch: Arc<str>,
    #[serde(flatten)]
    pub size: Size,
    /// Output bytes so far.
    pub offset: u64,
    pub state: TerminalState,
    #[serde(serialize_with = "as_rfc3339")]
    pub created_at: SystemTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TerminalState {
    Running,
    Exited(Exit),
}

/// The visible screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScreenText {
    /// All rows from top to bottom, without trailing blanks.
    pub lines: Vec<String>,
    /// Lines above the screen, oldest first, as many as were asked for and are kept.
    pub above: Vec<String>,
    /// From 0.
    pub cursor_row: u16,
    /// From 0.
    pub cursor_col: u16,
    #[serde(flatten)]
    pub size: Size,
    pub title: String,
    /// Output bytes this screen has seen.
    pub offset: u64,
}

/// A piece of the raw output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputPiece {
    /// Of the first byte; later than asked for when `lost_bytes` is not 0.
    pub offset: u64,
    pub bytes: Vec<u8>,
    /// Where to read on.
    pub next: u64,
    /// Bytes between what was asked for and `offset` that are no longer kept.
    pub lost_bytes: u64,
}

/// What an attachment may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sends input and decides the size. A terminal has one driver: a newer one takes over.
    Drive,
    View,
}

/// Where an earlier attachment had come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    pub epoch: String,
    pub offset: u64,
}

#[derive(Debug, Clone)]
pub struct AttachOptions {
    pub role: Role,
    pub resume: Option<Resume>,
    /// Every byte, or an end with GAP: the program is held back for this reader, 30 s at most at a time.
    pub lossless: bool,
    /// Bytes sent but not acknowledged beyond which nothing more is sent. Clamped to 64 KiB..=4 MiB; 256 KiB without.
    pub max_unacked_bytes: Option<usize>,
    /// Lines above the screen that a snapshot brings; all that are kept without.
    pub scrollback_lines: Option<usize>,
    /// The size of the client's window, as a first RESIZE would tell it. Counts before the snapshot is taken.
    pub size: Option<Size>,
    /// The lineage of a former attachment whose input this one continues; that attachment ends.
    pub lineage: Option<String>,
}

impl AttachOptions {
    /// From a snapshot on, with everything as it is by default.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self {
            role,
            resume: None,
            lossless: false,
            max_unacked_bytes: None,
            scrollback_lines: None,
            size: None,
            lineage: None,
        }
    }
}

/// Who decides the size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SizePolicy {
    /// Its driver; without one it stays as it is.
    Driver,
    /// The smallest window in which it can be seen.
    Smallest,
    /// Nobody who is attached.
    Fixed,
}

/// What a terminal is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Where its shell is, where the shell tells.
    pub cwd: Option<String>,
    pub opened_by: Option<String>,
    pub attachments: usize,
    pub size_policy: SizePolicy,
    /// Commands that have ended, where its shell marks them.
    pub commands_ended: u64,
    /// For so long nobody has been attached, nothing was written or typed, and nothing but its first program ran in the
    /// foreground. 0 when it is in use.
    pub idle_ms: u64,
}

/// An open attachment. Dropping the channel's source ends it.
pub struct Attachment {
    pub channel: Channel,
    pub epoch: Arc<str>,
    /// Of the first byte the channel sends, or that its snapshot stands for.
    pub offset: u64,
    /// The channel continues at the resumed offset, without a snapshot.
    pub delta: bool,
    /// For [`Terminals::place`](super::Terminals::place).
    pub number: u64,
    /// Names the input of this attachment, so that another can continue it.
    pub lineage: Arc<str>,
    /// Input bytes of this lineage that were accepted.
    pub input_offset: u64,
}

/// What to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitFor {
    Exit,
    /// The text is on the screen, or comes in the output from now on.
    Text(String),
    /// Nothing was written for so many milliseconds, or the program has exited.
    IdleMs(u64),
    /// The command of this number has ended; without one, the next that ends.
    CommandDone(Option<u64>),
}

/// Where things stood when a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WaitOutcome {
    /// All output so far ends here.
    pub offset: u64,
    pub state: TerminalState,
}

/// Something that happened to a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalEvent {
    Opened(TerminalInfo),
    Resized { id: Arc<str>, size: Size },
    Renamed { id: Arc<str>, name: String },
    TitleChanged { id: Arc<str>, title: String },
    CwdChanged { id: Arc<str>, cwd: String },
    CommandDone { id: Arc<str>, command: Command },
    RecordingBegan { id: Arc<str>, path: Arc<str> },
    RecordingEnded { id: Arc<str>, recording: Recording },
    Exited { id: Arc<str>, exit: Exit },
    Closed { id: Arc<str> },
}

fn as_rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}
