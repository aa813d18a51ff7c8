//! What a guest may ask the host for. Each grant of the manifest is enforced here and nowhere else; errors go back to the guest
//! as values, never as traps.

mod events;
mod files;
mod plain;
mod services;
mod storage;
mod terminals;

use midplane_model::{ErrorCode, Fault};
pub use terminals::news;

/// Something that the manifest does not grant.
fn denied(grant: &str, what: &str) -> Fault {
    let message = format!("{what} is not granted; add it to [grants] {grant} in plugin.toml");
    Fault::new(ErrorCode::Forbidden, message).with("grant", grant)
}
