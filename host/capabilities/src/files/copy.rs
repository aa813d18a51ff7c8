//! Copying a file or a tree: gathered in the host's own folder, and in place in one step, whole.

use std::{
    ffi::CStr,
    fs::File,
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
};

use midplane_model::limits::{COPY_DEPTH_MAX, COPY_ENTRIES_MAX};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags},
    io::Errno,
};

use super::{
    Root,
    error::{FilesError, shown},
    facts::Facts,
    naming::on_disk_c,
    own_writes::{OwnWrite, Trace},
    path::RelativePath,
    relocate::rename_free,
    replace::inherit_group,
    staging::Staging,
    walk::{Last, Place},
};

const GATHERED: &str = "copy";

/// How to copy.
#[derive(Debug, Clone, Default)]
pub struct CopyOptions {
    /// Replace a file that is at the new name; a directory never.
    pub overwrite: bool,
    /// The request that asks for it: comes back with the watcher's change.
    pub origin: Option<Arc<str>>,
}

impl Root {
    /// Copies an entry to a place that `target` can reach, a directory with all that is in it; a link as a link. Modes and times
    /// of change are kept, owners are ours.
    ///
    /// # Errors
    /// As [`Root::rename`]; `conflict` for what is neither file, directory nor link; `too_large` beyond `COPY_ENTRIES_MAX`
    /// entries or `COPY_DEPTH_MAX` levels.
    pub async fn copy(
        &self,
        from: &RelativePath,
        target: &Self,
        to: &RelativePath,
        options: CopyOptions,
    ) -> Result<(), FilesError> {
        let from = self.place("copy", from, Last::Keep).await?;
        let to = target.place("copy", to, Last::Keep).await?;
        let turn = self.inner.turns.wait(vec![to.path.clone()]).await;
        self.run(move |root| {
            let _turn = turn;
            copy(root, &from, &to, &options)
        })
        .await
    }
}

fn copy(root: &Root, from: &Place, to: &Place, options: &CopyOptions) -> Result<(), FilesError> {
    let fail = |errno| FilesError::from_errno("copy", &from.path, errno);
    if to.path.is_within(&from.path) {
        return Err(FilesError::WrongType {
            path: shown(&to.path),
            problem: "lies inside of what should be copied there",
        });
    }
    let replaced = match Facts::at(&to.parent, &to.name) {
        Ok(facts) if options.overwrite && !facts.is_dir() => true,
        Ok(facts) if options.overwrite && facts.is_dir() => {
            return Err(FilesError::WrongType { path: shown(&to.path), problem: "is a directory" });
        }
        Ok(_) => return Err(FilesError::AlreadyExists { path: shown(&to.path) }),
        Err(_) => false,
    };
    let staging = Staging::create(&root.jail.whole()).map_err(fail)?;
    let name = on_disk_c(&from.name).map_err(fail)?;
    let mut copying = Copying { path: &from.path, entries: 0 };
    copying.entry(&from.parent, &name, &staging.folder, c"copy", 0)?;
    let facts = Facts::at(&staging.folder, GATHERED).map_err(fail)?;
    if replaced && facts.is_dir() {
        return Err(FilesError::AlreadyExists { path: shown(&to.path) });
    }
    if facts.is_file()
        && let Ok(file) =
            rustix::fs::openat(&staging.folder, GATHERED, OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty())
    {
        inherit_group(&File::from(file), &to.parent);
    }
    root.inner
        .own
        .note(&to.path, OwnWrite { trace: Trace::from(&facts), version: None, origin: options.origin.clone() });
    let moved = match replaced {
        true => rustix::fs::renameat(&staging.folder, GATHERED, &to.parent, to.on_disk()),
        false => rename_free(staging.folder.as_fd(), GATHERED, to.parent.as_fd(), &to.name),
    };
    moved.map_err(|errno| {
        root.inner.own.forget(&to.path);
        match errno {
            Errno::XDEV => FilesError::OtherFileSystem { path: shown(&to.path) },
            errno => FilesError::from_errno("copy", &to.path, errno),
        }
    })
}

struct Copying<'a> {
    /// What errors are about: names below may be no paths.
    path: &'a RelativePath,
    entries: usize,
}

impl<'a> Copying<'a> {
    fn failing(&self) -> impl Fn(Errno) -> FilesError + use<'a> {
        let path = self.path;
        move |errno| FilesError::from_errno("copy", path, errno)
    }

    /// Copies one entry by descriptors, never through a link. As deep as `COPY_DEPTH_MAX`, which no stack minds.
    fn entry(
        &mut self,
        from: &OwnedFd,
        name: &CStr,
        to: &OwnedFd,
        new_name: &CStr,
        depth: usize,
    ) -> Result<(), FilesError> {
        self.entries += 1;
        if self.entries > COPY_ENTRIES_MAX || depth > COPY_DEPTH_MAX {
            return Err(FilesError::TooMany {
                path: shown(self.path),
                entries: COPY_ENTRIES_MAX,
                levels: COPY_DEPTH_MAX,
            });
        }
        let fail = self.failing();
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW).map_err(&fail)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => file(from, name, to, new_name).map_err(fail),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new()).map_err(&fail)?;
                rustix::fs::symlinkat(target, to, new_name).map_err(fail)
            }
            FileType::Directory => self.directory(from, name, to, new_name, depth),
            _ => Err(fail(Errno::NXIO)),
        }
    }

    fn directory(
        &mut self,
        from: &OwnedFd,
        name: &CStr,
        to: &OwnedFd,
        new_name: &CStr,
        depth: usize,
    ) -> Result<(), FilesError> {
        let fail = self.failing();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let source = rustix::fs::openat(from, name, flags, Mode::empty()).map_err(&fail)?;
        let facts = Facts::of(&source).map_err(&fail)?;
        rustix::fs::mkdirat(to, new_name, Mode::from_raw_mode(0o700)).map_err(&fail)?;
        let target = rustix::fs::openat(to, new_name, flags, Mode::empty()).map_err(&fail)?;
        for entry in Dir::read_from(&source).map_err(&fail)? {
            let entry = entry.map_err(&fail)?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                self.entry(&source, entry.file_name(), &target, entry.file_name(), depth + 1)?;
            }
        }
        // After what is in it, which a directory without write permission would not have taken.
        finish(&target, &facts).map_err(&fail)
    }
}

fn file(from: &OwnedFd, name: &CStr, to: &OwnedFd, new_name: &CStr) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (mut source, facts) = super::jail::regular(rustix::fs::openat(from, name, flags, Mode::empty())?)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut target = File::from(rustix::fs::openat(to, new_name, flags, Mode::from_raw_mode(0o600))?);
    std::io::copy(&mut source, &mut target).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    finish(&OwnedFd::from(target), &facts)
}

/// Mode and time of change of the original. The bits that give another's rights are not copied.
fn finish(target: &OwnedFd, facts: &Facts) -> Result<(), Errno> {
    #[allow(clippy::unnecessary_cast, reason = "mode_t has another width on other platforms")]
    rustix::fs::fchmod(target, Mode::from_raw_mode((facts.mode & 0o1777) as rustix::fs::RawMode))?;
    let time = rustix::fs::Timespec {
        tv_sec: facts.mtime_ns.div_euclid(1_000_000_000),
        tv_nsec: facts.mtime_ns.rem_euclid(1_000_000_000) as _,
    };
    rustix::fs::futimens(target, &rustix::fs::Timestamps { last_access: time, last_modification: time })
}
