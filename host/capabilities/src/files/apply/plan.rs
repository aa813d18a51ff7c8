//! What a set of changes comes to: what stands on the disk and what shall stand there, for every path that the set touches.

use std::collections::BTreeMap;

use bytes::Bytes;
use midplane_model::limits::APPLY_BYTES_MAX;
use rustix::io::Errno;

use super::super::{
    Root,
    error::{FilesError, shown},
    facts::Facts,
    jail::{Jail, regular},
    path::RelativePath,
    version::Version,
    walk::{Last, Place},
};

/// What a path stands for.
#[derive(Clone)]
pub(super) enum State {
    Absent,
    Directory,
    Entry(Entry),
}

/// A file, a link, or something else with a name.
#[derive(Clone)]
pub(super) struct Entry {
    /// Where it is on the disk, or what it takes its mode and owner from; none for a new file.
    pub source: Option<(RelativePath, Facts)>,
    /// New content; none is what the source has.
    pub bytes: Option<Bytes>,
}

/// A path that the set touches.
pub(super) struct Tracked {
    pub disk: State,
    pub now: State,
}

pub(super) struct Plan<'a> {
    pub root: &'a Root,
    pub tracked: BTreeMap<RelativePath, Tracked>,
    /// Directories that are taken away as a whole: where each goes, or none.
    pub trees: Vec<(RelativePath, Option<RelativePath>)>,
    jail: Jail,
    /// Contents that were read or given.
    bytes: usize,
    pub dry_run: bool,
}

impl<'a> Plan<'a> {
    pub fn new(root: &'a Root, dry_run: bool) -> Self {
        Self { root, jail: root.jail.whole(), tracked: BTreeMap::new(), trees: Vec::new(), bytes: 0, dry_run }
    }

    /// Insists on a directory above, or makes those that are missing.
    pub fn parent(&mut self, path: &RelativePath, make: bool) -> Result<(), FilesError> {
        let Some(parent) = path.parent().filter(|parent| !parent.is_root()) else { return Ok(()) };
        match self.state(&parent)? {
            State::Directory => Ok(()),
            State::Entry(_) => Err(FilesError::WrongType { path: shown(&parent), problem: "is not a directory" }),
            State::Absent if make => {
                self.parent(&parent, true)?;
                self.put(&parent, State::Directory);
                Ok(())
            }
            State::Absent => Err(FilesError::NotFound { path: shown(&parent) }),
        }
    }

    pub fn put(&mut self, path: &RelativePath, state: State) {
        if let Some(tracked) = self.tracked.get_mut(path) {
            tracked.now = state;
        }
    }

    /// What the path stands for by now.
    pub fn state(&mut self, path: &RelativePath) -> Result<State, FilesError> {
        let mut trees = self.trees.iter().flat_map(|(from, to)| [Some(from), to.as_ref()]).flatten();
        if trees.any(|tree| path.is_within(tree)) {
            return Err(entangled(path));
        }
        if let Some(tracked) = self.tracked.get(path) {
            return Ok(tracked.now.clone());
        }
        let disk = self.look(path)?;
        self.tracked.insert(path.clone(), Tracked { disk: disk.clone(), now: disk.clone() });
        Ok(disk)
    }

    fn look(&self, path: &RelativePath) -> Result<State, FilesError> {
        let facts = match self.place(path) {
            Ok(place) => Facts::at(&place.parent, &place.name),
            Err(FilesError::NotFound { .. }) => Err(Errno::NOENT),
            Err(error) => return Err(error),
        };
        match facts {
            Ok(facts) if facts.is_dir() => Ok(State::Directory),
            Ok(facts) => Ok(State::Entry(Entry { source: Some((path.clone(), facts)), bytes: None })),
            Err(Errno::NOENT) => Ok(State::Absent),
            Err(errno) => Err(FilesError::from_errno("look at", path, errno)),
        }
    }

    /// The place of a real path, which must still be one: a link that has come in between is not followed.
    pub fn place(&self, path: &RelativePath) -> Result<Place, FilesError> {
        exact(&self.jail, path).map_err(|errno| FilesError::from_errno("look at", path, errno))
    }

    /// Version and content of a file; no content for one that is not versioned by it.
    pub fn content(&mut self, path: &RelativePath, entry: &Entry) -> Result<(Version, Option<Bytes>), FilesError> {
        let fail = |errno| FilesError::from_errno("read", path, errno);
        if let Some(bytes) = &entry.bytes {
            return Ok((Version::of_bytes(bytes).unwrap_or_else(|| Version::new("")), Some(bytes.clone())));
        }
        let Some((source, facts)) = &entry.source else { return Err(fail(Errno::NOENT)) };
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        let (file, now) = self.place(source)?.open(flags).and_then(regular).map_err(fail)?;
        if now != *facts {
            return Err(FilesError::Stale { path: shown(path), current: None });
        }
        let read = Version::of_file(&file, &now).map_err(|error| FilesError::from_io("read", path, error))?;
        let (version, content) = (read.0, read.1.map(Bytes::from));
        self.count(path, content.as_ref().map_or(0, Bytes::len))?;
        Ok((version, content))
    }

    pub fn count(&mut self, path: &RelativePath, bytes: usize) -> Result<(), FilesError> {
        self.bytes += bytes;
        match self.bytes > APPLY_BYTES_MAX {
            true => Err(FilesError::TooLarge { path: shown(path), limit_bytes: APPLY_BYTES_MAX as u64 }),
            false => Ok(()),
        }
    }

    /// A foreign writer does not queue with us; this narrows its window to the moment before the first step.
    pub fn check_untouched(&self) -> Result<(), FilesError> {
        for (path, tracked) in &self.tracked {
            let same = match (&tracked.disk, self.look(path)?) {
                (
                    State::Entry(Entry { source: Some((_, was)), .. }),
                    State::Entry(Entry { source: Some((_, is)), .. }),
                ) => {
                    // Moving a file links it once more, which its own times and counts show.
                    (was.ino, was.size, was.mtime_ns) == (is.ino, is.size, is.mtime_ns)
                }
                (State::Absent, State::Absent) | (State::Directory, State::Directory) => true,
                _ => false,
            };
            if !same {
                return Err(FilesError::Stale { path: shown(path), current: None });
            }
        }
        Ok(())
    }
}

/// A place whose path is real: `ESTALE` where a link leads elsewhere by now.
pub(super) fn exact(jail: &Jail, path: &RelativePath) -> Result<Place, Errno> {
    let place = jail.place(path, Last::Keep)?.ok_or(Errno::STALE)?;
    if place.path == *path { Ok(place) } else { Err(Errno::STALE) }
}

pub(super) fn entangled(path: &RelativePath) -> FilesError {
    let problem = "lies in a directory that another change of the set moves or deletes as a whole; use two sets";
    FilesError::WrongType { path: shown(path), problem }
}
