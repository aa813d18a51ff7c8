//! The atomic way to write: a temporary file in the same directory takes the name in one step.

use std::{
    fs::File,
    io::Write as _,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::{
    fs::{AtFlags, Gid, Mode, OFlags, Uid},
    io::Errno,
};

use super::{
    error::{FilesError, shown},
    facts::Facts,
    path::RelativePath,
    staging::OWN_FOLDER,
    strays::{Stray, Strays},
    version::Version,
    walk::Place,
    write::{Create, Job, Present},
};

/// The kernel's own bound for the names, and for a value.
#[cfg(target_os = "linux")]
const XATTR_BYTES_MAX: usize = 64 * 1024;
const PREFIX: &str = ".midplane-";
const SUFFIX: &str = ".tmp";

/// Whether a name is one of our temporary files.
pub(super) fn is_temporary(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// Whether a name is the host's own, which listings and watchers leave out.
pub(crate) fn is_ours(name: &str) -> bool {
    name == OWN_FOLDER || is_temporary(name)
}

/// Whether the file could be replaced.
pub(super) enum Replaced {
    /// The new file, after the rename.
    Done(Facts),
    /// Replacing is not possible here, and nothing has changed.
    Refused(Errno),
}

/// Replaces the file, or makes it where there is none.
pub(super) fn replace(job: &Job<'_>, present: Option<&Present>) -> Result<Replaced, FilesError> {
    let temporary = match Temporary::create(&job.root.inner.strays, job.place) {
        Ok(temporary) => temporary,
        Err(errno @ (Errno::ACCESS | Errno::PERM | Errno::ROFS)) => return Ok(Replaced::Refused(errno)),
        Err(errno) => return Err(job.fail(errno)),
    };
    if let Some(present) = present
        && let Err(errno) = keep_attributes(&temporary.file, Some(present.file.as_fd()), &present.facts)
    {
        return Ok(Replaced::Refused(errno));
    }
    (&temporary.file).write_all(job.bytes).map_err(|error| FilesError::from_io("write", job.path(), error))?;
    if job.options.durable {
        rustix::fs::fsync(&temporary.file).map_err(|errno| job.fail(errno))?;
    }
    if let Some(present) = present.filter(|_| job.options.if_version.is_some()) {
        check_untouched(job, present)?;
    }
    publish(job, temporary, present.is_none())
}

/// Gives the temporary file its name, telling the watcher first.
fn publish(job: &Job<'_>, mut temporary: Temporary<'_>, is_new: bool) -> Result<Replaced, FilesError> {
    let facts = Facts::of(&temporary.file).map_err(|errno| job.fail(errno))?;
    job.note(&facts);
    let renamed = match is_new && job.options.create == Create::MustNotExist {
        true => temporary.rename_to_free(job.place),
        false => {
            rustix::fs::renameat(&job.place.parent, temporary.name.as_str(), &job.place.parent, job.place.on_disk())
        }
    };
    if let Err(errno) = renamed {
        job.root.inner.own.forget(job.path());
        return match errno {
            Errno::XDEV | Errno::BUSY | Errno::PERM | Errno::ACCESS => Ok(Replaced::Refused(errno)),
            errno => Err(job.fail(errno)),
        };
    }
    temporary.keep = true;
    if job.options.durable {
        sync_directory(&job.place.parent).map_err(|errno| job.fail(errno))?;
    }
    // The rename has set the change time, which versions of large files stand on.
    let facts = Facts::of(&temporary.file).map_err(|errno| job.fail(errno))?;
    if Version::of_bytes(job.bytes).is_none() {
        job.note(&facts);
    }
    Ok(Replaced::Done(facts))
}

/// A foreign writer does not queue with us; this narrows its window to the few microseconds before the rename.
fn check_untouched(job: &Job<'_>, present: &Present) -> Result<(), FilesError> {
    let now = Facts::at(&job.place.parent, &job.place.name);
    if now == Ok(present.facts) {
        return Ok(());
    }
    let current = job.place.open(OFlags::RDONLY | OFlags::NONBLOCK).and_then(super::jail::regular).ok();
    let current = current.and_then(|(file, facts)| Version::of_file(&file, &facts).ok()).map(|(version, _)| version);
    Err(FilesError::Stale { path: shown(job.path()), current })
}

/// Gives a new file what the old one has beside its content: owner, mode, extended attributes and with them access lists.
///
/// # Errors
/// What of it cannot be kept: then the old file is to be written over.
pub(super) fn keep_attributes(file: &File, old: Option<BorrowedFd<'_>>, facts: &Facts) -> Result<(), Errno> {
    keep_owner_and_mode(file, facts)?;
    old.map_or(Ok(()), |old| keep_extended(file, old))
}

/// A file that is made elsewhere and moved belongs to the group that it would have got where it goes.
pub(super) fn inherit_group(file: &File, parent: &OwnedFd) {
    const SET_GROUP: u32 = 0o2000;
    if let Ok(facts) = Facts::of(parent)
        && facts.mode & SET_GROUP != 0
    {
        // Who may not give it keeps it with a group of his own: as good as the kernel allows.
        _ = rustix::fs::fchown(file, None, Some(Gid::from_raw(facts.gid)));
    }
}

#[cfg(target_os = "linux")]
fn keep_extended(file: &File, old: BorrowedFd<'_>) -> Result<(), Errno> {
    use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
    let mut names = vec![0_u8; XATTR_BYTES_MAX];
    let length = match flistxattr(old, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    let mut value = vec![0_u8; XATTR_BYTES_MAX];
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let size = match fgetxattr(old, name, &mut value[..]) {
            Ok(size) => size,
            Err(Errno::NODATA) => continue,
            Err(errno) => return Err(errno),
        };
        match fsetxattr(file, name, &value[..size], XattrFlags::empty()) {
            // Labels of the system are the system's to give, and a new file has got its own.
            Err(Errno::PERM | Errno::OPNOTSUPP) if name.starts_with(b"security.") => {}
            set => set?,
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn keep_extended(_: &File, _: BorrowedFd<'_>) -> Result<(), Errno> {
    Ok(())
}

fn keep_owner_and_mode(file: &File, old: &Facts) -> Result<(), Errno> {
    let new = Facts::of(file)?;
    if (new.uid, new.gid) != (old.uid, old.gid) {
        rustix::fs::fchown(file, Some(Uid::from_raw(old.uid)), Some(Gid::from_raw(old.gid)))?;
    }
    // After the owner: changing that clears the set-id bits.
    #[allow(clippy::unnecessary_cast, reason = "mode_t has another width on other platforms")]
    rustix::fs::fchmod(file, Mode::from_raw_mode(old.mode as rustix::fs::RawMode))
}

/// Makes a rename survive a power cut. The descriptor of a place may be one that cannot be synced, so it opens its own.
pub(super) fn sync_directory(directory: &OwnedFd) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::fsync(rustix::fs::openat(directory, ".", flags, Mode::empty())?)
}

/// A file that removes itself unless kept.
struct Temporary<'a> {
    place: &'a Place,
    name: String,
    file: File,
    keep: bool,
    _listed: Stray<'a>,
}

impl<'a> Temporary<'a> {
    fn create(strays: &'a Strays, place: &'a Place) -> Result<Self, Errno> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("{PREFIX}{:x}-{number:x}{SUFFIX}", std::process::id());
            let beside = place.path.parent().unwrap_or_else(RelativePath::root).join(&name);
            let listed = strays.expect(&beside).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
            // The process's umask makes this what any new file would get.
            match rustix::fs::openat(&place.parent, name.as_str(), flags, Mode::from_raw_mode(0o666)) {
                Ok(fd) => return Ok(Self { place, name, file: File::from(fd), keep: false, _listed: listed }),
                // Left behind by a process with our id that was killed.
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Renames to a name that nobody has; `EEXIST` if somebody was faster.
    fn rename_to_free(&self, place: &Place) -> Result<(), Errno> {
        let parent = place.parent.as_fd();
        match super::relocate::rename_free(parent, &self.name, parent, &place.name) {
            // File systems without that flag have links, which never replace anything either.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::linkat(parent, self.name.as_str(), parent, place.on_disk(), AtFlags::empty())?;
                rustix::fs::unlinkat(parent, self.name.as_str(), AtFlags::empty())
            }
            result => result,
        }
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.keep {
            // Best effort: one that stays behind is left out of listings and of watching.
            _ = rustix::fs::unlinkat(&self.place.parent, self.name.as_str(), AtFlags::empty());
        }
    }
}
