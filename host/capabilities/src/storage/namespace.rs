//! One plugin's view of the store.

use std::sync::Arc;

use midplane_model::{
    PluginName,
    limits::{
        PLUGIN_STORAGE_BYTES_DEFAULT, STORAGE_KEY_BYTES_MAX, STORAGE_KEYS_MAX, STORAGE_QUEUE_BYTES_MAX,
        STORAGE_VALUE_BYTES_MAX,
    },
};

use redb::Database;

use super::{Shared, error::StorageError, queue::Write, table, usage::Gauge};

/// The keys of one plugin; cheap to clone. Keys are UTF-8 of 1 to `STORAGE_KEY_BYTES_MAX` bytes, values bytes up to
/// `STORAGE_VALUE_BYTES_MAX`, and all of it as much as the quota allows.
///
/// Reads run on the blocking pool although a cached one takes microseconds: a value may have 16 MiB and be on a cold
/// disk, and a runtime worker that waits for a disk delays every socket it serves.
///
/// Writes wait while the queue is full. Dropping a write's future before it is queued cancels it; after that it may
/// still be committed.
#[derive(Clone)]
pub struct Namespace {
    shared: Arc<Shared>,
    plugin: Arc<str>,
    quota_bytes: u64,
}

/// One step of an atomic batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Set { key: String, value: Vec<u8> },
    Delete { key: String },
}

impl Op {
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Set { key, .. } | Self::Delete { key } => key,
        }
    }

    fn value(&self) -> &[u8] {
        match self {
            Self::Set { value, .. } => value,
            Self::Delete { .. } => &[],
        }
    }

    /// Its bytes, if it is within the limits.
    fn check(&self) -> Result<usize, StorageError> {
        check_key(self.key())?;
        check("the value", self.value().len(), STORAGE_VALUE_BYTES_MAX)?;
        Ok(self.key().len() + self.value().len())
    }
}

impl Namespace {
    pub(super) fn new(shared: Arc<Shared>, plugin: &PluginName) -> Self {
        Self { shared, plugin: plugin.as_str().into(), quota_bytes: PLUGIN_STORAGE_BYTES_DEFAULT }
    }

    /// The same keys with another quota than `PLUGIN_STORAGE_BYTES_DEFAULT`. A plugin that holds more already can read and
    /// delete, and write what takes no more room than before.
    #[must_use]
    pub fn with_quota(self, quota_bytes: u64) -> Self {
        Self { quota_bytes, ..self }
    }

    /// What the plugin holds.
    #[must_use]
    pub fn gauge(&self) -> Arc<Gauge> {
        self.shared.gauges.of(&self.plugin)
    }

    /// The value of `key` in the newest committed state.
    ///
    /// # Errors
    /// [`StorageError::TooLarge`] for the key, [`StorageError::Read`].
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StorageError> {
        check_key(key)?;
        let key = key.to_owned();
        self.read(move |database, plugin| table::get(database, plugin, &key)).await
    }

    /// Up to `limit` (at most `STORAGE_KEYS_MAX`) keys with `prefix`, in byte order, beginning after the key `after`.
    /// To page, pass the last key of the page before; keys that come and go in between do not shift the rest.
    ///
    /// # Errors
    /// [`StorageError::Read`].
    pub async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>, StorageError> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        let limit = limit.min(STORAGE_KEYS_MAX);
        self.read(move |database, plugin| table::list(database, plugin, &prefix, after.as_deref(), limit)).await
    }

    /// Entries as [`Namespace::list`] has keys. A page ends before the entry with which its keys and values would be more than
    /// `STORAGE_PAGE_BYTES_MAX`, but has one at least: only an empty page is the end.
    ///
    /// # Errors
    /// [`StorageError::Read`].
    pub async fn entries(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StorageError> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        let limit = limit.min(STORAGE_KEYS_MAX);
        self.read(move |database, plugin| table::entries(database, plugin, &prefix, after.as_deref(), limit)).await
    }

    /// Stores `value`; durable when this resolves.
    ///
    /// # Errors
    /// [`StorageError::EmptyKey`], [`StorageError::TooLarge`], [`StorageError::Quota`], [`StorageError::Write`],
    /// [`StorageError::Closed`].
    pub async fn set(&self, key: &str, value: Vec<u8>) -> Result<(), StorageError> {
        self.batch(vec![Op::Set { key: key.to_owned(), value }]).await
    }

    /// Removes `key`; false when it was not there.
    ///
    /// # Errors
    /// As [`Namespace::set`].
    pub async fn delete(&self, key: &str) -> Result<bool, StorageError> {
        check_key(key)?;
        self.write(Write::Apply(vec![Op::Delete { key: key.to_owned() }]), key.len()).await
    }

    /// Stores `value` (or removes the key, if none) when the present value is `expected` (none: absent); false and no
    /// change when it is not. Atomic against every other write.
    ///
    /// # Errors
    /// As [`Namespace::set`].
    pub async fn compare_and_set(
        &self,
        key: &str,
        expected: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
    ) -> Result<bool, StorageError> {
        let key = key.to_owned();
        let op = match value {
            Some(value) => Op::Set { key, value },
            None => Op::Delete { key },
        };
        let bytes = op.check()? + expected.as_ref().map_or(0, Vec::len);
        check_batch(bytes)?;
        self.write(Write::CompareAndSet { expected, op }, bytes).await
    }

    /// Applies all of `ops`, in order, or none.
    ///
    /// # Errors
    /// As [`Namespace::set`]; the batch as a whole is limited to `STORAGE_QUEUE_BYTES_MAX`.
    pub async fn batch(&self, ops: Vec<Op>) -> Result<(), StorageError> {
        let mut bytes = 0;
        for op in &ops {
            bytes += op.check()?;
        }
        check_batch(bytes)?;
        self.write(Write::Apply(ops), bytes).await.map(|_| ())
    }

    /// Removes everything, a page at a time. Keys that somebody writes meanwhile may stay.
    ///
    /// # Errors
    /// As [`Namespace::set`].
    pub async fn clear(&self) -> Result<(), StorageError> {
        loop {
            let keys = self.list("", None, STORAGE_KEYS_MAX).await?;
            if keys.is_empty() {
                return Ok(());
            }
            let bytes = keys.iter().map(String::len).sum();
            self.write(Write::Apply(keys.into_iter().map(|key| Op::Delete { key }).collect()), bytes).await?;
        }
    }

    async fn write(&self, write: Write, bytes: usize) -> Result<bool, StorageError> {
        let answer = self.shared.queue.push(self.plugin.clone(), self.quota_bytes, write, bytes).await?;
        // The writer answers everything it takes; an answer that never comes means that it panicked.
        answer.await.unwrap_or(Err(StorageError::Closed))
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database, &str) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StorageError> {
        let this = self.clone();
        let read = move || this.shared.opened.with(StorageError::read, |database| read(database, &this.plugin));
        tokio::task::spawn_blocking(read).await.map_err(|_| StorageError::Closed)?
    }
}

fn check_key(key: &str) -> Result<(), StorageError> {
    if key.is_empty() {
        return Err(StorageError::EmptyKey);
    }
    check("the key", key.len(), STORAGE_KEY_BYTES_MAX)
}

fn check_batch(bytes: usize) -> Result<(), StorageError> {
    check("the batch", bytes, STORAGE_QUEUE_BYTES_MAX)
}

fn check(what: &'static str, bytes: usize, limit_bytes: usize) -> Result<(), StorageError> {
    if bytes > limit_bytes { Err(StorageError::TooLarge { what, limit_bytes }) } else { Ok(()) }
}
