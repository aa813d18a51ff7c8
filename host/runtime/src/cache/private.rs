//! A directory of native code that is ours alone, and the MAC that says of each entry that we wrote it.
//!
//! What is in here will be run. The directory belongs to this user and nobody else may write in it; every file is opened
//! from the directory's descriptor, follows no link, and is believed only if it is a regular file of this user whose last
//! 32 bytes are the MAC of its name and content under this directory's key. Entries are never changed in place: a new one
//! takes the place of an old one by renaming, so that hosts may share the directory.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
    os::fd::OwnedFd,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use hmac::{Hmac, Mac};
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_NOW},
    io::Errno,
};
use sha2::Sha256;

pub const MAC_BYTES: usize = 32;
const KEY: &str = "key";
/// What a host that was killed while it wrote leaves behind.
const TEMPORARY: &str = "tmp-";
/// Age at which somebody's temporary file is nobody's.
const TEMPORARY_AGE_MAX: Duration = Duration::from_secs(3600);
/// Bytes that are read or written at a time.
const BUFFER_BYTES: usize = 256 * 1024;

type Authenticator = Hmac<Sha256>;

pub struct PrivateDirectory {
    directory: OwnedFd,
    key: [u8; 32],
}

/// Why a file in the directory is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    #[error("it is no regular file of this user alone")]
    Foreign,
    #[error("its content is not what was written")]
    Damaged,
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// An entry whose MAC was right, at its beginning.
pub struct Entry {
    pub file: File,
    /// Without the MAC behind it.
    pub content_bytes: u64,
}

/// One file of the directory, for eviction.
pub struct Listed {
    pub name: String,
    pub bytes: u64,
    pub used: SystemTime,
}

impl PrivateDirectory {
    /// Makes the directory (0700) with a key if it is not there.
    ///
    /// One that others could have written in is made private and gets another key, so that nothing in it is believed.
    ///
    /// # Errors
    /// When the path is no directory of this user, or the disk refuses. Then nothing may be kept.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        match rustix::fs::mkdir(path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&directory)?;
        if !is_ours(&stat) {
            return Err(io::Error::other("the directory belongs to somebody else"));
        }
        let mode = Mode::from_raw_mode(stat.st_mode);
        if mode.intersects(Mode::RWXG | Mode::RWXO) {
            rustix::fs::fchmod(&directory, Mode::RWXU)?;
        }
        let mut private = Self { directory, key: [0; 32] };
        if mode.intersects(Mode::WGRP | Mode::WOTH) {
            tracing::warn!(path = %path.display(), "others could write in the cache of compiled code; nothing in it is used");
            private.remove(KEY);
        }
        private.key = private.find_key()?;
        Ok(private)
    }

    /// Opens an entry and checks it from the first byte to the last. `Ok(None)` when there is none.
    pub fn read(&self, name: &str) -> Result<Option<Entry>, Distrust> {
        let Some((mut file, bytes)) = self.open_own(name)? else { return Ok(None) };
        let content_bytes = bytes.checked_sub(MAC_BYTES as u64).ok_or(Distrust::Damaged)?;
        let mut mac = self.authenticator(name);
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut left = content_bytes;
        while left > 0 {
            let part = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            exactly(&mut file, &mut buffer[..part])?;
            mac.update(&buffer[..part]);
            left -= part as u64;
        }
        let expected = &mut buffer[..MAC_BYTES];
        exactly(&mut file, expected)?;
        mac.verify_slice(expected).map_err(|_| Distrust::Damaged)?;
        io::Seek::rewind(&mut file)?;
        Ok(Some(Entry { file, content_bytes }))
    }

    /// Begins an entry; it is there when it is committed, and not before.
    pub fn write(self: &Arc<Self>, name: &str) -> io::Result<Writer> {
        let (temporary, file) = self.temporary()?;
        Ok(Writer {
            directory: self.clone(),
            mac: self.authenticator(name),
            name: name.to_owned(),
            temporary,
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            bytes: 0,
        })
    }

    /// A new file under a name that nobody else uses.
    fn temporary(&self) -> io::Result<(String, File)> {
        let name = format!("{TEMPORARY}{}-{:016x}", std::process::id(), getrandom::u64().map_err(io::Error::other)?);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, &name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok((name, file.into()))
    }

    /// Removes a file; one that is not there is fine, and so is one that cannot be removed: it costs room only.
    pub fn remove(&self, name: &str) {
        if let Err(error) = rustix::fs::unlinkat(&self.directory, name, AtFlags::empty())
            && error != Errno::NOENT
        {
            tracing::debug!(name, %error, "a file of the cache of compiled code cannot be removed");
        }
    }

    /// Entries whose names end like this, the longest unused first. Clears away what killed hosts left.
    pub fn list(&self, ending: &str) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for file in rustix::fs::Dir::read_from(&self.directory)? {
            let file = file?;
            let Ok(name) = file.file_name().to_str() else { continue };
            let Ok(stat) = rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let used = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or_default());
            if name.starts_with(TEMPORARY) && used.elapsed().is_ok_and(|age| age > TEMPORARY_AGE_MAX) {
                self.remove(name);
            } else if name.ends_with(ending) {
                let bytes = u64::try_from(stat.st_size).unwrap_or_default();
                listed.push(Listed { name: name.to_owned(), bytes, used });
            }
        }
        listed.sort_by(|a, b| a.used.cmp(&b.used).then_with(|| a.name.cmp(&b.name)));
        Ok(listed)
    }

    /// Removes the longest unused entries of a kind until the others have at most `bytes_max` together; `keep` stays.
    pub fn evict(&self, ending: &str, bytes_max: u64, keep: &str) -> io::Result<()> {
        let listed = self.list(ending)?;
        let mut total: u64 = listed.iter().map(|entry| entry.bytes).sum();
        for entry in listed.iter().filter(|entry| entry.name != keep) {
            if total <= bytes_max {
                break;
            }
            self.remove(&entry.name);
            total -= entry.bytes;
        }
        Ok(())
    }

    /// The key of this directory; a new one where there is none that can be trusted.
    fn find_key(&self) -> io::Result<[u8; 32]> {
        // Twice: another host may make the key at this moment, and then it is its key.
        for _ in 0..2 {
            match self.read_key() {
                Ok(Some(key)) => return Ok(key),
                Ok(None) => {}
                Err(distrust) => {
                    tracing::warn!(%distrust, "the key of the cache of compiled code is replaced; nothing in it is used");
                    self.remove(KEY);
                }
            }
            self.make_key()?;
        }
        self.read_key().map_err(io::Error::other)?.ok_or_else(|| io::Error::other("its key cannot be kept"))
    }

    fn read_key(&self) -> Result<Option<[u8; 32]>, Distrust> {
        let Some((mut file, bytes)) = self.open_own(KEY)? else { return Ok(None) };
        let mut key = [0; 32];
        if bytes != key.len() as u64 {
            return Err(Distrust::Damaged);
        }
        exactly(&mut file, &mut key)?;
        Ok(Some(key))
    }

    /// Writes a key unless there is one.
    fn make_key(&self) -> io::Result<()> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        let (temporary, mut file) = self.temporary()?;
        let written = file.write_all(&key);
        let linked = rustix::fs::linkat(&self.directory, &temporary, &self.directory, KEY, AtFlags::empty());
        self.remove(&temporary);
        written?;
        match linked {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A regular file of this user that nobody else may write; with its size.
    fn open_own(&self, name: &str) -> Result<Option<(File, u64)>, Distrust> {
        // NONBLOCK: whoever left a pipe here does not make the host wait for its other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&self.directory, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::MLINK) => return Err(Distrust::Foreign),
            Err(error) => return Err(Distrust::Unreadable(error.into())),
        };
        let stat = rustix::fs::fstat(&fd).map_err(io::Error::from)?;
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if !regular || !is_ours(&stat) || Mode::from_raw_mode(stat.st_mode).intersects(Mode::WGRP | Mode::WOTH) {
            return Err(Distrust::Foreign);
        }
        Ok(Some((File::from(fd), u64::try_from(stat.st_size).unwrap_or_default())))
    }

    /// Covers the name too: an entry that was moved to another name is no entry.
    fn authenticator(&self, name: &str) -> Authenticator {
        let mut mac = Authenticator::new_from_slice(&self.key).unwrap_or_else(|_| unreachable!("HMAC takes any key"));
        mac.update(name.as_bytes());
        mac.update(&[0]);
        mac
    }
}

impl Entry {
    /// Keeps the entry from being the longest unused one.
    pub fn touch(&self) {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        // A file system without times evicts in another order; nothing else is lost.
        _ = rustix::fs::futimens(&self.file, &Timestamps { last_access: now, last_modification: now });
    }
}

/// An entry that is being written. Dropped before it is committed, it never was.
pub struct Writer {
    directory: Arc<PrivateDirectory>,
    name: String,
    temporary: String,
    file: BufWriter<File>,
    mac: Authenticator,
    pub bytes: u64,
}

impl Writer {
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.mac.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Puts the entry under its name, in place of whatever bears it. Nobody waits for the disk: what a crash cuts off has a
    /// wrong MAC.
    pub fn commit(mut self) -> io::Result<()> {
        let mac = self.mac.clone().finalize().into_bytes();
        self.file.write_all(&mac)?;
        self.file.flush()?;
        let directory = &self.directory.directory;
        Ok(rustix::fs::renameat(directory, &self.temporary, directory, &self.name)?)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.directory.remove(&self.temporary);
    }
}

fn is_ours(stat: &Stat) -> bool {
    stat.st_uid == rustix::process::geteuid().as_raw()
}

/// Fills the buffer; a file that ends before is damaged.
fn exactly(file: &mut File, buffer: &mut [u8]) -> Result<(), Distrust> {
    file.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Distrust::Damaged,
        _ => Distrust::Unreadable(error),
    })
}
