//! The steps of a set on disk, from the moment it is decided until it has happened: a host that was killed in between goes on
//! at its next start, before anybody is served.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        Root,
        error::FilesError,
        facts::Facts,
        jail::Jail,
        own_writes::{OwnWrite, Trace},
        path::RelativePath,
        staging::Staging,
    },
    steps::{Site, Step},
};

/// The only form that this program writes and reads.
const FORMAT: u32 = 1;
const PREFIX: &str = "apply-";
const SUFFIX: &str = ".json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: u32,
    staging: RelativePath,
    steps: Vec<Step>,
}

/// Writes the steps down, does them, and crosses them out. A step that fails takes all back.
pub(in super::super) fn carry_out(
    root: &Root,
    site: &Site<'_>,
    steps: &[Step],
    origin: Option<&Arc<str>>,
) -> Result<(), FilesError> {
    let failed = |source| FilesError::Io { action: "record", path: "a set of changes".into(), source };
    let record = root.inner.journal.as_ref().map(|folder| record(folder, site, steps)).transpose().map_err(failed)?;
    let done = do_all(site, steps, |step| note(root, site, step, origin));
    if let Err((index, _)) = &done {
        for step in &steps[..=*index] {
            forget(root, step);
        }
    }
    // What cannot be crossed out is done again at the next start, which changes nothing: unless the files have changed since.
    let crossed_out = record.as_ref().map_or(Ok(()), |path| midplane_durable::remove(path));
    done.map_err(|(index, errno)| FilesError::from_errno("change", steps[index].path(), errno))?;
    crossed_out.map_err(failed)
}

/// From here on the set happens.
pub(super) fn record(folder: &Path, site: &Site<'_>, steps: &[Step]) -> io::Result<PathBuf> {
    let staging = &site.staging.path;
    let path = folder.join(format!("{PREFIX}{}{SUFFIX}", staging.name()));
    let record = Record { format: FORMAT, staging: staging.clone(), steps: steps.to_vec() };
    midplane_durable::replace(&path, &serde_json::to_vec(&record)?)?;
    Ok(path)
}

/// All steps, or none: then the index of the one that failed.
fn do_all(site: &Site<'_>, steps: &[Step], mut before: impl FnMut(&Step)) -> Result<(), (usize, Errno)> {
    for (index, step) in steps.iter().enumerate() {
        before(step);
        if let Err(errno) = step.redo(site) {
            take_back(site, &steps[..=index]);
            return Err((index, errno));
        }
    }
    for step in steps {
        if let Err(error) = step.sync(site) {
            tracing::warn!(%error, ?step, "a change may not survive a loss of power");
        }
    }
    Ok(())
}

fn take_back(site: &Site<'_>, steps: &[Step]) {
    let mut torn = false;
    for step in steps.iter().rev() {
        if let Err(error) = step.undo(site) {
            tracing::error!(%error, ?step, "a set of changes could not be taken back entirely");
            torn = true;
        }
    }
    if torn {
        match site.staging.rescue(site.jail) {
            Ok(path) => tracing::error!(%path, "what the set had displaced is kept there"),
            Err(error) => tracing::error!(%error, "what the set had displaced could not be kept"),
        }
    }
}

impl Step {
    /// What an error is about.
    pub(in super::super) fn path(&self) -> &RelativePath {
        match self {
            Self::MakeDir { path }
            | Self::Put { path, .. }
            | Self::Overwrite { path, .. }
            | Self::Take { path, .. } => path,
            Self::MoveTree { from, .. } => from,
        }
    }
}

/// Tells the watcher what it is going to see.
fn note(root: &Root, site: &Site<'_>, step: &Step, origin: Option<&Arc<str>>) {
    let own = |path: &RelativePath, trace| {
        root.inner.own.note(path, OwnWrite { trace, version: None, origin: origin.cloned() });
    };
    match step {
        Step::MakeDir { path } => own(path, Trace::Directory),
        Step::Put { path, staged, .. } => {
            if let Ok(facts) = Facts::at(&site.staging.folder, staged) {
                own(path, Trace::from(&facts));
            }
        }
        // The trace is known only afterwards: such a change comes without its origin.
        Step::Overwrite { .. } => {}
        Step::Take { path, .. } => own(path, Trace::Gone),
        Step::MoveTree { from, to } => {
            own(to, Trace::Directory);
            own(from, Trace::Gone);
        }
    }
}

fn forget(root: &Root, step: &Step) {
    root.inner.own.forget(step.path());
    if let Step::MoveTree { to, .. } = step {
        root.inner.own.forget(to);
    }
}

/// Ends what a killed host had begun: each recorded set happens, or where it cannot any more, not at all.
pub(in super::super) fn recover(jail: &Jail, folder: &Path) -> io::Result<()> {
    for path in records(folder)? {
        let record: Record = match serde_json::from_slice(&fs::read(&path)?) {
            Ok(record) => record,
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "a record of changes is damaged; it is set aside");
                fs::rename(&path, path.with_extension("damaged"))?;
                continue;
            }
        };
        finish(jail, &record);
        midplane_durable::remove(&path)?;
    }
    Staging::clear_all(jail).map_err(Into::into)
}

fn records(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut records = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            records.push(path);
        }
    }
    records.sort();
    Ok(records)
}

fn finish(jail: &Jail, Record { staging, steps, .. }: &Record) {
    let staging = match Staging::reopen(jail, staging) {
        Ok(staging) => staging,
        Err(error) => {
            tracing::error!(%error, %staging, "changes that a killed host had begun cannot be found any more");
            return;
        }
    };
    match do_all(&Site { jail, staging: &staging }, steps, |_| {}) {
        Ok(()) => tracing::info!(steps = steps.len(), "changes that a killed host had begun are done"),
        Err((index, error)) => {
            let step = &steps[index];
            tracing::error!(%error, ?step, "changes that a killed host had begun cannot be done; they are taken back");
        }
    }
}
