//! The file of the store: how it is opened, its format version, and reads of its values.

use std::{
    fs::{File, OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
};

use midplane_model::limits::STORAGE_PAGE_BYTES_MAX;
use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable, TableDefinition};

use super::{error::StorageError, usage};

/// Values by plugin and key. The plugin comes first, so that one plugin's keys are one range.
pub const VALUES: TableDefinition<'static, (&str, &str), &[u8]> = TableDefinition::new("values");
const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");
const FORMAT_KEY: &str = "format";
/// Raised when older hosts could not read the file any more, or would spoil it: since 2 it counts what plugins hold.
const FORMAT: u64 = 2;
/// Becomes [`FORMAT`] when it is opened.
const UNCOUNTED: u64 = 1;

/// Opens or creates the file, checks or writes its format, and makes sure that the tables exist.
pub fn open(path: &Path) -> Result<Database, StorageError> {
    private_file(path).map_err(|cause| StorageError::Prepare { source: Arc::new(cause) })?;
    let database = Database::create(path).map_err(|cause| match cause {
        DatabaseError::DatabaseAlreadyOpen => StorageError::InUse,
        other => StorageError::Open { source: Arc::new(other.into()) },
    })?;
    match stamp(&database).map_err(|cause| StorageError::Open { source: Arc::new(cause) })? {
        FORMAT => Ok(database),
        found => Err(StorageError::Format { found, expected: FORMAT }),
    }
}

/// Creates the file before the database does, because its mode must be right before anything secret is in it.
fn private_file(path: &Path) -> io::Result<()> {
    let file: File = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// The format of the file. A new file gets ours, in the same transaction as its tables; so does one that was not counted.
fn stamp(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_write()?;
    let found = transaction.open_table(META)?.get(FORMAT_KEY)?.map(|value| value.value());
    match found {
        None | Some(UNCOUNTED) => {
            let counted = usage::count(&transaction.open_table(VALUES)?)?;
            let mut rows = transaction.open_table(usage::USAGE)?;
            for (plugin, usage) in &counted {
                rows.insert(plugin.as_str(), (usage.entries, usage.bytes))?;
            }
            transaction.open_table(META)?.insert(FORMAT_KEY, FORMAT)?;
        }
        // Nothing is written, for which there might be no room.
        Some(found) => return Ok(found),
    }
    transaction.commit()?;
    Ok(FORMAT)
}

/// The value of a key in the newest committed state.
pub fn get(database: &Database, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, redb::Error> {
    let values = database.begin_read()?.open_table(VALUES)?;
    Ok(values.get((plugin, key))?.map(|value| value.value().to_vec()))
}

/// Up to `limit` keys of `plugin` that begin with `prefix` and come after `after`, in byte order.
pub fn list(
    database: &Database,
    plugin: &str,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, redb::Error> {
    let mut keys = Vec::new();
    visit(database, plugin, prefix, after, |key, _| {
        let room = keys.len() < limit;
        if room {
            keys.push(key.to_owned());
        }
        room
    })?;
    Ok(keys)
}

/// The same with their values, as long as the page has room; the first one always fits.
pub fn entries(
    database: &Database,
    plugin: &str,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<(String, Vec<u8>)>, redb::Error> {
    let (mut page, mut bytes) = (Vec::new(), 0);
    visit(database, plugin, prefix, after, |key, value| {
        bytes += key.len() + value.len();
        let room = page.len() < limit && (page.is_empty() || bytes <= STORAGE_PAGE_BYTES_MAX);
        if room {
            page.push((key.to_owned(), value.to_vec()));
        }
        room
    })?;
    Ok(page)
}

/// Shows the entries of `plugin` that begin with `prefix` and come after `after`, in byte order, as long as `more` says so.
fn visit(
    database: &Database,
    plugin: &str,
    prefix: &str,
    after: Option<&str>,
    mut more: impl FnMut(&str, &[u8]) -> bool,
) -> Result<(), redb::Error> {
    let values = database.begin_read()?.open_table(VALUES)?;
    let start = after.map_or(prefix, |after| after.max(prefix));
    for entry in values.range((plugin, start)..)? {
        let (found, value) = entry?;
        let (owner, key) = found.value();
        let ours = owner == plugin && key.starts_with(prefix);
        if !ours || (after != Some(key) && !more(key, value.value())) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) fn set_format(path: &Path, format: u64) {
    let database = Database::create(path).expect("open");
    let transaction = database.begin_write().expect("begin");
    transaction.open_table(META).expect("meta").insert(FORMAT_KEY, format).expect("insert");
    transaction.commit().expect("commit");
}
