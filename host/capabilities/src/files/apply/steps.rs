//! What a set does to the disk, step by step. Each step can be done again when it is done already, and undone whether it was
//! done or not: after a crash nobody knows how far the set had come.

use std::fs::File;

use rustix::{
    fs::{AtFlags, Mode, OFlags, RenameFlags},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        facts::Facts,
        jail::{Jail, regular},
        naming::on_disk,
        overwrite::pour,
        path::RelativePath,
        relocate::rename_free,
        replace::sync_directory,
        staging::Staging,
        walk::Place,
    },
    plan::exact,
};

/// Names without a path are those of the staging folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Step {
    /// Makes a directory that was not there.
    MakeDir { path: RelativePath },
    /// Brings a staged file to a name; what was there goes to the staging folder in exchange.
    Put { path: RelativePath, staged: String, ino: u64, replaces: bool },
    /// Writes a staged file's bytes into the one that is there; what it had is kept in `former`.
    Overwrite { path: RelativePath, staged: String, former: String },
    /// Takes an entry to the staging folder.
    Take { path: RelativePath, kept: String },
    /// Moves a directory.
    MoveTree { from: RelativePath, to: RelativePath },
}

/// Where the steps happen.
pub(in super::super) struct Site<'a> {
    pub jail: &'a Jail,
    pub staging: &'a Staging,
}

impl Step {
    /// Does it, unless it is done.
    pub fn redo(&self, site: &Site<'_>) -> Result<(), Errno> {
        match self {
            Self::MakeDir { path } => {
                let place = exact(site.jail, path)?;
                match rustix::fs::mkdirat(&place.parent, place.on_disk(), Mode::from_raw_mode(0o777)) {
                    Err(Errno::EXIST) if Facts::at(&place.parent, &place.name)?.is_dir() => Ok(()),
                    made => made,
                }
            }
            Self::Put { path, staged, ino, replaces } => {
                let place = exact(site.jail, path)?;
                match ino_at(&place)? == Some(*ino) && !is_linked_twice(site, staged, *ino) {
                    true => Ok(()),
                    false if *replaces => site.exchange(staged, &place),
                    false => site.free(staged, &place),
                }
            }
            Self::Overwrite { path, staged, .. } => site.pour(staged, path),
            Self::Take { path, kept } => {
                if Facts::at(&site.staging.folder, kept).is_ok() {
                    return Ok(());
                }
                let place = exact(site.jail, path)?;
                match rustix::fs::renameat(&place.parent, place.on_disk(), &site.staging.folder, kept.as_str()) {
                    Err(Errno::NOENT) => Ok(()),
                    taken => taken,
                }
            }
            Self::MoveTree { from, to } => {
                let (from, to) = (exact(site.jail, from)?, exact(site.jail, to)?);
                match move_free(&from, &to) {
                    Err(Errno::NOENT) if Facts::at(&to.parent, &to.name).is_ok() => Ok(()),
                    moved => moved,
                }
            }
        }
    }

    /// Takes it back, if it was done.
    pub fn undo(&self, site: &Site<'_>) -> Result<(), Errno> {
        match self {
            Self::MakeDir { path } => {
                let place = exact(site.jail, path)?;
                match rustix::fs::unlinkat(&place.parent, place.on_disk(), AtFlags::REMOVEDIR) {
                    // Somebody else has put something into it meanwhile: it stays for that.
                    Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
                    removed => removed,
                }
            }
            Self::Put { path, staged, ino, replaces } => {
                let place = exact(site.jail, path)?;
                if ino_at(&place)? != Some(*ino) || is_linked_twice(site, staged, *ino) {
                    return Ok(());
                }
                match replaces {
                    true => site.exchange(staged, &place),
                    false => {
                        rustix::fs::renameat(&place.parent, place.on_disk(), &site.staging.folder, staged.as_str())
                    }
                }
            }
            Self::Overwrite { path, former, .. } => site.pour(former, path),
            Self::Take { path, kept } => {
                if Facts::at(&site.staging.folder, kept).is_err() {
                    return Ok(());
                }
                site.free(kept, &exact(site.jail, path)?)
            }
            Self::MoveTree { from, to } => {
                let (from, to) = (exact(site.jail, from)?, exact(site.jail, to)?);
                match Facts::at(&from.parent, &from.name) {
                    Err(Errno::NOENT) => move_free(&to, &from),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Makes the names durable that the step changed.
    pub fn sync(&self, site: &Site<'_>) -> Result<(), Errno> {
        let paths = match self {
            Self::MakeDir { path } | Self::Put { path, .. } | Self::Take { path, .. } => [Some(path), None],
            Self::Overwrite { .. } => [None, None],
            Self::MoveTree { from, to } => [Some(from), Some(to)],
        };
        paths.into_iter().flatten().try_for_each(|path| sync_directory(&exact(site.jail, path)?.parent))
    }
}

impl Site<'_> {
    /// The staged entry and the one at the place take each other's name in one step.
    fn exchange(&self, staged: &str, place: &Place) -> Result<(), Errno> {
        let folder = &self.staging.folder;
        let exchanged = exchange(folder, staged, place);
        if !matches!(exchanged, Err(Errno::INVAL | Errno::NOSYS)) {
            return exchanged;
        }
        // A file system that cannot: for a moment there is nothing at the place.
        let aside = format!("{staged}-aside");
        rustix::fs::renameat(&place.parent, place.on_disk(), folder, on_disk(&aside))?;
        rustix::fs::renameat(folder, on_disk(staged), &place.parent, place.on_disk())?;
        rustix::fs::renameat(folder, on_disk(&aside), folder, on_disk(staged))
    }

    /// The staged entry takes a name that nobody has.
    fn free(&self, staged: &str, place: &Place) -> Result<(), Errno> {
        use std::os::fd::AsFd as _;
        let (folder, parent) = (self.staging.folder.as_fd(), place.parent.as_fd());
        match rename_free(folder, staged, parent, &place.name) {
            Err(Errno::INVAL | Errno::NOSYS) => match Facts::at(parent, &place.name) {
                Ok(_) => Err(Errno::EXIST),
                Err(_) => rustix::fs::renameat(folder, on_disk(staged), parent, place.on_disk()),
            },
            moved => moved,
        }
    }

    /// Writes a staged file's bytes into the file at the path.
    fn pour(&self, staged: &str, path: &RelativePath) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let source = File::from(rustix::fs::openat(&self.staging.folder, on_disk(staged), flags, Mode::empty())?);
        let (target, _) = exact(self.jail, path)?.open(OFlags::WRONLY | OFlags::NONBLOCK).and_then(regular)?;
        pour(&source, &target)
            .and_then(|()| target.sync_all())
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

fn ino_at(place: &Place) -> Result<Option<u64>, Errno> {
    match Facts::at(&place.parent, &place.name) {
        Ok(facts) => Ok(Some(facts.ino)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Whether the staged name still leads to the file, too: then what stands at the place has not come from it.
fn is_linked_twice(site: &Site<'_>, staged: &str, ino: u64) -> bool {
    Facts::at(&site.staging.folder, staged).is_ok_and(|facts| facts.ino == ino)
}

fn move_free(from: &Place, to: &Place) -> Result<(), Errno> {
    use std::os::fd::AsFd as _;
    match rename_free(from.parent.as_fd(), &from.name, to.parent.as_fd(), &to.name) {
        Err(Errno::INVAL | Errno::NOSYS) => match Facts::at(&to.parent, &to.name) {
            Ok(_) => Err(Errno::EXIST),
            Err(_) => rustix::fs::renameat(&from.parent, from.on_disk(), &to.parent, to.on_disk()),
        },
        moved => moved,
    }
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn exchange(folder: &std::os::fd::OwnedFd, staged: &str, place: &Place) -> Result<(), Errno> {
    rustix::fs::renameat_with(folder, on_disk(staged), &place.parent, place.on_disk(), RenameFlags::EXCHANGE)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn exchange(_: &std::os::fd::OwnedFd, _: &str, _: &Place) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}
