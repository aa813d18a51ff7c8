//! What the host knows of entries, in the contract's types.

use std::{sync::Arc, time::UNIX_EPOCH};

use midplane_capabilities::files::{Entry, Kind, Trashed, WriteMode, Written};

use crate::bindings::imports::files;

pub(super) fn entry(entry: &Entry) -> files::Entry {
    let modified = entry.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    files::Entry {
        path: entry.path.as_str().to_owned(),
        name: entry.path.name().to_owned(),
        kind: match entry.kind {
            Kind::File => files::Kind::File,
            Kind::Directory => files::Kind::Directory,
            Kind::Symlink => files::Kind::Symlink,
            Kind::Other => files::Kind::Other,
        },
        size_bytes: entry.size,
        modified_ms: u64::try_from(modified.as_millis()).unwrap_or(u64::MAX),
        mode: entry.mode,
        version: entry.version.as_ref().map(|version| version.as_str().to_owned()),
        target: entry.symlink.as_ref().and_then(|link| link.target.clone()),
        link_outside: entry.symlink.as_ref().is_some_and(|link| link.link_outside),
        hidden: entry.path.name().starts_with('.'),
    }
}

pub(super) fn described(found: &Entry) -> files::Described {
    let (entry, owner) = (entry(found), &found.owner);
    let name = |name: &Option<Arc<str>>| name.as_deref().map(str::to_owned);
    let owner = files::Owner { uid: owner.uid, gid: owner.gid, user: name(&owner.user), group: name(&owner.group) };
    files::Described { entry, owner, ignored: found.ignored }
}

pub(super) fn written(written: &Written) -> files::Written {
    files::Written {
        version: written.version.as_str().to_owned(),
        size_bytes: written.size,
        created: written.created,
        unchanged: written.unchanged,
        mode: match written.write_mode {
            WriteMode::Atomic => files::WriteMode::Atomic,
            WriteMode::InPlace => files::WriteMode::InPlace,
        },
    }
}

pub(super) fn trashed(entry: Trashed) -> files::Trashed {
    let deleted = entry.deleted.duration_since(UNIX_EPOCH).unwrap_or_default();
    files::Trashed {
        id: entry.id,
        path: entry.path.as_str().to_owned(),
        deleted_ms: u64::try_from(deleted.as_millis()).unwrap_or(u64::MAX),
        is_directory: entry.is_directory,
        size_bytes: entry.size,
    }
}
