//! How a program ended.

use serde::Serialize;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Exit {
    /// The exit code; 128 + signal for a program that a signal ended, as shells have it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<u8>,
}
