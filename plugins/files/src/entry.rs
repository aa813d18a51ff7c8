//! An entry as the host tells it, turned into what clients see.

use midplane_sdk::{
    host::files::{self as disk, Kind as DiskKind},
    time,
};

use crate::{
    category::{self, SNIFF_BYTES},
    exports::midplane::files::files::{Category, Entry, Kind, Owner, Trashed},
};

/// An entry of a listing: classified by name alone, since a listing does not open files.
pub fn listed(described: disk::Described) -> Entry {
    let entry = &described.entry;
    let category = by_kind(entry.kind).or_else(|| category::by_name(&entry.name)).unwrap_or(Category::Binary);
    shown(described, category)
}

/// One entry that was asked for: classified by its first bytes where the name says nothing.
pub fn looked_at(described: disk::Described) -> Entry {
    let entry = &described.entry;
    let category = by_kind(entry.kind).or_else(|| category::by_name(&entry.name)).unwrap_or_else(|| by_content(entry));
    shown(described, category)
}

fn by_kind(kind: DiskKind) -> Option<Category> {
    match kind {
        DiskKind::File => None,
        DiskKind::Directory => Some(Category::Directory),
        DiskKind::Symlink => Some(Category::Symlink),
        DiskKind::Other => Some(Category::Binary),
    }
}

fn by_content(entry: &disk::Entry) -> Category {
    // A file that cannot be read can be looked at all the same; to a client it is opaque.
    disk::read(&entry.path, 0, Some(SNIFF_BYTES)).map_or(Category::Binary, |start| category::by_content(&start.bytes))
}

fn shown(described: disk::Described, category: Category) -> Entry {
    let disk::Described { entry, owner, ignored } = described;
    let disk::Owner { uid, gid, user, group } = owner;
    Entry {
        path: entry.path,
        name: entry.name,
        kind: match entry.kind {
            DiskKind::File => Kind::File,
            DiskKind::Directory => Kind::Directory,
            DiskKind::Symlink => Kind::Symlink,
            DiskKind::Other => Kind::Other,
        },
        category,
        size: entry.size_bytes,
        modified_at: time::rfc3339(entry.modified_ms),
        mode: entry.mode,
        owner: Owner { uid, gid, user, group },
        version: entry.version,
        target: entry.target,
        link_outside: entry.link_outside,
        hidden: entry.hidden,
        ignored,
    }
}

pub fn trashed(entry: disk::Trashed) -> Trashed {
    let disk::Trashed { id, path, deleted_ms, is_directory, size_bytes: size } = entry;
    Trashed { id, path, deleted_at: time::rfc3339(deleted_ms), is_directory, size }
}
