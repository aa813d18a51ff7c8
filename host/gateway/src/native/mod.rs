//! The host's own services about connections, events and itself, described by WIT and registered like any other.

mod auth;
mod event;
mod session;
mod system;

use std::sync::Arc;

use midplane_broker::Broker;
use midplane_router::native_interface;

use crate::{error::GatewayError, shared::Shared};

/// Registers `auth.*`, `session.*`, `event.*` and `system.*`.
///
/// # Errors
/// `ReadWit`: the program was built from WIT that does not fit.
pub(crate) fn register(shared: &Shared, broker: &Arc<Broker>) -> Result<(), GatewayError> {
    let Shared { router, connections, sessions, config, .. } = shared;
    auth::register(native_interface("auth")?, shared);
    session::register(router, native_interface("session")?, connections, sessions, broker, config);
    event::register(router, native_interface("event")?, connections, broker);
    system::register(router, native_interface("system")?, connections, broker, config);
    Ok(())
}
