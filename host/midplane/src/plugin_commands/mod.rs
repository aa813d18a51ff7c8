//! `midplane plugin`: plugins of the running host, and `check`, which needs none.

mod check;
mod grants;
mod info;
mod install;
mod list;
mod logs;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{cli::Target, client};

#[derive(Subcommand)]
pub enum PluginCommand {
    /// All plugins with their state.
    List(Target),
    /// Everything about one plugin.
    Info(Named),
    /// Install or upgrade a plugin from a folder, a .wasm or a .tar.gz; shows what it asks for first.
    Install {
        source: PathBuf,
        /// Allow what it asks for without a question.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Remove a plugin. What it stored stays.
    Remove {
        name: String,
        /// Delete what it stored, too.
        #[arg(long)]
        purge: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Start a plugin that was disabled.
    Enable(Named),
    /// Stop a plugin and keep it stopped.
    Disable(Named),
    /// Load the plugin's files again now.
    Reload(Named),
    /// Allow what the newest package of a plugin asks for, and load it.
    Approve {
        name: String,
        /// Only if it is still this package.
        #[arg(long)]
        sha256: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// The newest log lines.
    Logs {
        name: String,
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// The lightest level: trace, debug, info, warn or error.
        #[arg(long)]
        level: Option<String>,
        /// Go on with the lines that come.
        #[arg(short, long)]
        follow: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Explain a plugin without running it, and compare it with an older one.
    Check {
        path: PathBuf,
        /// An older package: names what breaks its users. Ends with 1 if anything does.
        #[arg(long)]
        against: Option<PathBuf>,
        /// One line of JSON instead of text for people.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
pub struct Named {
    name: String,
    #[command(flatten)]
    target: Target,
}

pub fn run(command: PluginCommand) -> ExitCode {
    match command {
        PluginCommand::List(target) => client::show(&target, "plugin.list", None, list::text),
        PluginCommand::Info(Named { name, target }) => {
            client::show(&target, "plugin.get", Some(json!({ "name": name })), info::text)
        }
        PluginCommand::Install { source, yes, target } => install::run(&target, &source, yes),
        PluginCommand::Remove { name, purge, target } => {
            let done = |removed: &Value| format!("{} is removed", text_of(&removed["name"]));
            client::show(&target, "plugin.remove", Some(json!({ "name": name, "purge": purge })), done)
        }
        PluginCommand::Enable(named) => change("plugin.enable", named),
        PluginCommand::Disable(named) => change("plugin.disable", named),
        PluginCommand::Reload(named) => change("plugin.reload", named),
        PluginCommand::Approve { name, sha256, target } => {
            client::show(&target, "plugin.approve", Some(json!({ "name": name, "sha256": sha256 })), list::line)
        }
        PluginCommand::Logs { name, limit, level, follow, target } => {
            logs::run(&target, &logs::Wanted { name, limit, level, follow })
        }
        PluginCommand::Check { path, against, json } => check::run(&path, against.as_deref(), json),
    }
}

/// A method that takes a name and answers with the plugin as it is then.
fn change(method: &str, Named { name, target }: Named) -> ExitCode {
    client::show(&target, method, Some(json!({ "name": name })), list::line)
}

/// A string as it is, anything else as JSON, nothing as nothing.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
