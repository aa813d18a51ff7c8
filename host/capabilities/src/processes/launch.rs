//! From what a caller asks for to a command that only the machine can refuse.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command as StdCommand, Stdio},
};

use midplane_model::limits::PROCESS_ARGUMENT_BYTES_MAX;
use rustix::process::{Pid, Signal, getpid, getppid, setsid};

use super::{
    error::ProcessError,
    options::{Command, ProcessesConfig},
};
use crate::child::{self, NoFolder};

/// # Errors
/// `OutsideRoot`, `NoSuchFolder`, `UnknownProgram`, `BadParameter`. Blocks on the disk.
pub(super) fn prepare(config: &ProcessesConfig, command: &Command) -> Result<StdCommand, ProcessError> {
    let cwd = folder(&config.root, command.cwd.as_deref().unwrap_or_default())?;
    let program = find(&command.program, config.path.as_deref())?;
    check(command)?;
    let mut std = StdCommand::new(program);
    std.args(&command.args).env_clear().envs(command.env.iter().map(|(name, value)| (name, value))).current_dir(cwd);
    std.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let host = getpid();
    // SAFETY: between fork and exec only system calls are made, which are safe there; nothing is allocated or locked.
    unsafe { std.pre_exec(move || lead_a_session(host).map_err(Into::into)) };
    Ok(std)
}

/// In the child: a session of its own, and the end with the host's, however that comes.
fn lead_a_session(host: Pid) -> Result<(), rustix::io::Errno> {
    setsid()?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have ended between the fork and that line.
        if getppid() != Some(host) {
            return Err(rustix::io::Errno::SRCH);
        }
    }
    Ok(())
}

fn folder(root: &Path, path: &str) -> Result<PathBuf, ProcessError> {
    child::folder(root, path).map_err(|problem| match problem {
        NoFolder::Outside => ProcessError::OutsideRoot { path: path.to_owned() },
        NoFolder::Missing => ProcessError::NoSuchFolder { path: path.to_owned() },
    })
}

/// A relative folder in `PATH` would make a program of whatever lies in the working directory.
fn find(program: &str, path: Option<&str>) -> Result<PathBuf, ProcessError> {
    let unknown = || ProcessError::UnknownProgram { program: program.to_owned() };
    if program.contains('/') && !program.starts_with('/') {
        return Err(unknown());
    }
    let absolute = path.map(|path| std::env::split_paths(path).filter(|folder| folder.is_absolute()));
    let path: Option<OsString> = absolute.and_then(|folders| std::env::join_paths(folders).ok());
    child::program(program, Path::new("/"), path.as_deref().and_then(std::ffi::OsStr::to_str)).ok_or_else(unknown)
}

/// Variables that make the loader run other code inside of a granted program.
const LOADER: [&str; 2] = ["LD_", "DYLD_"];

fn check(command: &Command) -> Result<(), ProcessError> {
    let bad = |path, message: String| Err(ProcessError::BadParameter { path, message });
    if command.args.iter().any(|arg| arg.contains('\0')) {
        return bad("params.args", "an argument must not contain NUL".to_owned());
    }
    for (name, value) in &command.env {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return bad("params.env", format!("{name:?} is no variable: no name, '=' in the name, or NUL"));
        }
        if LOADER.iter().any(|prefix| name.starts_with(prefix)) {
            return bad("params.env", format!("{name} would run other code inside of the program"));
        }
    }
    let env = command.env.iter().map(|(name, value)| name.len() + value.len() + 2);
    let bytes: usize = command.args.iter().map(|arg| arg.len() + 1).chain(env).sum();
    if bytes > PROCESS_ARGUMENT_BYTES_MAX {
        return Err(ProcessError::InputTooLarge { limit_bytes: PROCESS_ARGUMENT_BYTES_MAX });
    }
    Ok(())
}
