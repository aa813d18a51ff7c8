//! What agents are told about a method that is offered to them as a tool.

/// How a tool behaves, as the Model Context Protocol names it (2025-11-25, `ToolAnnotations`), and how its result is given. By the
/// first four a client decides whether a person is asked before a call; the host never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ToolTraits {
    /// It changes nothing.
    pub read_only: bool,
    /// It may overwrite or remove what was there. False for what reads only.
    pub destructive: bool,
    /// A second call with the same arguments changes nothing more.
    pub idempotent: bool,
    /// It reaches beyond the workspace: servers, programs.
    pub open_world: bool,
    /// Its result is a list of content blocks as the protocol has them (text, images, sounds, resources), and no value.
    pub content: bool,
}

impl ToolTraits {
    /// Looks at the workspace and leaves it as it is.
    pub const READS: Self =
        Self { read_only: true, destructive: false, idempotent: true, open_world: false, content: false };
    /// Adds something, and takes nothing away.
    pub const ADDS: Self = Self { read_only: false, idempotent: false, ..Self::READS };
}
