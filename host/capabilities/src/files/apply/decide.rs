//! Each change of a set, decided on top of the ones before it, before anything is touched.

use bytes::Bytes;
use midplane_model::limits::FILE_HASH_BYTES_MAX;
use rustix::{
    fs::{Dir, OFlags},
    io::Errno,
};

use super::{
    super::{
        diff::unified,
        edit::{Replacement, replaced},
        error::{FilesError, shown},
        path::RelativePath,
        version::Version,
        walk::Place,
        write::Create,
    },
    Change, Outcome, OutcomeKind,
    plan::{Entry, Plan, State, entangled},
    resolve::Resolved,
};

impl Plan<'_> {
    pub fn decide(&mut self, changes: &[Resolved]) -> Result<Vec<Outcome>, FilesError> {
        let decided = changes.iter().enumerate();
        decided.map(|(index, change)| self.one(change).map_err(|error| error.in_change(index))).collect()
    }

    fn one(&mut self, Resolved { change, path, to }: &Resolved) -> Result<Outcome, FilesError> {
        match change {
            Change::Write { bytes, if_version, create, create_dirs, .. } => {
                self.write(path, bytes, if_version.as_ref(), *create, *create_dirs)
            }
            Change::Edit { edits, if_version, .. } => self.edit(path, edits, if_version.as_ref()),
            Change::Delete { recursive, if_version, .. } => self.delete(path, *recursive, if_version.as_ref()),
            Change::Move { overwrite, .. } => self.relocate(path, to.as_ref().unwrap_or(path), *overwrite),
            Change::MakeDir { parents, .. } => self.make_dir(path, *parents),
        }
    }

    fn write(
        &mut self,
        path: &RelativePath,
        bytes: &Bytes,
        if_version: Option<&Version>,
        create: Create,
        create_dirs: bool,
    ) -> Result<Outcome, FilesError> {
        self.parent(path, create_dirs)?;
        let shown = || shown(path);
        let (entry, old) = match self.state(path)? {
            State::Directory => return Err(FilesError::WrongType { path: shown(), problem: "is a directory" }),
            State::Absent if if_version.is_some() => return Err(FilesError::Stale { path: shown(), current: None }),
            State::Absent if create == Create::Never => return Err(FilesError::NotFound { path: shown() }),
            State::Absent => (Entry { source: None, bytes: None }, None),
            State::Entry(_) if create == Create::MustNotExist => {
                return Err(FilesError::AlreadyExists { path: shown() });
            }
            State::Entry(entry) => {
                let (version, old) = self.content(path, &entry)?;
                expect(path, if_version, &version)?;
                (entry, Some(old))
            }
        };
        self.change(path, entry, old.flatten().as_ref(), bytes)
    }

    fn edit(
        &mut self,
        path: &RelativePath,
        edits: &[Replacement],
        if_version: Option<&Version>,
    ) -> Result<Outcome, FilesError> {
        let State::Entry(entry) = self.state(path)? else {
            let path = shown(path);
            return Err(match if_version {
                Some(_) => FilesError::Stale { path, current: None },
                None => FilesError::NotFound { path },
            });
        };
        let (version, content) = self.content(path, &entry)?;
        expect(path, if_version, &version)?;
        let too_large = || FilesError::TooLarge { path: shown(path), limit_bytes: FILE_HASH_BYTES_MAX };
        let content = content.ok_or_else(too_large)?;
        let (new, _) = replaced(path, &content, edits, &version)?;
        self.change(path, entry, Some(&content), &new.into())
    }

    /// Gives a file new content, on paper.
    fn change(
        &mut self,
        path: &RelativePath,
        entry: Entry,
        old: Option<&Bytes>,
        bytes: &Bytes,
    ) -> Result<Outcome, FilesError> {
        self.count(path, bytes.len())?;
        let is_new = entry.source.is_none() && entry.bytes.is_none();
        let kind = match (is_new, old == Some(bytes)) {
            (true, _) => OutcomeKind::Created,
            (false, true) => OutcomeKind::Unchanged,
            (false, false) => OutcomeKind::Modified,
        };
        let diff =
            self.dry_run.then(|| unified(path, if is_new { None } else { old.map(|old| &old[..]) }, Some(bytes)));
        if kind != OutcomeKind::Unchanged {
            self.put(path, State::Entry(Entry { bytes: Some(bytes.clone()), ..entry }));
        }
        let version = Version::of_bytes(bytes);
        Ok(Outcome { kind, path: path.clone(), from: None, version, size: Some(bytes.len() as u64), diff })
    }

    fn delete(
        &mut self,
        path: &RelativePath,
        recursive: bool,
        if_version: Option<&Version>,
    ) -> Result<Outcome, FilesError> {
        let mut diff = None;
        match self.state(path)? {
            State::Absent if if_version.is_some() => {
                return Err(FilesError::Stale { path: shown(path), current: None });
            }
            State::Absent => return Err(FilesError::NotFound { path: shown(path) }),
            State::Directory => self.take_tree(path, recursive, None)?,
            State::Entry(entry) => {
                if if_version.is_some() || self.dry_run {
                    let (version, old) = self.content(path, &entry)?;
                    expect(path, if_version, &version)?;
                    diff = old.filter(|_| self.dry_run).map(|old| unified(path, Some(&old), None));
                }
                self.put(path, State::Absent);
            }
        }
        Ok(Outcome { kind: OutcomeKind::Deleted, path: path.clone(), from: None, version: None, size: None, diff })
    }

    fn relocate(&mut self, from: &RelativePath, to: &RelativePath, overwrite: bool) -> Result<Outcome, FilesError> {
        let moved = |version, size| Outcome {
            kind: OutcomeKind::Moved,
            path: to.clone(),
            from: Some(from.clone()),
            version,
            size,
            diff: None,
        };
        let state = self.state(from)?;
        if let State::Absent = state {
            return Err(FilesError::NotFound { path: shown(from) });
        }
        if from == to {
            return Ok(moved(None, None));
        }
        if to.is_within(from) {
            let problem = "lies inside of what should be moved there";
            return Err(FilesError::WrongType { path: shown(to), problem });
        }
        self.parent(to, false)?;
        match self.state(to)? {
            State::Absent => {}
            State::Entry(_) if overwrite && matches!(state, State::Entry(_)) => {}
            State::Directory if overwrite => {
                return Err(FilesError::WrongType { path: shown(to), problem: "is a directory" });
            }
            _ => return Err(FilesError::AlreadyExists { path: shown(to) }),
        }
        let State::Entry(entry) = state else {
            self.take_tree(from, true, Some(to))?;
            return Ok(moved(None, None));
        };
        let version = entry.bytes.as_ref().and_then(|bytes| Version::of_bytes(bytes));
        let size = entry.bytes.as_ref().map(|bytes| bytes.len() as u64);
        self.put(from, State::Absent);
        self.put(to, State::Entry(entry));
        Ok(moved(version, size))
    }

    fn make_dir(&mut self, path: &RelativePath, parents: bool) -> Result<Outcome, FilesError> {
        self.parent(path, parents)?;
        let kind = match self.state(path)? {
            State::Absent => OutcomeKind::Created,
            State::Directory if parents => OutcomeKind::Unchanged,
            _ => return Err(FilesError::AlreadyExists { path: shown(path) }),
        };
        self.put(path, State::Directory);
        Ok(Outcome { kind, path: path.clone(), from: None, version: None, size: None, diff: None })
    }

    /// Takes a directory of the disk away as a whole.
    fn take_tree(&mut self, path: &RelativePath, recursive: bool, to: Option<&RelativePath>) -> Result<(), FilesError> {
        let ours = |other: &RelativePath| other.is_within(path) && other != path;
        let touched = self.tracked.iter().any(|(other, tracked)| ours(other) && !matches!(tracked.now, State::Absent));
        let disk = self.tracked.get(path).map(|tracked| &tracked.disk);
        if touched || self.tracked.keys().any(ours) || !matches!(disk, Some(State::Directory)) {
            return Err(entangled(path));
        }
        if !recursive {
            let place = self.place(path)?;
            let fail = |errno| FilesError::from_errno("delete", path, errno);
            if !is_empty(&place).map_err(fail)? {
                return Err(fail(Errno::NOTEMPTY));
            }
        }
        self.put(path, State::Absent);
        if let Some(to) = to {
            self.tracked.entry(to.clone()).and_modify(|tracked| tracked.now = State::Directory);
        }
        self.trees.push((path.clone(), to.cloned()));
        Ok(())
    }
}

fn is_empty(place: &Place) -> Result<bool, Errno> {
    let directory = place.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
    for entry in Dir::read_from(&directory)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn expect(path: &RelativePath, expected: Option<&Version>, current: &Version) -> Result<(), FilesError> {
    match expected {
        Some(expected) if expected != current => {
            Err(FilesError::Stale { path: shown(path), current: Some(current.clone()) })
        }
        _ => Ok(()),
    }
}
