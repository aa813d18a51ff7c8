//! Edits and sets of changes: what clients leave out is filled in, and the host does the rest.

use midplane_sdk::host::files as disk;

use crate::{
    encoding,
    exports::midplane::files::files::{
        Change, CreateMode, Edited, Error, Outcome, OutcomeKind, Replacement, WriteMode,
    },
};

pub fn replacements(edits: Vec<Replacement>) -> Vec<disk::Replacement> {
    let replacement = |edit: Replacement| disk::Replacement {
        old_text: edit.old_text,
        new_text: edit.new_text,
        expect_count: edit.expect_count.unwrap_or(1),
    };
    edits.into_iter().map(replacement).collect()
}

pub fn edited(path: String, edited: disk::Edited) -> Edited {
    let disk::Edited { written, replaced, diff } = edited;
    Edited {
        path,
        version: written.version,
        size: written.size_bytes,
        replaced,
        unchanged: written.unchanged,
        write_mode: write_mode(written.mode),
        diff,
    }
}

/// # Errors
/// `invalid_params` for a content that is given twice, or not at all, with the `change` it is in.
pub fn changes(changes: Vec<Change>) -> Result<Vec<disk::Change>, Error> {
    let changed = changes.into_iter().enumerate();
    changed.map(|(index, change)| self::change(change).map_err(|error| error.with("change", index))).collect()
}

fn change(change: Change) -> Result<disk::Change, Error> {
    Ok(match change {
        Change::Write(write) => disk::Change::Write(disk::WriteChange {
            path: write.path,
            bytes: encoding::content(write.content, write.content_base64)?,
            if_version: write.if_version,
            create: create(write.create),
            create_dirs: write.create_dirs.unwrap_or(false),
        }),
        Change::Edit(edit) => disk::Change::Edit(disk::EditChange {
            path: edit.path,
            edits: replacements(edit.edits),
            if_version: edit.if_version,
        }),
        Change::Delete(delete) => disk::Change::Delete(disk::DeleteChange {
            path: delete.path,
            recursive: delete.recursive.unwrap_or(false),
            if_version: delete.if_version,
        }),
        Change::Move(relocate) => disk::Change::Move(disk::MoveChange {
            from: relocate.from,
            to: relocate.to,
            overwrite: relocate.overwrite.unwrap_or(false),
        }),
        Change::Mkdir(make) => {
            disk::Change::Mkdir(disk::MkdirChange { path: make.path, parents: make.parents.unwrap_or(false) })
        }
    })
}

pub fn outcome(outcome: disk::Outcome) -> Outcome {
    Outcome {
        kind: match outcome.kind {
            disk::OutcomeKind::Created => OutcomeKind::Created,
            disk::OutcomeKind::Modified => OutcomeKind::Modified,
            disk::OutcomeKind::Deleted => OutcomeKind::Deleted,
            disk::OutcomeKind::Moved => OutcomeKind::Moved,
            disk::OutcomeKind::Unchanged => OutcomeKind::Unchanged,
        },
        path: outcome.path,
        from: outcome.from,
        version: outcome.version,
        size: outcome.size_bytes,
        diff: outcome.diff,
    }
}

pub fn write_options(
    if_version: Option<String>,
    mode: Option<CreateMode>,
    create_dirs: Option<bool>,
    durable: Option<bool>,
) -> disk::WriteOptions {
    let (create_dirs, durable) = (create_dirs.unwrap_or(false), durable.unwrap_or(false));
    disk::WriteOptions { if_version, create: create(mode), create_dirs, durable }
}

pub fn create(mode: Option<CreateMode>) -> disk::CreateMode {
    match mode.unwrap_or(CreateMode::Always) {
        CreateMode::Never => disk::CreateMode::Never,
        CreateMode::Always => disk::CreateMode::Always,
        CreateMode::MustNotExist => disk::CreateMode::MustNotExist,
    }
}

pub fn write_mode(mode: disk::WriteMode) -> WriteMode {
    match mode {
        disk::WriteMode::Atomic => WriteMode::Atomic,
        disk::WriteMode::InPlace => WriteMode::InPlace,
    }
}
