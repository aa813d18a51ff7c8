//! JSON-RPC 2.0 and binary channel frames: bytes to the model and back, without I/O.
//!
//! It knows no socket, no task, no method and no clock. Text comes from whatever transport received it
//! ([`parse`]), and goes to whatever transport sends it ([`success`], [`failure`], [`notification`]); binary frames
//! likewise ([`encode_frame`], [`decode_frame`]). This is the only crate that knows how an envelope looks.

mod envelope;
mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod id;
mod members;
mod meta;
mod response;

pub use envelope::{Incoming, Invocation, Item, parse, parse_value};
pub use frame::{FRAME_HEADER_BYTES, FrameError, decode_frame, encode_frame};
pub use id::Id;
pub use meta::Meta;
pub use response::{batch, error_object, failure, notification, success};
