//! What each plugin holds in the store, and how much it may.
//!
//! The truth is a table that changes in the transactions of the values; beside it stands a copy in memory, of the newest
//! commit, for whoever shows figures.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use midplane_model::limits::STORAGE_ENTRY_BYTES;
use redb::{Database, ReadableDatabase as _, ReadableTable, TableDefinition};

use super::namespace::Op;

/// Entries and bytes by plugin. A plugin that holds nothing has no row.
pub const USAGE: TableDefinition<'static, &str, (u64, u64)> = TableDefinition::new("usage");

/// Entries, and the bytes that they count: of key and value, and `STORAGE_ENTRY_BYTES` each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub entries: u64,
    pub bytes: u64,
}

impl Usage {
    /// What there will be when these steps are done, in order. Changes nothing.
    pub(super) fn after(
        self,
        plugin: &str,
        ops: &[Op],
        values: &impl ReadableTable<(&'static str, &'static str), &'static [u8]>,
    ) -> Result<Self, redb::Error> {
        // A key may come several times: each step sees what those before it will have left.
        let mut left: HashMap<&str, Option<u64>> = HashMap::with_capacity(ops.len());
        let mut usage = self;
        for op in ops {
            let (key, new) = match op {
                Op::Set { key, value } => (key, Some(bytes_of(key, value))),
                Op::Delete { key } => (key, None),
            };
            let old = match left.insert(key, new) {
                Some(old) => old,
                None => values.get((plugin, key.as_str()))?.map(|value| bytes_of(key, value.value())),
            };
            usage = usage.without(old).with(new);
        }
        Ok(usage)
    }

    fn with(self, bytes: Option<u64>) -> Self {
        bytes.map_or(self, |bytes| Self { entries: self.entries + 1, bytes: self.bytes + bytes })
    }

    fn without(self, bytes: Option<u64>) -> Self {
        // The table agrees with the values; should it not, a plugin must still be able to delete.
        bytes.map_or(self, |bytes| Self {
            entries: self.entries.saturating_sub(1),
            bytes: self.bytes.saturating_sub(bytes),
        })
    }
}

/// What one entry counts.
fn bytes_of(key: &str, value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64 + STORAGE_ENTRY_BYTES
}

/// Counts what every plugin holds, by reading everything.
pub(super) fn count(
    values: &impl ReadableTable<(&'static str, &'static str), &'static [u8]>,
) -> Result<HashMap<String, Usage>, redb::Error> {
    let mut counted: HashMap<String, Usage> = HashMap::new();
    for entry in values.iter()? {
        let (found, value) = entry?;
        let (plugin, key) = found.value();
        let usage = counted.entry(plugin.to_owned()).or_default();
        *usage = usage.with(Some(bytes_of(key, value.value())));
    }
    Ok(counted)
}

/// The newest committed usage of every plugin that was asked for, or that has written.
pub(super) struct Gauges(Mutex<HashMap<Arc<str>, Arc<Gauge>>>);

/// The newest committed usage of one plugin. The two figures are read one after the other: for people, not for decisions.
#[derive(Default)]
pub struct Gauge {
    entries: AtomicU64,
    bytes: AtomicU64,
}

impl Gauge {
    #[must_use]
    pub fn read(&self) -> Usage {
        Usage { entries: self.entries.load(Relaxed), bytes: self.bytes.load(Relaxed) }
    }

    fn set(&self, usage: Usage) {
        self.entries.store(usage.entries, Relaxed);
        self.bytes.store(usage.bytes, Relaxed);
    }
}

impl Gauges {
    pub fn load(database: &Database) -> Result<Self, redb::Error> {
        let mut gauges = HashMap::new();
        for row in database.begin_read()?.open_table(USAGE)?.iter()? {
            let (plugin, usage) = row?;
            let (entries, bytes) = usage.value();
            let gauge = Gauge::default();
            gauge.set(Usage { entries, bytes });
            gauges.insert(plugin.value().into(), Arc::new(gauge));
        }
        Ok(Self(Mutex::new(gauges)))
    }

    pub fn of(&self, plugin: &Arc<str>) -> Arc<Gauge> {
        let mut gauges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.entry(plugin.clone()).or_default().clone()
    }

    pub fn set(&self, usages: impl IntoIterator<Item = (Arc<str>, Usage)>) {
        usages.into_iter().for_each(|(plugin, usage)| self.of(&plugin).set(usage));
    }
}

/// Counts again what every plugin holds, for tests of the running account.
#[cfg(test)]
pub(super) fn recount(database: &Database) -> HashMap<String, Usage> {
    let read = database.begin_read().expect("begin");
    count(&read.open_table(super::table::VALUES).expect("values")).expect("count")
}
