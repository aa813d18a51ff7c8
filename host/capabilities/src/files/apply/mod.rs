//! A set of changes that happens as a whole or not at all.
//!
//! [`plan`] reads what the set touches and [`decide`] every change on paper, each on top of the ones before it: a wrong version or
//! a text that is not there ends the set before anything has happened. [`stage`] writes the new files beside, in a folder of
//! their own. Then the [`steps`] that bring them into place are written down in the [`journal`]: from that moment the set
//! happens, also when the host is killed in the midst of it. A step that fails undoes those before it.

mod decide;
mod journal;
mod plan;
mod resolve;
mod stage;
mod steps;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
pub(super) use journal::{carry_out, recover};
use midplane_model::limits::APPLY_CHANGES_MAX;

use super::{
    Root,
    edit::{Replacement, check},
    error::FilesError,
    path::RelativePath,
    staging::Staging,
    version::Version,
    write::Create,
};
use plan::Plan;
pub(super) use steps::{Site, Step};

/// A path, and the root that says how far it may reach.
#[derive(Clone)]
pub struct Target {
    pub root: Root,
    pub path: RelativePath,
}

/// One change of a set. Each sees what the ones before it have done. A directory that is moved or deleted as a whole may not be
/// touched by another change of its set.
pub enum Change {
    /// Makes or replaces a file.
    Write { at: Target, bytes: Bytes, if_version: Option<Version>, create: Create, create_dirs: bool },
    /// As [`Root::edit`].
    Edit { at: Target, edits: Vec<Replacement>, if_version: Option<Version> },
    /// Deletes an entry; with `recursive` a directory with its content.
    Delete { at: Target, recursive: bool, if_version: Option<Version> },
    /// Moves an entry; `overwrite` replaces a file, never a directory.
    Move { from: Target, to: Target, overwrite: bool },
    /// Makes a directory; with `parents` those above it too, and one that exists is no error.
    MakeDir { at: Target, parents: bool },
}

/// How to apply a set.
#[derive(Debug, Clone, Default)]
pub struct ApplyOptions {
    /// Change nothing; say what would change.
    pub dry_run: bool,
    /// The request that asks for it: comes back with the watcher's changes.
    pub origin: Option<Arc<str>>,
}

/// What one change did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub kind: OutcomeKind,
    /// Where it happened; of a move the new place. Free of links.
    pub path: RelativePath,
    /// Of a move: where it was.
    pub from: Option<RelativePath>,
    /// Of a file after this change.
    pub version: Option<Version>,
    /// Bytes of a file after this change.
    pub size: Option<u64>,
    /// Of a dry run, where content changes: a unified diff.
    pub diff: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeKind {
    Created,
    Modified,
    Deleted,
    Moved,
    Unchanged,
}

impl Root {
    /// Applies a set of changes: all of them, or none and the error says which one was in the way. Readers see each file whole,
    /// old or new; for a moment they may see new ones beside old ones. Survives a loss of power when this returns.
    ///
    /// # Errors
    /// [`FilesError::InChange`] with what was wrong with one change: as the single operations say it, and `conflict` for
    /// changes that do not go together. `invalid_params` for an empty or too long set, `too_large` beyond `APPLY_BYTES_MAX`.
    pub async fn apply(&self, changes: Vec<Change>, options: ApplyOptions) -> Result<Vec<Outcome>, FilesError> {
        if changes.is_empty() || changes.len() > APPLY_CHANGES_MAX {
            return Err(FilesError::InvalidParameter { at: "changes".into(), problem: "has no change, or too many" });
        }
        for (index, change) in changes.iter().enumerate() {
            if let Change::Edit { edits, .. } = change {
                check(edits).map_err(|error| error.in_change(index))?;
            }
        }
        let (changes, paths) = self.run(move |_| resolve::resolve(changes)).await?;
        let turn = self.inner.turns.wait(paths).await;
        self.run(move |root| {
            let _turn = turn;
            let mut plan = Plan::new(root, options.dry_run);
            let outcomes = plan.decide(&changes)?;
            if !options.dry_run {
                plan.carry_out(options.origin.as_ref())?;
            }
            Ok(outcomes)
        })
        .await
    }
}

impl Plan<'_> {
    fn carry_out(self, origin: Option<&Arc<str>>) -> Result<(), FilesError> {
        let root = self.root;
        let staging = Staging::create(&root.jail.whole())
            .map_err(|errno| FilesError::from_errno("stage changes in", &RelativePath::root(), errno))?;
        let steps = self.stage(&staging)?;
        self.check_untouched()?;
        let site = steps::Site { jail: &root.jail.whole(), staging: &staging };
        journal::carry_out(root, &site, &steps, origin)
    }
}
