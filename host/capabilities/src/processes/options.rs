//! What is given to processes, and what they tell about themselves.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use midplane_model::{
    BoxFuture,
    limits::{PROCESS_OUTPUT_BYTES_DEFAULT, PROCESS_RING_BYTES, PROCESSES_MAX, PROCESSES_PER_PLUGIN_MAX},
};

use super::Exit;

/// Everything processes need to know about the machine; the program that assembles the host fills it.
#[derive(Debug, Clone)]
pub struct ProcessesConfig {
    /// Programs start here or below.
    pub root: PathBuf,
    /// Where programs are looked up by name, as `PATH` has it. Relative folders in it are left out.
    pub path: Option<String>,
    /// Running at the same time, over all owners and for each; one more is `quota_exceeded`.
    pub running_max: usize,
    pub running_per_owner_max: usize,
    /// The program that calls [`guard`](super::guard()) when its argument is `GUARD_ARGUMENT`. None: children's children may outlive
    /// a host that is killed.
    pub guard: Option<PathBuf>,
    /// Output kept of each stream of a long-lived child; older bytes are forgotten.
    pub ring_bytes: usize,
}

impl ProcessesConfig {
    #[must_use]
    pub fn new(root: PathBuf, path: Option<String>) -> Self {
        Self {
            root,
            path,
            running_max: PROCESSES_MAX,
            running_per_owner_max: PROCESSES_PER_PLUGIN_MAX,
            guard: None,
            ring_bytes: PROCESS_RING_BYTES,
        }
    }
}

/// A program and how it is started. Never through a shell.
#[derive(Debug, Clone, Default)]
pub struct Command {
    /// A name that is looked up, or an absolute path.
    pub program: String,
    pub args: Vec<String>,
    /// A folder relative to the root, `/`-separated; the root without.
    pub cwd: Option<String>,
    /// The whole environment; of two values for a name the later one counts.
    pub env: Vec<(String, String)>,
}

/// How a program is run to its end.
#[derive(Debug, Clone)]
pub struct RunOptions {
    pub stdin: Vec<u8>,
    /// Then it is killed.
    pub timeout: Option<Duration>,
    /// Bytes kept of each; the rest is read and thrown away.
    pub stdout_bytes_max: usize,
    pub stderr_bytes_max: usize,
}

impl Default for RunOptions {
    fn default() -> Self {
        let bytes_max = PROCESS_OUTPUT_BYTES_DEFAULT;
        Self { stdin: Vec::new(), timeout: None, stdout_bytes_max: bytes_max, stderr_bytes_max: bytes_max }
    }
}

/// A program that was run to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    pub exit: Exit,
    /// It was killed at its timeout.
    pub timed_out: bool,
    pub stdout: Vec<u8>,
    pub stdout_truncated: bool,
    pub stderr: Vec<u8>,
    pub stderr_truncated: bool,
}

/// One of a child's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// A long-lived child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInfo {
    pub id: Arc<str>,
    pub program: String,
    pub pid: u32,
    pub started_at: SystemTime,
    /// None while it runs.
    pub exit: Option<Exit>,
}

/// A part of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where `bytes` begins; later than asked for when the output is no longer kept.
    pub offset: u64,
    pub bytes: Vec<u8>,
    pub next: u64,
    /// Nothing will come after `next`.
    pub ended: bool,
}

/// Told once when a child has ended. Awaited by the child's own task: it may wait, but not for ever.
pub type OnExit = Box<dyn FnOnce(ProcessInfo) -> BoxFuture<'static, ()> + Send>;
