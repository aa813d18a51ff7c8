//! `/mcp`: the protocol's two eras, whose sessions are whose, and what ends them.

mod agent;
mod calls;
mod sessions;
