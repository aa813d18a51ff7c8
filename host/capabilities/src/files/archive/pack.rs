//! A tree as an archive, made while it is sent: nothing of it is kept, and who does not read holds it up.

use std::{
    ffi::{CStr, CString, OsStr},
    fs::File,
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use midplane_model::{
    event::rfc3339,
    limits::{ARCHIVE_ENTRIES_MAX, COPY_DEPTH_MAX, STREAM_PIECE_BYTES},
};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags},
    io::Errno,
};
use tar::EntryType;
use tokio::sync::mpsc;
use zip::{
    CompressionMethod, DateTime, ZipWriter,
    write::{SimpleFileOptions, StreamWriter},
};

use super::{
    super::{
        Root,
        error::{FilesError, shown},
        facts::Facts,
        jail::regular,
        naming::on_disk_c,
        path::RelativePath,
        replace::is_ours,
        walk::Last,
    },
    ArchiveFormat,
};

/// Pieces that wait for the client; then the making waits.
const PIECES_QUEUED_MAX: usize = 2;

/// An archive on its way. Dropping it ends the making.
pub struct Packing(mpsc::Receiver<Result<Bytes, FilesError>>);

impl Packing {
    /// The next bytes; none at the end, an error where the rest cannot be made. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<Bytes, FilesError>> {
        self.0.recv().await
    }
}

impl Root {
    /// Begins to make an archive of an entry, of a directory with all that is in it. Links stay links, the host's own folder and
    /// what is neither file, directory nor link are left out; modes and times of change are kept. Entries come in the order of
    /// their names.
    ///
    /// # Errors
    /// `not_found`, `outside_root`, `forbidden`; `unavailable` while `ARCHIVES_MAX` are being made or unpacked. Later: `too_large`
    /// beyond `ARCHIVE_ENTRIES_MAX` entries, and what cannot be read.
    pub async fn pack(&self, path: &RelativePath, format: ArchiveFormat) -> Result<Packing, FilesError> {
        let permit = self.inner.archives.enter()?;
        let path = path.clone();
        let from = self.run(move |root| From::find(root, &path)).await?;
        let (sender, receiver) = mpsc::channel(PIECES_QUEUED_MAX);
        // Ends when the receiver is dropped, and is waited for when the files are closed.
        self.inner.work.spawn_blocking(move || {
            let _permit = permit;
            let pieces = Pieces { sender: sender.clone(), gathered: Vec::new() };
            if let Err(Ended::Failed(error)) = from.pack(Out::new(format, pieces)) {
                // Who does not listen any more need not know.
                _ = sender.blocking_send(Err(error));
            }
        });
        Ok(Packing(receiver))
    }
}

/// What is to be packed, held open.
enum From {
    Whole(OwnedFd),
    Entry { parent: OwnedFd, name: CString, path: RelativePath },
}

/// Why the making ended before its end.
enum Ended {
    NobodyListens,
    Failed(FilesError),
}

impl From {
    fn find(root: &Root, path: &RelativePath) -> Result<Self, FilesError> {
        let fail = |errno| FilesError::from_errno("pack", path, errno);
        match root.jail.place(path, Last::Follow).map_err(fail)? {
            None => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY;
                root.jail.open_existing(&RelativePath::root(), flags).map(Self::Whole).map_err(fail)
            }
            Some(place) => {
                Facts::at(&place.parent, &place.name).map_err(fail)?;
                let name = on_disk_c(&place.name).map_err(fail)?;
                Ok(Self::Entry { parent: place.parent, name, path: place.path })
            }
        }
    }

    fn pack(self, out: Out) -> Result<(), Ended> {
        let path = match &self {
            Self::Whole(_) => RelativePath::root(),
            Self::Entry { path, .. } => path.clone(),
        };
        let mut packer = Packer { out, path, entries: 0 };
        match &self {
            Self::Whole(folder) => packer.inside(folder, b"", 0)?,
            Self::Entry { parent, name, .. } => packer.entry(parent, name, name.to_bytes(), 0)?,
        }
        let Packer { out, path, .. } = packer;
        out.finish().map_err(|error| ended(&path, error))
    }
}

struct Packer {
    out: Out,
    /// What errors are about.
    path: RelativePath,
    entries: usize,
}

fn ended(path: &RelativePath, error: io::Error) -> Ended {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ended::NobodyListens,
        _ => Ended::Failed(FilesError::from_io("pack", path, error)),
    }
}

impl Packer {
    fn fail(&self, errno: Errno) -> Ended {
        Ended::Failed(FilesError::from_errno("pack", &self.path, errno))
    }

    /// One entry by descriptors, never through a link; `at` is its name in the archive.
    fn entry(&mut self, parent: &OwnedFd, name: &CStr, at: &[u8], depth: usize) -> Result<(), Ended> {
        self.entries += 1;
        if self.entries > ARCHIVE_ENTRIES_MAX || depth > COPY_DEPTH_MAX {
            let (entries, levels) = (ARCHIVE_ENTRIES_MAX, COPY_DEPTH_MAX);
            return Err(Ended::Failed(FilesError::TooMany { path: shown(&self.path), entries, levels }));
        }
        let facts = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Facts::from(&stat),
            // Gone since the directory was read.
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(self.fail(errno)),
        };
        match facts.kind {
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let opened = rustix::fs::openat(parent, name, flags, Mode::empty()).and_then(regular);
                let (file, facts) = opened.map_err(|errno| self.fail(errno))?;
                self.out.file(at, &facts, file).map_err(|error| ended(&self.path, error))
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(parent, name, Vec::new()).map_err(|errno| self.fail(errno))?;
                self.out.link(at, &facts, target.to_bytes()).map_err(|error| ended(&self.path, error))
            }
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let folder =
                    rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(|errno| self.fail(errno))?;
                self.out.directory(at, &facts).map_err(|error| ended(&self.path, error))?;
                self.inside(&folder, at, depth)
            }
            _ => Ok(()),
        }
    }

    fn inside(&mut self, folder: &OwnedFd, at: &[u8], depth: usize) -> Result<(), Ended> {
        let mut names = Vec::new();
        for entry in Dir::read_from(folder).map_err(|errno| self.fail(errno))? {
            let entry = entry.map_err(|errno| self.fail(errno))?;
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") && !name.to_str().is_ok_and(is_ours) {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        for name in names {
            let below = if at.is_empty() { name.to_bytes().to_vec() } else { [at, b"/", name.to_bytes()].concat() };
            self.entry(folder, &name, &below, depth + 1)?;
        }
        Ok(())
    }
}

/// The two formats.
enum Out {
    Tar(Box<tar::Builder<GzEncoder<Pieces>>>),
    Zip(Box<ZipWriter<StreamWriter<Pieces>>>),
}

fn seconds(facts: &Facts) -> u64 {
    u64::try_from(facts.mtime_ns.div_euclid(1_000_000_000)).unwrap_or(0)
}

fn header(facts: &Facts, kind: EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(facts.mode & 0o777);
    header.set_mtime(seconds(facts));
    header.set_size(size);
    header
}

fn options(facts: &Facts) -> SimpleFileOptions {
    let options =
        SimpleFileOptions::default().unix_permissions(facts.mode & 0o777).large_file(facts.size > 0xfff0_0000);
    let text = rfc3339(facts.modified());
    let part =
        |range: std::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<u16>().ok()).unwrap_or(0);
    let small = |range| u8::try_from(part(range)).unwrap_or(0);
    let time = DateTime::from_date_and_time(
        part(0..4),
        small(5..7),
        small(8..10),
        small(11..13),
        small(14..16),
        small(17..19),
    );
    // Outside of 1980 to 2107 the format has no time.
    time.map_or(options, |time| options.last_modified_time(time))
}

/// A name as zip has it. A byte that is no UTF-8 is shown as such.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Out {
    fn new(format: ArchiveFormat, pieces: Pieces) -> Self {
        match format {
            ArchiveFormat::TarGz => Self::Tar(Box::new(tar::Builder::new(GzEncoder::new(pieces, Compression::fast())))),
            ArchiveFormat::Zip => Self::Zip(Box::new(ZipWriter::new_stream(pieces))),
        }
    }

    fn file(&mut self, at: &[u8], facts: &Facts, file: File) -> io::Result<()> {
        let mut exact = Exact { file, left: facts.size };
        match self {
            Self::Tar(tar) => {
                let mut header = header(facts, EntryType::Regular, facts.size);
                tar.append_data(&mut header, Path::new(OsStr::from_bytes(at)), exact)
            }
            Self::Zip(zip) => {
                zip.start_file(text(at), options(facts).compression_method(CompressionMethod::Deflated))?;
                io::copy(&mut exact, zip).map(drop)
            }
        }
    }

    fn directory(&mut self, at: &[u8], facts: &Facts) -> io::Result<()> {
        match self {
            Self::Tar(tar) => {
                let mut header = header(facts, EntryType::Directory, 0);
                tar.append_data(&mut header, Path::new(OsStr::from_bytes(&[at, b"/"].concat())), io::empty())
            }
            Self::Zip(zip) => Ok(zip.add_directory(text(at), options(facts))?),
        }
    }

    fn link(&mut self, at: &[u8], facts: &Facts, target: &[u8]) -> io::Result<()> {
        match self {
            Self::Tar(tar) => {
                let mut header = header(facts, EntryType::Symlink, 0);
                let (at, target) = (Path::new(OsStr::from_bytes(at)), Path::new(OsStr::from_bytes(target)));
                tar.append_link(&mut header, at, target)
            }
            Self::Zip(zip) => Ok(zip.add_symlink(text(at), text(target), options(facts))?),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Tar(tar) => tar.into_inner()?.finish()?.flush(),
            Self::Zip(zip) => zip.finish()?.get_mut().flush(),
        }
    }
}

/// Exactly as many bytes as were said: one that shrinks meanwhile ends the archive, of one that grows the rest is left.
struct Exact {
    file: File,
    left: u64,
}

impl Read for Exact {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read(&mut buffer[..most])?;
        if count == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// The archive's bytes, on their way in pieces.
struct Pieces {
    sender: mpsc::Sender<Result<Bytes, FilesError>>,
    gathered: Vec<u8>,
}

impl Pieces {
    fn send(&mut self) -> io::Result<()> {
        let piece = Bytes::from(std::mem::take(&mut self.gathered));
        self.sender.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= STREAM_PIECE_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() { Ok(()) } else { self.send() }
    }
}
