//! Write Midplane plugins in Rust.
//!
//! A plugin is a component whose world includes `midplane:host/imports` and exports the interfaces it serves. This crate
//! holds the bindings of what every plugin may import ([`host`]), the error that services answer with ([`Error`]), and
//! [`generate!`], which makes the bindings of a plugin's own world on top of them. It knows nothing of any plugin.
//!
//! # A plugin from nothing
//! `Cargo.toml`: `crate-type = ["cdylib"]`, `midplane-sdk` as a dependency, and a release profile with `opt-level = "s"`,
//! `lto = true`, `codegen-units = 1`, `panic = "abort"`, `strip = true`.
//!
//! `wit/world.wit`, with a copy of the repository's `wit/host` in `wit/deps/midplane-host`:
//! ```wit
//! package acme:spell@1.0.0;
//!
//! /// Finds words that are spelled wrong.
//! interface checker {
//!   check: func(text: string) -> list<string>;
//! }
//!
//! world spell {
//!   include midplane:host/imports@0.2.0;
//!   export checker;
//! }
//! ```
//! `src/lib.rs`:
//! ```ignore
//! midplane_sdk::generate!({ path: "wit", world: "spell" });
//!
//! struct Spell;
//!
//! impl exports::acme::spell::checker::Guest for Spell {
//!     fn check(text: String) -> Vec<String> {
//!         midplane_sdk::info!("checking {} bytes", text.len());
//!         Vec::new()
//!     }
//! }
//!
//! export!(Spell);
//! ```
//! `cargo build --release --target wasm32-wasip2` makes the component; beside it goes `plugin.toml`. The folders
//! `examples/spell` and `examples/proof` are this, complete, and `proof` imports what `spell` exports.
//!
//! # Start, events and reloads
//! What the host should tell a plugin is said in its world, and nowhere else: `export midplane:host/lifecycle@0.2.0;`
//! (`start`, `stop`, `health`), `export midplane:host/subscriber@0.2.0;` (`on-event`), `export
//! midplane:host/state@0.2.0;` (`save`, `restore`). Each gives a trait `exports::midplane::host::…::Guest` to implement.
//! `start` learns why (fresh, reload, restart after a failure) and whether state was restored; an event says whose it is, so
//! that a plugin can leave out the echo of what it did itself.
//!
//! # Who comes
//! `export midplane:host/authenticator@0.2.0;` makes a plugin the one that says who comes with credentials that are none of the host's
//! (`authenticate`). It needs the grant `authenticator`, which an operator approves: `authenticator = ["bearer", "cookie:sso"]`. Answer
//! `Ok(None)` for whom nobody knows and an error for what cannot be told now, quickly: it is asked twice a second for each
//! credential in use. Never log what it gets.

pub mod error;
pub mod json;
pub mod time;

mod bindings {
    wit_bindgen::generate!({ path: "../../wit/host", world: "imports", generate_all });
}

/// What every plugin may import from the host; one module per interface of `wit/host`.
pub use bindings::midplane::host;
/// What went wrong, as a service answers it.
pub use host::types::Error;
/// What the bindings stand on, for [`generate!`] and for its asynchronous helpers (`yield_async`).
pub use wit_bindgen;
pub use {serde, serde_json};

/// Bindings of a plugin's own world: `generate!({ path: "wit", world: "spell" })`.
///
/// `path` is a folder relative to the crate, or a list of folders in the order of their dependencies; other options of
/// `wit_bindgen::generate!` may follow. The world must `include midplane:host/imports@0.2.0`; those interfaces are not
/// generated again but taken from [`host`](crate::host), so that an [`Error`](crate::Error) is one type everywhere.
#[macro_export]
macro_rules! generate {
    ({ $($option:ident $(: $value:tt)?),* $(,)? }) => {
        $crate::wit_bindgen::generate!({
            $($option $(: $value)?,)*
            generate_all,
            runtime_path: "midplane_sdk::wit_bindgen::rt",
            bitflags_path: "midplane_sdk::wit_bindgen::rt::bitflags",
            with: {
                "midplane:host/types@0.2.0": ::midplane_sdk::host::types,
                "midplane:host/context@0.2.0": ::midplane_sdk::host::context,
                "midplane:host/events@0.2.0": ::midplane_sdk::host::events,
                "midplane:host/services@0.2.0": ::midplane_sdk::host::services,
                "midplane:host/storage@0.2.0": ::midplane_sdk::host::storage,
                "midplane:host/config@0.2.0": ::midplane_sdk::host::config,
                "midplane:host/log@0.2.0": ::midplane_sdk::host::log,
                "midplane:host/timers@0.2.0": ::midplane_sdk::host::timers,
                "midplane:host/files@0.2.0": ::midplane_sdk::host::files,
                "midplane:host/content@0.2.0": ::midplane_sdk::host::content,
                "midplane:host/watch@0.2.0": ::midplane_sdk::host::watch,
                "midplane:host/search@0.2.0": ::midplane_sdk::host::search,
                "midplane:host/terminals@0.2.0": ::midplane_sdk::host::terminals,
                "midplane:host/attachments@0.2.0": ::midplane_sdk::host::attachments,
                "midplane:host/shells@0.2.0": ::midplane_sdk::host::shells,
                "midplane:host/recordings@0.2.0": ::midplane_sdk::host::recordings,
                "midplane:host/processes@0.2.0": ::midplane_sdk::host::processes,
            },
        });
    };
}

/// A line in the plugin's log for a person who looks for the reason of something. Takes what `format!` takes, and before it,
/// up to a semicolon, fields that a program can search for: `debug!(path = path, bytes = 17; "read")`.
#[macro_export]
macro_rules! debug {
    ($($arg:tt)*) => { $crate::log_line!(Debug, $($arg)*) };
}

/// A line in the plugin's log about something worth knowing in normal operation; see [`debug!`].
#[macro_export]
macro_rules! info {
    ($($arg:tt)*) => { $crate::log_line!(Info, $($arg)*) };
}

/// A line in the plugin's log about something that went wrong and was coped with; see [`debug!`].
#[macro_export]
macro_rules! warn {
    ($($arg:tt)*) => { $crate::log_line!(Warn, $($arg)*) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! log_line {
    ($level:ident, $($name:ident = $value:expr),+ ; $($arg:tt)*) => {
        $crate::host::log::write(
            $crate::host::log::Level::$level,
            &format!($($arg)*),
            &[$((stringify!($name).to_owned(), $value.to_string())),+],
        )
    };
    ($level:ident, $($arg:tt)*) => {
        $crate::host::log::write($crate::host::log::Level::$level, &format!($($arg)*), &[])
    };
}
