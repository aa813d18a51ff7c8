//! Names of epochs.

use std::sync::Arc;

/// 64 random bits in hexadecimal: enough that no two beginnings ever share one.
pub(crate) fn draw_epoch() -> Result<Arc<str>, getrandom::Error> {
    Ok(format!("{:016x}", getrandom::u64()?).into())
}
