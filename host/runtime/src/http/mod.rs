//! `wasi:http`: pages that a plugin serves under `/p/{plugin}/`, and requests that it sends to granted servers.
//!
//! A request for a page is a *visit*: it gets an instance of its own from the package that serves now, beside the actor's. So a
//! slow answer never blocks the plugin's methods, a trap ends one visit, and a reload lets visits finish on the old package.
//! [`page`] is the way in, [`visit`] the instance at work, [`body`] and [`pace`] what moves and how long it may stand still,
//! [`in_flight`] how many there may be, [`settings`] the manifest's `[http]`. [`outgoing`] is the other direction.

mod body;
mod in_flight;
mod outgoing;
mod pace;
mod page;
mod settings;
mod visit;

pub use in_flight::InFlight;
pub use outgoing::{HttpGrant, HttpHooks};
pub use settings::{HttpSettings, RawHttp};
