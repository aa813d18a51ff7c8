//! JSON to component values and back, by the function's type (contract, section 3). Errors name the path.
//!
//! [`lift`] goes in, [`lower`] comes out; both also convert single values for the signatures that have Rust types
//! ([`crate::shapes`]), so that there is one reading of JSON.

mod lift;
mod lower;
mod path;
#[cfg(test)]
mod tests;

pub use lift::{Argument, arguments, bytes as lift_bytes, params as lift_params, text as lift_text};
pub use lower::{mistyped, push_bytes, push_text, result as lower_result, service_fault};
pub use path::Path;
