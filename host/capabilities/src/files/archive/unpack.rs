//! An archive becomes a tree: everything is written in the host's own folder first, then brought into place as one set of steps.

use std::{
    collections::HashSet,
    ffi::{CStr, CString},
    fs::File,
    io::{self, Read, Write as _},
    os::fd::OwnedFd,
    sync::Arc,
};

use midplane_model::limits::{
    ARCHIVE_ENTRIES_MAX, COPY_DEPTH_MAX, STREAM_BYTES_MAX, STREAM_PIECE_BYTES, UNPACK_BYTES_MIN, UNPACK_RATIO_MAX,
};
use rustix::{
    fs::{AtFlags, Mode, OFlags, Timespec, Timestamps},
    io::Errno,
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        Root,
        apply::{Site, Step, carry_out},
        error::{FilesError, shown},
        facts::Facts,
        naming::on_disk,
        path::RelativePath,
        staging::Staging,
        walk::{Last, Place},
    },
    ArchiveFormat,
    names::{Name, bad},
    tar_in, zip_in,
};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Between two looks for what is to be told.
const TOLD_BYTES: u64 = 4 * 1024 * 1024;

/// How to unpack.
#[derive(Clone, Default)]
pub struct UnpackOptions {
    /// Files and links take the place of those that are there. Directories of one name are always one.
    pub overwrite: bool,
    /// Ends the work; nothing has changed then.
    pub cancel: CancellationToken,
    /// Is told now and then how far it is; never waits.
    pub told: Option<Arc<dyn Fn(Unpacked) + Send + Sync>>,
    /// The request that asks for it: comes back with the watcher's changes.
    pub origin: Option<Arc<str>>,
}

/// What has been unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unpacked {
    pub files: u64,
    pub directories: u64,
    pub links: u64,
    /// Of the files.
    pub bytes: u64,
}

impl Root {
    /// Unpacks an archive of the tree into a directory that `target` can reach, which is made if only it is missing. All of it, also
    /// when the host is killed in the midst of it, or nothing. The format is known by the archive's first bytes.
    ///
    /// # Errors
    /// `invalid_params` for what is no archive, or one with names and links that lead elsewhere, special files, or one name twice;
    /// `too_large` beyond `ARCHIVE_ENTRIES_MAX` entries, `STREAM_BYTES_MAX` or `UNPACK_RATIO_MAX`; `already_exists` for what is
    /// there and may not be replaced; `no_space`, `cancelled`; `unavailable` as [`Root::pack`].
    pub async fn unpack(
        &self,
        archive: &RelativePath,
        target: &Self,
        to: &RelativePath,
        options: UnpackOptions,
    ) -> Result<Unpacked, FilesError> {
        let archive = archive.clone();
        let opened = self.run(move |root| {
            root.jail.open_file(&archive).map_err(|errno| FilesError::from_errno("unpack", &archive, errno))
        });
        let (file, _) = opened.await?;
        target.unpack_file(file, to, options).await
    }

    /// The same of an open file.
    pub(super) async fn unpack_file(
        &self,
        file: File,
        to: &RelativePath,
        options: UnpackOptions,
    ) -> Result<Unpacked, FilesError> {
        let permit = self.inner.archives.enter()?;
        let (target, cancel) = (to.clone(), options.cancel.clone());
        let place = self.run(move |root| Into::find(root, &target)).await?;
        let told = options.told.clone();
        let unpacked = self.run(move |root| {
            let _permit = permit;
            let mut tree = Tree::create(root, &file, cancel, told)?;
            match ArchiveFormat::of(&file).map_err(|_| bad(b"", "cannot be read"))? {
                Some(ArchiveFormat::TarGz) => tar_in::unpack(file, &mut tree)?,
                Some(ArchiveFormat::Zip) => zip_in::unpack(file, &mut tree)?,
                None => return Err(bad(b"", "is neither a .tar.gz nor a .zip")),
            }
            tree.finish()?;
            let steps = place.steps(root, &tree, options.overwrite)?;
            Ok((tree, steps))
        });
        let (tree, steps) = unpacked.await?;
        let turn = self.inner.turns.wait(steps.iter().map(|step| step.path().clone()).collect()).await;
        self.run(move |root| {
            let _turn = turn;
            tree.go_on()?;
            let site = Site { jail: &root.jail.whole(), staging: &tree.staging };
            carry_out(root, &site, &steps, options.origin.as_ref())?;
            Ok(tree.done)
        })
        .await
    }
}

/// Where the tree goes.
struct Into {
    path: RelativePath,
    is_new: bool,
}

impl Into {
    fn find(root: &Root, path: &RelativePath) -> Result<Self, FilesError> {
        let fail = |errno| FilesError::from_errno("unpack into", path, errno);
        let Some(Place { parent, name, path: real }) = root.jail.place(path, Last::Follow).map_err(fail)? else {
            return Ok(Self { path: RelativePath::root(), is_new: false });
        };
        match Facts::at(&parent, &name) {
            Ok(facts) if facts.is_dir() => Ok(Self { path: real, is_new: false }),
            Ok(_) => Err(fail(Errno::NOTDIR)),
            Err(Errno::NOENT) => Ok(Self { path: real, is_new: true }),
            Err(errno) => Err(fail(errno)),
        }
    }

    /// What brings the tree into place.
    fn steps(&self, root: &Root, tree: &Tree, overwrite: bool) -> Result<Vec<Step>, FilesError> {
        let mut steps = Vec::new();
        if self.is_new {
            steps.push(Step::MakeDir { path: self.path.clone() });
        }
        let there = match self.is_new {
            true => None,
            false => {
                let opened = root.jail.whole().open_existing(&self.path, DIRECTORY);
                Some(opened.map_err(|errno| FilesError::from_errno("unpack into", &self.path, errno))?)
            }
        };
        let merging = Merging { overwrite, steps };
        merging.directory(&tree.staging.folder, "", there.as_ref(), &self.path, 0)
    }
}

struct Merging {
    overwrite: bool,
    steps: Vec<Step>,
}

impl Merging {
    /// What is unpacked in `from`, which is `staged` in the staging folder, comes into `there`, which is at `path`.
    fn directory(
        mut self,
        from: &OwnedFd,
        staged: &str,
        there: Option<&OwnedFd>,
        path: &RelativePath,
        depth: usize,
    ) -> Result<Vec<Step>, FilesError> {
        self.level(from, staged, there, path, depth)?;
        Ok(self.steps)
    }

    fn level(
        &mut self,
        from: &OwnedFd,
        staged: &str,
        there: Option<&OwnedFd>,
        path: &RelativePath,
        depth: usize,
    ) -> Result<(), FilesError> {
        let fail = |errno| FilesError::from_errno("unpack into", path, errno);
        for name in super::super::names(from).map_err(fail)? {
            let facts = Facts::at(from, &name).map_err(fail)?;
            let staged = if staged.is_empty() { name.clone() } else { format!("{staged}/{name}") };
            let path = path.join(&name);
            let present = there.map(|there| Facts::at(there, &name));
            match present {
                Some(Ok(present)) if present.is_dir() && facts.is_dir() && depth < COPY_DEPTH_MAX => {
                    let below = |folder: &OwnedFd| rustix::fs::openat(folder, on_disk(&name), DIRECTORY, Mode::empty());
                    let (from, there) = (below(from).map_err(fail)?, there.map(below).transpose().map_err(fail)?);
                    self.level(&from, &staged, there.as_ref(), &path, depth + 1)?;
                }
                Some(Ok(present)) if self.overwrite && !present.is_dir() && !facts.is_dir() => {
                    self.steps.push(Step::Put { path, staged, ino: facts.ino, replaces: true });
                }
                Some(Ok(_)) => return Err(FilesError::AlreadyExists { path: shown(&path) }),
                None | Some(Err(Errno::NOENT)) => {
                    self.steps.push(Step::Put { path, staged, ino: facts.ino, replaces: false });
                }
                Some(Err(errno)) => return Err(fail(errno)),
            }
        }
        Ok(())
    }
}

/// The tree on its way, in a folder of its own.
pub(super) struct Tree {
    staging: Staging,
    /// Bytes that the archive may become.
    bytes_max: u64,
    entries: usize,
    done: Unpacked,
    told_bytes: u64,
    /// Directories whose mode and time wait until all is in them.
    waiting: Vec<(Name, About)>,
    named: HashSet<Name>,
    cancel: CancellationToken,
    told: Option<Arc<dyn Fn(Unpacked) + Send + Sync>>,
}

/// What an archive says about an entry beside its content.
#[derive(Debug, Clone, Copy)]
pub(super) struct About {
    /// Permission bits; those that give another's rights are not taken.
    pub mode: u32,
    /// Seconds since 1970.
    pub modified: Option<i64>,
}

impl Tree {
    fn create(
        root: &Root,
        archive: &File,
        cancel: CancellationToken,
        told: Option<Arc<dyn Fn(Unpacked) + Send + Sync>>,
    ) -> Result<Self, FilesError> {
        let fail = |errno| FilesError::from_errno("unpack in", &RelativePath::root(), errno);
        let size = Facts::of(archive).map_err(fail)?.size;
        Ok(Self {
            staging: Staging::create(&root.jail.whole()).map_err(fail)?,
            bytes_max: size.saturating_mul(UNPACK_RATIO_MAX).clamp(UNPACK_BYTES_MIN, STREAM_BYTES_MAX),
            entries: 0,
            done: Unpacked::default(),
            told_bytes: 0,
            waiting: Vec::new(),
            named: HashSet::new(),
            cancel,
            told,
        })
    }

    /// One more entry; whoever asked for it may have given up.
    pub fn count(&mut self) -> Result<(), FilesError> {
        self.entries += 1;
        if self.entries > ARCHIVE_ENTRIES_MAX {
            let (entries, levels) = (ARCHIVE_ENTRIES_MAX, COPY_DEPTH_MAX);
            return Err(FilesError::TooMany { path: "the archive".into(), entries, levels });
        }
        self.go_on()
    }

    fn go_on(&self) -> Result<(), FilesError> {
        if self.cancel.is_cancelled() { Err(FilesError::Cancelled) } else { Ok(()) }
    }

    /// `content` is read as far as it goes; `raw` is the name as the archive has it.
    pub fn file(&mut self, raw: &[u8], about: About, mut content: impl Read) -> Result<(), FilesError> {
        let (parent, name) = self.place(raw)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&parent, name.as_c_str(), flags, Mode::from_raw_mode(0o600));
        let mut file = File::from(opened.map_err(|errno| failed(raw, errno))?);
        let mut piece = vec![0; STREAM_PIECE_BYTES];
        loop {
            self.go_on()?;
            let count = match content.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Err(bad(raw, "is damaged")),
            };
            self.done.bytes += count as u64;
            if self.done.bytes > self.bytes_max {
                return Err(FilesError::TooLarge { path: "the archive".into(), limit_bytes: self.bytes_max });
            }
            file.write_all(&piece[..count]).map_err(|error| match Errno::from_io_error(&error) {
                Some(errno) => failed(raw, errno),
                None => bad(raw, "cannot be written"),
            })?;
            if self.done.bytes - self.told_bytes >= TOLD_BYTES {
                self.tell();
            }
        }
        self.done.files += 1;
        finish(&OwnedFd::from(file), about).map_err(|errno| failed(raw, errno))
    }

    pub fn directory(&mut self, raw: &[u8], about: About) -> Result<(), FilesError> {
        let name = Name::parse(raw)?;
        self.descend(raw, name.parts())?;
        if name.parts().is_empty() {
            return Ok(());
        }
        // One that is named again is the same one.
        if self.named.insert(name.clone()) {
            self.done.directories += 1;
            self.waiting.push((name, about));
        }
        Ok(())
    }

    pub fn link(&mut self, raw: &[u8], target: &[u8]) -> Result<(), FilesError> {
        let name = Name::parse(raw)?;
        if !name.may_point(target) {
            return Err(bad(raw, "is a link that may lead elsewhere"));
        }
        let target = CString::new(target).map_err(|_| bad(raw, "is a link with a NUL"))?;
        let (parent, name) = self.place(raw)?;
        self.done.links += 1;
        rustix::fs::symlinkat(target.as_c_str(), &parent, name.as_c_str()).map_err(|errno| failed(raw, errno))
    }

    /// A second name for a file of the archive that came before.
    pub fn second_name(&mut self, raw: &[u8], first: &[u8]) -> Result<(), FilesError> {
        let (parent, name) = self.place(raw)?;
        let missing = || bad(raw, "is a second name of what is not in the archive");
        let first = Name::parse(first)?;
        let (first_name, above) = first.split_last().ok_or_else(missing)?;
        let first_parent = self.walk(above, false).map_err(|_| missing())?;
        let stat = rustix::fs::statat(&first_parent, first_name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW);
        if !stat.is_ok_and(|stat| Facts::from(&stat).is_file()) {
            return Err(missing());
        }
        self.done.files += 1;
        rustix::fs::linkat(&first_parent, first_name.as_c_str(), &parent, name.as_c_str(), AtFlags::empty())
            .map_err(|errno| failed(raw, errno))
    }

    /// The directory of an entry, made where it is missing, and the name in it.
    fn place(&self, raw: &[u8]) -> Result<(OwnedFd, CString), FilesError> {
        let parsed = Name::parse(raw)?;
        let (name, above) = parsed.split_last().ok_or_else(|| bad(raw, "is no directory, and has no name"))?;
        Ok((self.descend(raw, above)?, name.clone()))
    }

    fn descend(&self, raw: &[u8], parts: &[CString]) -> Result<OwnedFd, FilesError> {
        self.walk(parts, true).map_err(|errno| failed(raw, errno))
    }

    /// Never through a link, and so never out.
    fn walk(&self, parts: &[CString], make: bool) -> Result<OwnedFd, Errno> {
        let mut here = rustix::fs::openat(&self.staging.folder, c".", DIRECTORY, Mode::empty())?;
        for part in parts {
            let name: &CStr = part;
            here = match rustix::fs::openat(&here, name, DIRECTORY, Mode::empty()) {
                Err(Errno::NOENT) if make => {
                    rustix::fs::mkdirat(&here, name, Mode::from_raw_mode(0o777))?;
                    rustix::fs::openat(&here, name, DIRECTORY, Mode::empty())?
                }
                opened => opened?,
            };
        }
        Ok(here)
    }

    /// Everything is there: directories get what the archive says of them, the deepest first.
    fn finish(&mut self) -> Result<(), FilesError> {
        self.waiting.sort_by(|a, b| b.0.cmp(&a.0));
        for (name, about) in &self.waiting {
            // One of ours that nobody may change could not be moved, or removed again.
            let about = About { mode: about.mode | 0o700, ..*about };
            let done = self.walk(name.parts(), false).and_then(|folder| finish(&folder, about));
            done.map_err(|errno| FilesError::from_errno("unpack in", &RelativePath::root(), errno))?;
        }
        self.tell();
        Ok(())
    }

    fn tell(&mut self) {
        self.told_bytes = self.done.bytes;
        if let Some(told) = &self.told {
            told(self.done);
        }
    }
}

/// What the file system says to an entry.
fn failed(raw: &[u8], errno: Errno) -> FilesError {
    match errno {
        Errno::EXIST => bad(raw, "is there twice"),
        Errno::NOTDIR | Errno::LOOP => bad(raw, "lies below what is no directory"),
        Errno::NAMETOOLONG | Errno::ILSEQ | Errno::INVAL => bad(raw, "has a name that cannot be here"),
        errno => FilesError::from_errno("unpack in", &RelativePath::root(), errno),
    }
}

fn finish(entry: &OwnedFd, about: About) -> Result<(), Errno> {
    #[allow(clippy::unnecessary_cast, reason = "mode_t has another width on other platforms")]
    rustix::fs::fchmod(entry, Mode::from_raw_mode((about.mode & 0o777) as rustix::fs::RawMode))?;
    let Some(seconds) = about.modified else { return Ok(()) };
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    // A time that the file system does not have is not worth an archive.
    _ = rustix::fs::futimens(entry, &Timestamps { last_access: time, last_modification: time });
    Ok(())
}
