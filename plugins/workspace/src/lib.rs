//! The plugin `workspace`: what is open, for every client the same.
//!
//! The truth is in storage, one JSON document per workspace ([`store`]); nothing is kept in memory between calls, so a
//! reload or a crash has nothing to lose. A change reads the document, applies pure rules to it ([`document`]), writes it
//! back, and only then returns and publishes `workspace.<what_happened>`. Calls come one at a time, so nobody writes in
//! between. Knows no files: a path is a name here, and what it names may come and go.

mod document;
mod files;
mod layouts;
mod panels;
mod path;
mod preferences;
mod service;
mod store;

midplane_sdk::generate!({ path: ["../../wit/host", "../../wit/workspace", "wit"], world: "midplane:workspace-plugin/plugin" });

struct Plugin;

export!(Plugin);
