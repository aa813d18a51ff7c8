//! Starts a program on a new pseudo-terminal: which program, where, with which environment.

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rustix::fs::OFlags;

use super::{
    error::TerminalError,
    options::{OpenOptions, TerminalsConfig},
    size::Size,
};
use crate::child::{self, NoFolder, Process};

const SHELL_DEFAULT: &str = "/bin/sh";
const NAME_CHARS_MAX: usize = 128;

/// Programs with a person's habits are told that none is there.
const AGENT_ENV: [(&str, &str); 4] =
    [("PAGER", "cat"), ("GIT_PAGER", "cat"), ("GIT_TERMINAL_PROMPT", "0"), ("DEBIAN_FRONTEND", "noninteractive")];

pub(super) struct Spawned {
    /// The host's end of the pseudo-terminal, non-blocking.
    pub(super) pty: OwnedFd,
    pub(super) process: Process,
}

/// Checked options: nothing in it can be refused any more except by the machine.
pub(super) struct Launch {
    command: CommandBuilder,
    pub(super) shell: String,
    pub(super) size: Size,
    pub(super) name: String,
}

impl Launch {
    /// # Errors
    /// `BadSize`, `OutsideRoot`, `NoSuchFolder`, `UnknownShell`, `BadParameter`.
    pub(super) fn prepare(config: &TerminalsConfig, options: &OpenOptions) -> Result<Self, TerminalError> {
        let size = Size::new(options.cols, options.rows)?;
        let cwd = folder(&config.root, options.cwd.as_deref().unwrap_or(""))?;
        let env = environment(config, options)?;
        let shell = options.shell.as_deref().or(config.shell.as_deref()).unwrap_or(SHELL_DEFAULT).to_owned();
        let program = child::program(&shell, &cwd, variable(&env, "PATH"))
            .ok_or_else(|| TerminalError::UnknownShell { shell: shell.clone() })?;
        if options.args.iter().any(|arg| arg.contains('\0')) {
            return Err(bad("params.args", "an argument must not contain NUL"));
        }
        let name = match &options.name {
            Some(name) => checked_name(name)?,
            None => shell.rsplit('/').next().unwrap_or(&shell).chars().take(NAME_CHARS_MAX).collect(),
        };
        let mut command = CommandBuilder::new(&program);
        command.env_clear();
        if variable(&env, "SHELL").is_none() {
            command.env("SHELL", &program);
        }
        for (key, value) in &env {
            command.env(key, value);
        }
        command.args(&options.args);
        command.cwd(&cwd);
        Ok(Self { command, shell, size, name })
    }

    /// Blocks for as long as fork and exec take. The child is a session leader with the terminal as its own.
    pub(super) fn spawn(self) -> Result<Spawned, TerminalError> {
        let shell = self.shell;
        let fail =
            |source: Box<dyn std::error::Error + Send + Sync>| TerminalError::Spawn { shell: shell.clone(), source };
        let size = PtySize { rows: self.size.rows, cols: self.size.cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).map_err(|error| fail(error.into()))?;
        let raw = pair.master.as_raw_fd().ok_or_else(|| fail("the pseudo-terminal has no descriptor".into()))?;
        // SAFETY: `pair.master` owns the descriptor and outlives this borrow, which ends with the line.
        let pty = unsafe { BorrowedFd::borrow_raw(raw) }.try_clone_to_owned().map_err(|error| fail(error.into()))?;
        let flags = rustix::fs::fcntl_getfl(&pty).map_err(|error| fail(error.into()))?;
        rustix::fs::fcntl_setfl(&pty, flags | OFlags::NONBLOCK).map_err(|error| fail(error.into()))?;
        let child = pair.slave.spawn_command(self.command).map_err(|error| fail(error.into()))?;
        let process = Process::new(child).map_err(|error| fail(error.into()))?;
        Ok(Spawned { pty, process })
    }
}

fn folder(root: &Path, path: &str) -> Result<PathBuf, TerminalError> {
    child::folder(root, path).map_err(|problem| match problem {
        NoFolder::Outside => TerminalError::OutsideRoot { path: path.to_owned() },
        NoFolder::Missing => TerminalError::NoSuchFolder { path: path.to_owned() },
    })
}

/// # Errors
/// [`TerminalError::BadParameter`] when it is empty, too long or has control characters.
pub(super) fn checked_name(name: &str) -> Result<String, TerminalError> {
    let fits = (1..=NAME_CHARS_MAX).contains(&name.chars().count());
    if fits && !name.chars().any(char::is_control) {
        Ok(name.to_owned())
    } else {
        Err(bad("params.name", format!("a name has 1 to {NAME_CHARS_MAX} characters and no control characters")))
    }
}

/// The program's whole environment; of two values for a name the later one counts.
fn environment(config: &TerminalsConfig, options: &OpenOptions) -> Result<Vec<(String, String)>, TerminalError> {
    let wrong = |(key, value): &&(String, String)| key.is_empty() || key.contains(['=', '\0']) || value.contains('\0');
    if let Some((key, _)) = options.env.iter().find(wrong) {
        return Err(bad("params.env", format!("{key:?} is no variable: no name, '=' in the name, or NUL")));
    }
    let own = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    let agent = AGENT_ENV.iter().filter(|_| options.agent).map(own);
    let terminal = [("TERM", "xterm-256color"), ("COLORTERM", "truecolor")];
    Ok(config
        .env
        .iter()
        .filter(|pair| !wrong(pair))
        .cloned()
        .chain(terminal.iter().map(own))
        .chain(agent)
        .chain(options.env.iter().cloned())
        .collect())
}

fn variable<'a>(env: &'a [(String, String)], name: &str) -> Option<&'a str> {
    env.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn bad(path: &'static str, message: impl Into<String>) -> TerminalError {
    TerminalError::BadParameter { path, message: message.into() }
}
