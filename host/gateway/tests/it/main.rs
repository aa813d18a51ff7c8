//! The gateway from outside: real sockets, a router with a probe service, a real broker.

mod access;
mod causality;
mod channels;
mod event_stream;
mod events;
mod heads;
mod http_client;
mod idempotency;
mod mcp;
mod probe;
mod progress;
mod rpc;
mod sessions;
mod sockets;
mod support;
mod taking;
mod tokens;
mod vouching;
