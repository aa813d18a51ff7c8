//! Sets of changes, between the contract's types and the host's: every path of a set is looked up in its own grant.

use bytes::Bytes;
use midplane_capabilities::files::{Change, Outcome, OutcomeKind, Replacement, Target, Version};
use midplane_model::Fault;

use super::create;
use crate::{bindings::imports::files, instance::Guest, manifest::Access};

/// # Errors
/// `forbidden` and `outside_root`, with the `change` that asks for too much.
pub(super) fn changes(guest: &Guest, changes: Vec<files::Change>) -> Result<Vec<Change>, Fault> {
    let granted = changes.into_iter().enumerate();
    granted
        .map(|(index, change)| {
            self::change(guest, change).map_err(|fault| {
                let message = format!("changes[{index}]: {}", fault.message);
                Fault { message, ..fault }.with("change", index)
            })
        })
        .collect()
}

fn change(guest: &Guest, change: files::Change) -> Result<Change, Fault> {
    let target = |path: &str| {
        let granted = guest.granted(path, Access::Write)?;
        Ok::<_, Fault>(Target { root: granted.root, path: granted.path })
    };
    let version = |text: Option<String>| text.as_deref().map(Version::new);
    Ok(match change {
        files::Change::Write(write) => Change::Write {
            at: target(&write.path)?,
            bytes: Bytes::from(write.bytes),
            if_version: version(write.if_version),
            create: create(write.create),
            create_dirs: write.create_dirs,
        },
        files::Change::Edit(edit) => Change::Edit {
            at: target(&edit.path)?,
            edits: replacements(edit.edits),
            if_version: version(edit.if_version),
        },
        files::Change::Delete(delete) => Change::Delete {
            at: target(&delete.path)?,
            recursive: delete.recursive,
            if_version: version(delete.if_version),
        },
        files::Change::Move(relocate) => {
            Change::Move { from: target(&relocate.from)?, to: target(&relocate.to)?, overwrite: relocate.overwrite }
        }
        files::Change::Mkdir(make) => Change::MakeDir { at: target(&make.path)?, parents: make.parents },
    })
}

pub(super) fn replacements(edits: Vec<files::Replacement>) -> Vec<Replacement> {
    let replacement =
        |edit: files::Replacement| Replacement { old: edit.old_text, new: edit.new_text, count: edit.expect_count };
    edits.into_iter().map(replacement).collect()
}

pub(super) fn outcome(outcome: Outcome) -> files::Outcome {
    files::Outcome {
        kind: match outcome.kind {
            OutcomeKind::Created => files::OutcomeKind::Created,
            OutcomeKind::Modified => files::OutcomeKind::Modified,
            OutcomeKind::Deleted => files::OutcomeKind::Deleted,
            OutcomeKind::Moved => files::OutcomeKind::Moved,
            OutcomeKind::Unchanged => files::OutcomeKind::Unchanged,
        },
        path: outcome.path.as_str().to_owned(),
        from: outcome.from.map(|path| path.as_str().to_owned()),
        version: outcome.version.map(|version| version.as_str().to_owned()),
        size_bytes: outcome.size,
        diff: outcome.diff,
    }
}
