//! The door for clients: HTTP and WebSocket, authentication, and the host's own services about connections and events.
//!
//! It knows neither components nor what the machine can do: a call goes to the [`Router`](midplane_router::Router) by name,
//! an event comes from the [`Broker`](midplane_broker::Broker), bulk bytes come as a [`Channel`](midplane_model::Channel),
//! a page from a [`Pages`](midplane_model::Pages).
//! Nobody else knows axum.
//!
//! # Map
//! - `server`: [`Gateway`], what it is built from, how it serves and ends.
//! - `routes`: every route in one table; `guard` (host and origin) and `auth` stand before all of them.
//! - `admission`: how much one principal may ask for.
//! - `call`: one call, whatever brought it; `idempotency`: calls that have one effect, however often they come.
//! - `rpc`: `POST /rpc`, and `rpc_stream` for those who want to hear of progress; `headers`: what HTTP says about a call beside its body.
//! - `event_stream`: events as server-sent events.
//! - `rest`: methods under paths of their own.
//! - `mcp`: the methods that are tools, for agents.
//! - `pages`: requests that a plugin answers itself, below `/p/{plugin}/`.
//! - `site`: the host's own pages.
//! - `socket`: one WebSocket: reader, writer, lanes, calls in flight, channels, subscriptions.
//! - `terminal_socket`: one terminal as a WebSocket of bytes.
//! - `sessions`: what a client finds again on another connection.
//! - `listeners`, `tls`: where clients come in.
//! - `vouching`: who else may, as a plugin says it.
//! - `tokens`: who may come in; `secrets`: what a token is exchanged for; `audit`: what is written down of both.
//! - `native`: `auth.*`, `session.*`, `event.*` and `system.*`, described by WIT like any other service.

mod accepting;
mod admission;
mod audit;
mod auth;
mod call;
mod config;
mod documents;
mod error;
mod event_stream;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod guard;
mod headers;
mod idempotency;
mod listeners;
mod mcp;
mod metrics;
mod native;
mod owner;
mod pages;
mod problem;
mod request_ids;
mod rest;
mod routes;
mod rpc;
mod rpc_stream;
mod secrets;
mod server;
mod sessions;
mod shared;
mod site;
mod socket;
mod taking;
mod terminal_socket;
mod tls;
mod tokens;
mod vouching;

pub use audit::{AuditEntry, AuditSink};
pub use auth::Credentials;
pub use config::{GatewayConfig, GatewayLimits, TokenPolicy};
pub use error::GatewayError;
pub use listeners::Listeners;
pub use routes::{Access, ROUTES, Route};
pub use server::Gateway;
pub use tls::Tls;
pub use tokens::{TokenRecord, TokenStore};
