//! What end-to-end tests and benchmarks stand on: the real program as a child process with a private home, real sockets,
//! and components compiled from source by `cargo xtask test`.

mod agent;
mod archive;
mod browser;
mod client;
mod components;
mod exchange;
pub mod history;
mod host;
mod http;
mod load;
mod patience;
mod screen;
mod site;
mod watcher;

pub use agent::{Agent, Told};
pub use archive::{Entry, EntryType, pack, pack_folder};
pub use browser::Browser;
pub use client::{Client, Frame, Socket};
pub use components::{copy_folder, core, crowd, enlarge, example, fetched, first_party, guest, set_in_manifest};
pub use exchange::{Answering, Asking, Unanswered, ask};
pub use host::{Host, Options};
pub use http::{Response, read_head, request, request_local};
pub use load::{Caller, Paced};
pub use patience::{PATIENCE, said};
pub use screen::Screen;
pub use site::Site;
pub use watcher::Watcher;
