//! From a plan to steps, with every new file written and synced beside.

use std::{io::Write as _, os::fd::AsFd as _};

use rustix::{fs::AtFlags, io::Errno};

use super::{
    super::{
        error::FilesError,
        facts::Facts,
        path::RelativePath,
        replace::{inherit_group, keep_attributes},
        staging::Staging,
    },
    plan::{Entry, Plan, State, Tracked},
    steps::Step,
};

/// Steps by what must come before what: names are freed before directories take them, directories are there before files come
/// into them, and nothing is taken away whose content stands nowhere else.
#[derive(Default)]
struct Steps {
    freed: Vec<Step>,
    made: Vec<Step>,
    put: Vec<Step>,
    taken: Vec<Step>,
}

impl Plan<'_> {
    pub fn stage(&self, staging: &Staging) -> Result<Vec<Step>, FilesError> {
        let mut steps = Steps::default();
        let mut staged = Staged { staging, count: 0 };
        let trees = |path: &RelativePath| self.trees.iter().any(|(from, to)| from == path || to.as_ref() == Some(path));
        for (path, Tracked { disk, now }) in &self.tracked {
            if trees(path) {
                continue;
            }
            match (disk, now) {
                (State::Entry(_), State::Directory) => {
                    steps.freed.push(Step::Take { path: path.clone(), kept: staged.name() });
                    steps.made.push(Step::MakeDir { path: path.clone() });
                }
                (State::Absent, State::Directory) => steps.made.push(Step::MakeDir { path: path.clone() }),
                (State::Entry(_), State::Absent) => {
                    steps.taken.push(Step::Take { path: path.clone(), kept: staged.name() });
                }
                (disk, State::Entry(entry)) => {
                    let former = match disk {
                        State::Entry(Entry { source: Some((_, facts)), .. }) => Some(facts),
                        _ => None,
                    };
                    steps.put.extend(staged.put(self, path, entry, former)?);
                }
                _ => {}
            }
        }
        let trees = self.trees.iter().map(|(from, to)| match to {
            Some(to) => Step::MoveTree { from: from.clone(), to: to.clone() },
            None => Step::Take { path: from.clone(), kept: staged.name() },
        });
        steps.taken.extend(trees);
        staging.sync().map_err(|errno| FilesError::from_errno("stage changes in", &staging.path, errno))?;
        // Directories come in the order of their paths, each before what is in it.
        Ok([steps.freed, steps.made, steps.put, steps.taken].into_iter().flatten().collect())
    }
}

struct Staged<'a> {
    staging: &'a Staging,
    count: usize,
}

impl Staged<'_> {
    fn name(&mut self) -> String {
        self.count += 1;
        self.count.to_string()
    }

    /// The step that brings an entry to `path`; none when it is there already.
    fn put(
        &mut self,
        plan: &Plan<'_>,
        path: &RelativePath,
        entry: &Entry,
        former: Option<&Facts>,
    ) -> Result<Option<Step>, FilesError> {
        let fail = |errno| FilesError::from_errno("write", path, errno);
        let staged = self.name();
        let Some(bytes) = &entry.bytes else {
            let Some((source, _)) = entry.source.as_ref().filter(|(source, _)| source != path) else { return Ok(None) };
            let place = plan.place(source)?;
            // A second name, so that the file itself moves: with all that it is.
            rustix::fs::linkat(&place.parent, place.on_disk(), &self.staging.folder, staged.as_str(), AtFlags::empty())
                .map_err(fail)?;
            let facts = Facts::at(&self.staging.folder, &staged).map_err(fail)?;
            return Ok(Some(Step::Put { path: path.clone(), staged, ino: facts.ino, replaces: former.is_some() }));
        };
        let mut file = self.staging.file(&staged).map_err(fail)?;
        file.write_all(bytes).map_err(|error| FilesError::from_io("write", path, error))?;
        let mut in_place = former.is_some_and(|facts| facts.is_file() && facts.nlink > 1);
        if let Some((source, facts)) = &entry.source {
            let kept = match plan.place(source)?.open(rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK) {
                Ok(old) => keep_attributes(&file, Some(old.as_fd()), facts),
                Err(errno) => Err(errno),
            };
            in_place |= kept.is_err() && former.is_some();
        }
        if entry.source.is_none()
            && let Ok(place) = plan.place(path)
        {
            inherit_group(&file, &place.parent);
        }
        rustix::fs::fsync(&file).map_err(fail)?;
        if in_place {
            let former = self.name();
            self.keep_former(plan, path, &former)?;
            return Ok(Some(Step::Overwrite { path: path.clone(), staged, former }));
        }
        let facts = Facts::of(&file).map_err(fail)?;
        Ok(Some(Step::Put { path: path.clone(), staged, ino: facts.ino, replaces: former.is_some() }))
    }

    /// Copies what is going to be written over, so that it can come back.
    fn keep_former(&self, plan: &Plan<'_>, path: &RelativePath, name: &str) -> Result<(), FilesError> {
        let fail = |error| FilesError::from_io("read", path, error);
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
        let old = plan.place(path)?.open(flags).map_err(|errno| fail(errno.into()))?;
        let mut kept = self.staging.file(name).map_err(|errno: Errno| fail(errno.into()))?;
        std::io::copy(&mut std::fs::File::from(old), &mut kept).map_err(fail)?;
        kept.sync_all().map_err(fail)
    }
}
