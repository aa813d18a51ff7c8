//! Making directories.

use std::sync::Arc;

use rustix::{fs::Mode, io::Errno};

use super::{
    error::FilesError,
    jail::Jail,
    own_writes::{OwnWrite, OwnWrites, Trace},
    path::RelativePath,
    walk::Last,
};

/// How to make a directory.
#[derive(Debug, Clone, Default)]
pub struct MakeDirOptions {
    /// Make missing parents too, and be content with a directory that exists.
    pub parents: bool,
    /// The request that asks for it: comes back with the watcher's change.
    pub origin: Option<Arc<str>>,
}

pub(super) fn make_dir(
    jail: &Jail,
    own: &OwnWrites,
    path: &RelativePath,
    options: &MakeDirOptions,
) -> Result<(), FilesError> {
    if !options.parents {
        return make_one(jail, own, path, options).map_err(|errno| FilesError::from_errno("make", path, errno));
    }
    let fail = |errno| FilesError::from_errno("make", path, errno);
    let below = path.rebase(jail.floor(), &RelativePath::root()).ok_or_else(|| fail(Errno::XDEV))?;
    let mut step = jail.floor().clone();
    make_or_find(jail, own, &step, options)?;
    for name in below.segments() {
        step = step.join(name);
        make_or_find(jail, own, &step, options)?;
    }
    Ok(())
}

fn make_or_find(jail: &Jail, own: &OwnWrites, path: &RelativePath, options: &MakeDirOptions) -> Result<(), FilesError> {
    match make_one(jail, own, path, options) {
        Err(Errno::EXIST) if jail.facts(path).is_ok_and(|facts| facts.is_dir()) => Ok(()),
        made => made.map_err(|errno| FilesError::from_errno("make", path, errno)),
    }
}

fn make_one(jail: &Jail, own: &OwnWrites, path: &RelativePath, options: &MakeDirOptions) -> Result<(), Errno> {
    let place = jail.place(path, Last::Keep)?.ok_or(Errno::EXIST)?;
    let result = rustix::fs::mkdirat(&place.parent, place.on_disk(), Mode::from_raw_mode(0o777));
    if result.is_ok() {
        own.note(&place.path, OwnWrite { trace: Trace::Directory, version: None, origin: options.origin.clone() });
    }
    result
}
