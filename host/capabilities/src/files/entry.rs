//! What `stat` and `list` say about one entry.

use std::time::SystemTime;

use rustix::{fs::FileType, io::Errno};

use super::{
    Owner, Root,
    accounts::Names,
    error::FilesError,
    facts::Facts,
    jail::Jail,
    naming::text_of,
    path::RelativePath,
    version::Version,
    walk::{Last, Place},
};
use crate::ignores::Rules;

/// What sort of thing an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    Symlink,
    /// A pipe, socket or device: listed, never opened.
    Other,
}

/// One entry of the tree. `size`, `modified`, `mode`, `owner` and `links` are those of what reading it would give: of the target
/// where a link stays inside the root, of the link itself where it leads out or nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub path: RelativePath,
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    pub modified: SystemTime,
    /// Permission bits.
    pub mode: u32,
    pub owner: Owner,
    /// The rules of the tree ignore it, or a directory that it is in. Never where nobody has asked for the rules.
    pub ignored: bool,
    /// Hard links.
    pub links: u64,
    pub symlink: Option<Symlink>,
    /// Given by `stat`; none in listings, which would have to read every file.
    pub version: Option<Version>,
}

/// Where a symbolic link leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symlink {
    /// As written in the link; none when that is not UTF-8, or leads out of the root and is nobody's business.
    pub target: Option<String>,
    /// What it leads to; none when it leads out or nowhere.
    pub target_kind: Option<Kind>,
    /// It leaves the root and will not be followed.
    pub link_outside: bool,
}

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            _ => Self::Other,
        }
    }
}

/// Everything about one path, its version included.
pub(super) fn stat(root: &Root, path: &RelativePath) -> Result<Entry, FilesError> {
    let (jail, names) = (&root.jail, root.inner.accounts.names());
    let fail = |errno| FilesError::from_errno("look at", path, errno);
    let Some(place) = jail.place(path, Last::Keep).map_err(fail)? else {
        let facts = jail.facts(path).map_err(fail)?;
        return Ok(Entry { version: Some(Version::of_facts(&facts)), ..plain(path, &facts, &names) });
    };
    let facts = Facts::at(&place.parent, &place.name).map_err(fail)?;
    let entry = describe(jail, path, &place, &facts, &names);
    let is_file =
        [Some(entry.kind), entry.symlink.as_ref().and_then(|link| link.target_kind)].contains(&Some(Kind::File));
    let version = if is_file {
        let (file, facts) = jail.open_file(path).map_err(fail)?;
        Version::of_file(&file, &facts).map_err(|error| FilesError::from_io("read", path, error))?.0
    } else {
        Version::of_facts(&facts)
    };
    let (_, ignored) = Rules::of(jail, path, facts.is_dir());
    Ok(Entry { version: Some(version), ignored, ..entry })
}

/// An entry as its directory shows it, without a version; `facts` are of the entry itself.
pub(super) fn describe(jail: &Jail, path: &RelativePath, place: &Place, facts: &Facts, names: &Names) -> Entry {
    if facts.kind != FileType::Symlink {
        return plain(path, facts, names);
    }
    let target = rustix::fs::readlinkat(&place.parent, place.on_disk(), Vec::new());
    let target = target.ok().map(|target| text_of(target.to_bytes()).into_owned());
    let reached = jail.facts(path);
    let link_outside = matches!(reached, Err(Errno::XDEV));
    let symlink = Symlink {
        target: target.filter(|_| !link_outside),
        target_kind: reached.ok().map(|facts| facts.kind.into()),
        link_outside,
    };
    Entry { kind: Kind::Symlink, symlink: Some(symlink), ..plain(path, &reached.unwrap_or(*facts), names) }
}

fn plain(path: &RelativePath, facts: &Facts, names: &Names) -> Entry {
    Entry {
        path: path.clone(),
        kind: facts.kind.into(),
        size: facts.size,
        modified: facts.modified(),
        mode: facts.mode,
        owner: names.owner(facts.uid, facts.gid),
        ignored: false,
        links: facts.nlink,
        symlink: None,
        version: None,
    }
}
