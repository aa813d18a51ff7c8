//! From a source on this machine to a plugin in the plugin folder.
//!
//! [`source`] reads a folder, an [`archive`] or a [`bare`] component into memory, every name checked and everything bounded;
//! nothing has run by then. [`place`] puts it where the supervisor loads from, in one step and with a way back; [`installer`] has the
//! order of it all, with the lock and the supervisor.

mod archive;
mod bare;
mod collected;
mod error;
mod folder;
mod installer;
mod place;
mod source;

pub use error::SourceError;
pub use installer::{InstallReport, Installer, Wish, not_locked, recover};
pub use source::{PluginFiles, read};

/// The manifest's name in a plugin folder.
const MANIFEST: &str = "plugin.toml";
/// Where a plugin's WIT lies in its folder.
const WIT_FOLDER: &str = "wit";
