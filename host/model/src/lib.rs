//! The vocabulary of Midplane: pure values that every other crate speaks.
//!
//! Nothing here does I/O, starts a task, reads a clock on its own or knows a wire format. Text becomes one of these types
//! once, at the door (`Topic::parse`, `PluginName::parse`), and is never checked again further in.

pub mod authenticator;
pub mod bulk;
pub mod call;
pub mod channel;
pub mod effects;
pub mod event;
pub mod fault;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod json;
pub mod limits;
pub mod name;
pub mod page;
pub mod principal;
pub mod progress;
pub mod schema;
pub mod tool;
pub mod topic;

pub use authenticator::{Authenticator, Authenticators, Credential, Vouched};
pub use call::{Call, CallContext, Deadline, Reply};
pub use channel::{Channel, ChannelKind, Frame, FrameSink, FrameSource, Peer, PeerId};
pub use effects::Effects;
pub use event::{Event, Origin, Position, Positions, Stamp};
pub use fault::{ErrorCode, Fault};
pub use name::PluginName;
pub use page::{Page, PageAccess, PageBody, PageRules, Pages};
pub use principal::{Principal, Scope};
pub use progress::{News, NobodyListens, Progress};
pub use tool::ToolTraits;
pub use topic::{Pattern, Topic};

/// A boxed future, for traits that are used as objects.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;
