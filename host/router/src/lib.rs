//! The registry of services: which methods exist, what their types are, who serves them.
//!
//! Plugins and native services register here alike; every transport and every document is derived from this table, so that
//! no list of methods is written by hand. The router knows no wire format, no connection and no component; it checks scope
//! and deadline and hands the call to the [`Service`] behind the method.

mod accept;
mod asyncapi;
mod describe;
mod native;
mod openapi;
mod registry;
mod rest;
mod tools;
mod wit;
mod witness;

pub use asyncapi::asyncapi;
pub use describe::{describe_interface, json_schema, openrpc, param_schemas};
pub use native::{Handler, Params, native_interface, register_native};
pub use openapi::openapi;
pub use registry::{Method, Methods, Owner, Router, Service};
pub use rest::{Found, REST_PREFIX, Route, Template, Verb, Wanted};
pub use tools::{Tool, check_tool, tool_name, tools};
pub use wit::{WitError, interface_methods, interfaces_of_component, interfaces_of_packages};
pub use witness::Witness;
