//! The files to search, in the order of their paths. Each directory is opened from the one above it and no link is followed,
//! so a tree that changes during the walk never leads out of the root.

use std::{fs::File, os::fd::OwnedFd, sync::Arc, vec::IntoIter};

use ignore::overrides::Override;
use midplane_model::limits::SEARCH_DEPTH_MAX;
use rustix::{
    fs::{Dir, FileType, Mode, OFlags},
    io::Errno,
};

use super::stop::Stop;
use crate::{
    files::{Facts, FilesError, Jail, Last, RelativePath, is_ours, on_disk, regular, text_of},
    ignores::{Rules, Verdict},
};

/// Entries of a directory between two looks at whether to stop.
const ENTRIES_BETWEEN_LOOKS: usize = 512;

/// Which files and directories are wanted.
#[derive(Debug)]
pub(super) struct Choice {
    pub overrides: Override,
    pub hidden: bool,
    pub ignored: bool,
}

impl Choice {
    /// What a caller names decides, then the rules, then whether the name is hidden. A rule that keeps a hidden name shows it.
    fn wants(&self, rules: &Rules, path: &RelativePath, dir: bool) -> bool {
        let named = self.overrides.matched(path.as_str(), dir);
        if named.is_ignore() || named.is_whitelist() {
            return named.is_whitelist();
        }
        if self.ignored {
            return self.hidden || !path.name().starts_with('.');
        }
        match rules.verdict(path, dir) {
            Verdict::Ignored => false,
            Verdict::Kept => true,
            Verdict::Unnamed => path.name() != ".git" && (self.hidden || !path.name().starts_with('.')),
        }
    }
}

/// A file to search.
#[derive(Debug)]
pub(super) struct Candidate {
    directory: Arc<OwnedFd>,
    name: String,
    pub path: RelativePath,
}

impl Candidate {
    pub fn open(&self) -> Result<(File, Facts), Errno> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        regular(rustix::fs::openat(&*self.directory, on_disk(&self.name), flags, Mode::empty())?)
    }
}

/// The walk. It has at most `SEARCH_DEPTH_MAX` directories open; what lies deeper is left out.
pub(super) struct Walk {
    choice: Choice,
    stop: Stop,
    single: Option<Candidate>,
    frames: Vec<Frame>,
    /// Directories that could not be read.
    pub unreadable: u64,
}

/// A directory that is being walked through.
struct Frame {
    directory: Arc<OwnedFd>,
    path: RelativePath,
    rules: Rules,
    entries: IntoIter<(String, FileType)>,
}

impl Walk {
    /// From a directory on, or the one file at `path`, which is wanted whatever the choice is.
    pub fn new(jail: &Jail, path: &RelativePath, choice: Choice, stop: Stop) -> Result<Self, FilesError> {
        let fail = |errno| FilesError::from_errno("search", path, errno);
        let mut walk = Self { choice, stop, single: None, frames: Vec::new(), unreadable: 0 };
        if jail.facts(path).map_err(fail)?.is_dir() {
            let directory = jail.open_existing(path, OFlags::RDONLY | OFlags::DIRECTORY).map_err(fail)?;
            let rules = if walk.choice.ignored { Rules::default() } else { Rules::above(jail, path) };
            walk.enter(directory, path.clone(), &rules).map_err(fail)?;
        } else if let Some(place) = jail.place(path, Last::Follow).map_err(fail)? {
            walk.single = Some(Candidate { directory: Arc::new(place.parent), name: place.name, path: path.clone() });
        }
        Ok(walk)
    }

    fn enter(&mut self, directory: OwnedFd, path: RelativePath, above: &Rules) -> Result<(), Errno> {
        let entries = entries(&directory, &self.stop)?;
        let rules = if self.choice.ignored {
            Rules::default()
        } else {
            above.enter(&path, &directory, |name| entries.binary_search_by(|(entry, _)| (**entry).cmp(name)).is_ok())
        };
        self.frames.push(Frame { directory: Arc::new(directory), path, rules, entries: entries.into_iter() });
        Ok(())
    }
}

impl Iterator for Walk {
    type Item = Candidate;

    fn next(&mut self) -> Option<Candidate> {
        if let Some(single) = self.single.take() {
            return Some(single);
        }
        while !self.stop.is_set() {
            let frame = self.frames.last_mut()?;
            let Some((name, kind)) = frame.entries.next() else {
                self.frames.pop();
                continue;
            };
            let dir = kind == FileType::Directory;
            let path = frame.path.join(&name);
            if !dir && kind != FileType::RegularFile || !self.choice.wants(&frame.rules, &path, dir) {
                continue;
            }
            if !dir {
                return Some(Candidate { directory: frame.directory.clone(), name, path });
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = rustix::fs::openat(&*frame.directory, on_disk(&name), flags, Mode::empty());
            let rules = frame.rules.clone();
            let entered = match opened {
                Ok(_) if self.frames.len() >= SEARCH_DEPTH_MAX => Err(Errno::NAMETOOLONG),
                Ok(directory) => self.enter(directory, path, &rules),
                Err(errno) => Err(errno),
            };
            self.unreadable += u64::from(entered.is_err_and(|errno| errno != Errno::NOENT));
        }
        None
    }
}

/// Names and kinds in the order of their texts.
fn entries(directory: &OwnedFd, stop: &Stop) -> Result<Vec<(String, FileType)>, Errno> {
    let mut entries = Vec::new();
    for (index, entry) in Dir::read_from(directory)?.enumerate() {
        if index % ENTRIES_BETWEEN_LOOKS == 0 && stop.is_set() {
            return Ok(Vec::new());
        }
        let entry = entry?;
        let name = text_of(entry.file_name().to_bytes());
        let name = &*name;
        if matches!(name, "." | "..") || is_ours(name) {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => Facts::at(directory, name).map_or(FileType::Unknown, |facts| facts.kind),
            kind => kind,
        };
        entries.push((name.to_owned(), kind));
    }
    entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(entries)
}
