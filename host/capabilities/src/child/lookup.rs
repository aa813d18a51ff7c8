//! Finding a program and a folder before anything is forked, so that a wrong name is an error and not an exit.

use std::path::{Component, Path, PathBuf};

use rustix::fs::Access;

/// Why there is no folder to start in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoFolder {
    Outside,
    Missing,
}

/// The folder at `path` below `root`. A program can go anywhere afterwards: this keeps mistakes out, it is no jail.
pub(crate) fn folder(root: &Path, path: &str) -> Result<PathBuf, NoFolder> {
    let relative = Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !relative || path.contains('\0') {
        return Err(NoFolder::Outside);
    }
    let root = root.canonicalize().map_err(|_| NoFolder::Missing)?;
    let folder = root.join(crate::files::on_disk(path)).canonicalize().map_err(|_| NoFolder::Missing)?;
    if !folder.starts_with(&root) {
        return Err(NoFolder::Outside);
    }
    if folder.is_dir() { Ok(folder) } else { Err(NoFolder::Missing) }
}

/// The file of a program: a name is looked up in the folders of `path` (as `PATH` has them), anything else is a path from
/// `cwd`.
pub(crate) fn program(name: &str, cwd: &Path, path: Option<&str>) -> Option<PathBuf> {
    if name.is_empty() || name.contains('\0') {
        return None;
    }
    let executable = |file: &PathBuf| file.is_file() && rustix::fs::access(file, Access::EXEC_OK).is_ok();
    if name.contains('/') {
        return Some(cwd.join(name)).filter(executable);
    }
    std::env::split_paths(path.unwrap_or("/usr/bin:/bin")).map(|folder| cwd.join(folder).join(name)).find(executable)
}
