//! The size of a terminal.

use midplane_model::limits::TERMINAL_CELLS;

use super::error::TerminalError;

/// Columns and rows in cells, both within [`TERMINAL_CELLS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Size {
    pub cols: u16,
    pub rows: u16,
}

impl Size {
    /// # Errors
    /// [`TerminalError::BadSize`] outside the bounds.
    pub fn new(cols: u16, rows: u16) -> Result<Self, TerminalError> {
        if TERMINAL_CELLS.contains(&cols) && TERMINAL_CELLS.contains(&rows) {
            Ok(Self { cols, rows })
        } else {
            Err(TerminalError::BadSize { cols, rows })
        }
    }
}
