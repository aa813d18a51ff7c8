//! The host's own services about connections, events and itself, described by WIT and registered like any other.

mod auth;
mod event;
mod session;
mod system;

use std::sync::Arc;

use midplane_broker::Broker;
use midplane_model::schema::Interface;
use midplane_router::interfaces_of_packages;

use crate::{error::GatewayError, shared::Shared};

/// Registers `auth.*`, `session.*`, `event.*` and `system.*`.
///
/// # Errors
/// `ReadWit`, `FindInterface`: the program was built from WIT that does not fit.
pub(crate) fn register(shared: &Shared, broker: &Arc<Broker>) -> Result<(), GatewayError> {
    let Shared { router, connections, config, .. } = shared;
    let mut interfaces = interfaces_of_packages(&[
        vec![("types.wit", include_str!("../../../../wit/host/types.wit"))],
        vec![("native.wit", include_str!("../../../../wit/native/native.wit"))],
    ])?;
    let mut take = |name: &'static str| -> Result<Interface, GatewayError> {
        let index = interfaces.iter().position(|interface| &*interface.name == name);
        index.map(|index| interfaces.swap_remove(index)).ok_or(GatewayError::FindInterface { name })
    };
    auth::register(router, take("auth")?, &shared.tokens, &shared.audit);
    session::register(router, take("session")?, connections, broker, config);
    event::register(router, take("event")?, connections, broker);
    system::register(router, take("system")?, connections, broker, config);
    Ok(())
}
