//! What is written down of an upload, and how far that is.

use std::{
    fmt::Write as _,
    fs::File,
    io::{Read as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    time::SystemTime,
};

use midplane_model::limits::{PATH_BYTES_MAX, UPLOAD_AGE_MAX};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        Root,
        error::{FilesError, shown},
        facts::Facts,
        path::RelativePath,
        receive::GATHERED,
        staging::{Staging, existing_own_folder, own_folder},
        version::Version,
        write::{Create, WriteOptions},
    },
    Upload,
};

const UPLOADS: &str = "uploads";
const ABOUT: &str = "about.json";
/// More is no file that we wrote.
const ABOUT_BYTES_MAX: u64 = 2 * PATH_BYTES_MAX as u64 + 64 * 1024;
/// Longest version that a client may name; ours are shorter.
const VERSION_BYTES_MAX: usize = 256;
/// Bytes of an id: nobody guesses one.
const ID_BYTES: usize = 16;

/// The name of an upload, which is that of its folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Id(String);

impl Id {
    pub fn parse(text: &str) -> Result<Self, FilesError> {
        let good = text.len() == 2 * ID_BYTES && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
        if good { Ok(Self(text.to_owned())) } else { Err(FilesError::NoUpload) }
    }

    fn random() -> Result<Self, Errno> {
        let mut bytes = [0; ID_BYTES];
        getrandom::fill(&mut bytes).map_err(|_| Errno::IO)?;
        Ok(Self(bytes.iter().fold(String::new(), |mut text, byte| {
            _ = write!(text, "{byte:02x}");
            text
        })))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an upload is to become.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    pub path: RelativePath,
    pub size: u64,
    /// In lower case.
    pub sha256: Option<String>,
    if_version: Option<String>,
    create: Create,
    create_dirs: bool,
    durable: bool,
    /// None in records of former hosts.
    #[serde(default)]
    owner: Option<String>,
}

impl About {
    pub fn new(
        path: &RelativePath,
        size: u64,
        sha256: Option<String>,
        options: &WriteOptions,
    ) -> Result<Self, FilesError> {
        let sha256 = sha256.map(|text| text.to_ascii_lowercase());
        if sha256.as_ref().is_some_and(|text| text.len() != 64 || !text.bytes().all(|c| c.is_ascii_hexdigit())) {
            return Err(FilesError::InvalidParameter {
                at: "sha256".into(),
                problem: "is no SHA-256 in 64 hexadecimal digits",
            });
        }
        let if_version = options.if_version.as_ref().map(|version| version.as_str().to_owned());
        if if_version.as_ref().is_some_and(|version| version.len() > VERSION_BYTES_MAX) {
            return Err(FilesError::Stale { path: shown(path), current: None });
        }
        let WriteOptions { create, create_dirs, durable, .. } = *options;
        Ok(Self { path: path.clone(), size, sha256, if_version, create, create_dirs, durable, owner: None })
    }

    pub fn owned_by(self, owner: Option<String>) -> Self {
        Self { owner, ..self }
    }

    /// How it is to be written; `origin` is the request that completes it.
    pub fn options(&self, if_version: Option<Version>, origin: Option<std::sync::Arc<str>>) -> WriteOptions {
        WriteOptions {
            if_version: if_version.or_else(|| self.if_version.as_deref().map(Version::new)),
            create: self.create,
            create_dirs: self.create_dirs,
            durable: self.durable,
            origin,
        }
    }

    /// Makes the upload's folder, whole in one step.
    pub fn make(&self, root: &Root, folder: &OwnedFd) -> Result<Id, FilesError> {
        let fail = |errno| FilesError::from_errno("upload", &self.path, errno);
        let staging = Staging::create(&root.jail.whole()).map_err(fail)?;
        let text = serde_json::to_vec(self).map_err(|_| fail(Errno::INVAL))?;
        let mut about = staging.file(ABOUT).map_err(fail)?;
        about.write_all(&text).map_err(|error| FilesError::from_io("upload", &self.path, error))?;
        let file = staging.file(GATHERED).map_err(fail)?;
        reserve(&file, self.size).map_err(fail)?;
        let id = Id::random().map_err(fail)?;
        staging.hand_over(folder, id.as_str()).map_err(fail)?;
        Ok(id)
    }
}

/// Keeps the space for the file without making it longer. Where the file system cannot do that, what is missing is found out when the
/// bytes come.
#[cfg(target_os = "linux")]
fn reserve(file: &File, size: u64) -> Result<(), Errno> {
    if size == 0 {
        return Ok(());
    }
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, size) {
        Err(errno @ (Errno::NOSPC | Errno::DQUOT)) => Err(errno),
        _ => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_: &File, _: u64) -> Result<(), Errno> {
    Ok(())
}

pub(super) fn fail(errno: Errno) -> FilesError {
    match errno {
        Errno::NOENT | Errno::NOTDIR => FilesError::NoUpload,
        errno => FilesError::Io { action: "look after", path: "uploads".into(), source: errno.into() },
    }
}

/// Where all uploads are.
pub(super) fn folder(root: &Root) -> Result<OwnedFd, FilesError> {
    let opened = own_folder(&root.jail.whole(), UPLOADS);
    opened
        .map(|(folder, _)| folder)
        .map_err(|errno| FilesError::from_errno("keep uploads in", &RelativePath::root(), errno))
}

/// The same, where there has ever been one.
pub(super) fn existing_folder(root: &Root) -> Result<Option<OwnedFd>, FilesError> {
    existing_own_folder(&root.jail.whole(), UPLOADS).map_err(fail)
}

pub(super) fn names(folder: &OwnedFd) -> Result<Vec<String>, FilesError> {
    let mut names = super::super::names(folder).map_err(fail)?;
    names.sort();
    Ok(names)
}

pub(super) fn open(folder: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::empty())
}

pub(super) fn read(upload: &OwnedFd) -> Result<About, FilesError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(upload.as_fd(), ABOUT, flags, Mode::empty()).map_err(fail)?);
    let mut text = Vec::new();
    file.take(ABOUT_BYTES_MAX).read_to_end(&mut text).map_err(|_| FilesError::NoUpload)?;
    // A loss of power may have left half of it.
    serde_json::from_slice(&text).map_err(|_| FilesError::NoUpload)
}

/// When something last came for it; none for what is no upload at all.
pub(super) fn touched(folder: &OwnedFd, name: &str) -> Option<SystemTime> {
    let upload = open(folder, name).ok()?;
    let facts = Facts::at(&upload, GATHERED).or_else(|_| Facts::of(&upload)).ok()?;
    Some(facts.modified())
}

/// An upload as it is; none where nothing of that name is, or too old to go on.
pub(super) fn look(folder: &OwnedFd, id: &Id) -> Result<Option<Upload>, FilesError> {
    let upload = match open(folder, id.as_str()) {
        Ok(upload) => upload,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(fail(errno)),
    };
    let about = match read(&upload) {
        Err(FilesError::NoUpload) => return Ok(None),
        about => about?,
    };
    let gathered = match Facts::at(&upload, GATHERED) {
        Ok(facts) => Some(facts),
        // Nothing takes it away but becoming the file.
        Err(Errno::NOENT) => None,
        Err(errno) => return Err(fail(errno)),
    };
    let touched = match gathered {
        Some(facts) => facts.modified(),
        None => Facts::of(&upload).map_err(fail)?.modified(),
    };
    let expires = touched + UPLOAD_AGE_MAX;
    if expires < SystemTime::now() {
        return Ok(None);
    }
    Ok(Some(Upload {
        id: id.as_str().to_owned(),
        path: about.path,
        offset: gathered.map_or(about.size, |facts| facts.size),
        size: about.size,
        sha256: about.sha256,
        owner: about.owner,
        expires,
        complete: gathered.is_none(),
    }))
}

pub(super) fn all(folder: &OwnedFd) -> Result<Vec<Upload>, FilesError> {
    let mut found = Vec::new();
    for name in names(folder)? {
        if let Ok(id) = Id::parse(&name) {
            found.extend(look(folder, &id)?);
        }
    }
    Ok(found)
}
