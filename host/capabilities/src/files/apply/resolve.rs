//! From the paths that a set names to the real ones.

use rustix::io::Errno;

use super::{
    super::{
        error::{FilesError, shown},
        jail::Jail,
        path::RelativePath,
        walk::Last,
    },
    Change, Target,
};

/// A change whose paths are real ones.
pub(super) struct Resolved {
    pub change: Change,
    pub path: RelativePath,
    /// Of a move.
    pub to: Option<RelativePath>,
}

/// Finds the real paths of all changes, as far as they exist: those that the set has a turn on.
pub(super) fn resolve(changes: Vec<Change>) -> Result<(Vec<Resolved>, Vec<RelativePath>), FilesError> {
    let mut paths = Vec::new();
    let mut resolved = Vec::with_capacity(changes.len());
    for (index, change) in changes.into_iter().enumerate() {
        let (at, last) = match &change {
            Change::Write { at, .. } | Change::Edit { at, .. } => (at, Last::Follow),
            Change::Delete { at, .. } | Change::MakeDir { at, .. } => (at, Last::Keep),
            Change::Move { from, .. } => (from, Last::Keep),
        };
        let path = real(at, last).map_err(|error| error.in_change(index))?;
        let to = match &change {
            Change::Move { to, .. } => Some(real(to, Last::Keep).map_err(|error| error.in_change(index))?),
            _ => None,
        };
        paths.extend([Some(&path), to.as_ref()].into_iter().flatten().cloned());
        resolved.push(Resolved { change, path, to });
    }
    Ok((resolved, paths))
}

fn real(target: &Target, last: Last) -> Result<RelativePath, FilesError> {
    let path = real_path(&target.root.jail, &target.path, last)
        .map_err(|errno| FilesError::from_errno("change", &target.path, errno))?;
    match path.is_root() {
        true => Err(FilesError::WrongType { path: shown(&path), problem: "is the root of the workspace" }),
        false => Ok(path),
    }
}

fn real_path(jail: &Jail, path: &RelativePath, last: Last) -> Result<RelativePath, Errno> {
    match jail.place(path, last) {
        Ok(place) => Ok(place.map_or_else(RelativePath::root, |place| place.path)),
        // What is above may be made by the set itself.
        Err(Errno::NOENT) => {
            let parent = path.parent().ok_or(Errno::NOENT)?;
            real_path(jail, &parent, Last::Follow).map(|parent| parent.join(path.name()))
        }
        Err(errno) => Err(errno),
    }
}
