//! Requests that a guest sends: to the servers of `[grants] http` and nowhere else.
//!
//! [`target`] reads where a request goes, [`grant`] says whether it may, [`address`] whether the name leads where the grant
//! meant, [`connection`] connects to exactly that address, [`exchange`] sends and receives within the bounds.

mod address;
mod connection;
mod exchange;
mod grant;
mod hooks;
mod target;

pub use grant::HttpGrant;
pub use hooks::HttpHooks;
