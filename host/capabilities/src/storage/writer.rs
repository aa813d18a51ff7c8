//! The one writer: takes what is queued, applies it in order, commits once and durably, then answers everybody.
//!
//! A single caller pays one sync of the disk; a hundred at the same time share it. There is no timer: while one commit
//! syncs, the next group gathers by itself.

use std::{collections::HashMap, sync::Arc};

use redb::{Database, Durability, ReadableTable as _, Table, WriteTransaction};

use super::{
    error::StorageError,
    namespace::Op,
    opened::Opened,
    queue::{Queue, Request, Write},
    table::VALUES,
    usage::{Gauges, USAGE, Usage},
};

/// Runs until the queue is closed and empty.
pub fn run(opened: &Opened, queue: &Queue, gauges: &Gauges) {
    // If this thread ever panics, nobody shall wait for an answer that cannot come.
    let _guard = AbandonOnExit(queue);
    while let Some(group) = queue.take_group() {
        match opened.with(StorageError::write, |database| commit(database, &group)) {
            Ok(done) => {
                gauges.set(done.usages);
                answer(group, done.results);
            }
            Err(cause) => answer(group, std::iter::repeat(Err(cause))),
        }
    }
}

struct AbandonOnExit<'a>(&'a Queue);

impl Drop for AbandonOnExit<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// What a commit has done.
struct Done {
    /// An answer for each request.
    results: Vec<Result<bool, StorageError>>,
    /// What the plugins hold that have written.
    usages: HashMap<Arc<str>, Usage>,
}

/// Applies the group in one durable transaction. On an error nothing of the group is stored; a request that is refused leaves
/// no trace among the others.
fn commit(database: &Database, group: &[Request]) -> Result<Done, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let mut tables = Tables::open(&transaction)?;
    let results = group.iter().map(|request| tables.apply(request)).collect::<Result<_, _>>()?;
    let usages = tables.close()?;
    transaction.commit()?;
    Ok(Done { results, usages })
}

/// The tables of one transaction.
struct Tables<'txn> {
    values: Table<'txn, (&'static str, &'static str), &'static [u8]>,
    usage: Table<'txn, &'static str, (u64, u64)>,
    /// Of the plugins that the group has met so far.
    usages: HashMap<Arc<str>, Usage>,
}

impl<'txn> Tables<'txn> {
    fn open(transaction: &'txn WriteTransaction) -> Result<Self, redb::Error> {
        let (values, usage) = (transaction.open_table(VALUES)?, transaction.open_table(USAGE)?);
        Ok(Self { values, usage, usages: HashMap::new() })
    }

    /// Looks at the whole request before anything changes. The outer error ends the transaction, the inner one is the answer.
    fn apply(&mut self, request: &Request) -> Result<Result<bool, StorageError>, redb::Error> {
        let (plugin, ops) = (&*request.plugin, request.write.ops());
        if let Write::CompareAndSet { expected, op } = &request.write {
            let present = self.values.get((plugin, op.key()))?;
            if present.as_ref().map(redb::AccessGuard::value) != expected.as_deref() {
                return Ok(Ok(false));
            }
        }
        let before = self.usage_of(&request.plugin)?;
        let after = before.after(plugin, ops, &self.values)?;
        // What makes room always passes, so that a plugin finds its way back below its quota.
        if after.bytes > request.quota_bytes && after.bytes > before.bytes {
            let (used_bytes, quota_bytes) = (before.bytes, request.quota_bytes);
            let needed_bytes = after.bytes - before.bytes;
            return Ok(Err(StorageError::Quota { plugin: plugin.into(), quota_bytes, used_bytes, needed_bytes }));
        }
        self.usages.insert(request.plugin.clone(), after);
        let mut found = false;
        for op in ops {
            found = self.put(plugin, op)?;
        }
        let held = matches!(request.write, Write::CompareAndSet { .. });
        Ok(Ok(held || found))
    }

    fn usage_of(&self, plugin: &Arc<str>) -> Result<Usage, redb::Error> {
        if let Some(usage) = self.usages.get(plugin) {
            return Ok(*usage);
        }
        let row = self.usage.get(&**plugin)?.map(|row| row.value());
        Ok(row.map_or_else(Usage::default, |(entries, bytes)| Usage { entries, bytes }))
    }

    /// Stores or removes; true when there was a value before.
    fn put(&mut self, plugin: &str, op: &Op) -> Result<bool, redb::Error> {
        let before = match op {
            Op::Set { key, value } => self.values.insert((plugin, key.as_str()), value.as_slice())?,
            Op::Delete { key } => self.values.remove((plugin, key.as_str()))?,
        };
        Ok(before.is_some())
    }

    /// Writes down what the plugins hold now.
    fn close(mut self) -> Result<HashMap<Arc<str>, Usage>, redb::Error> {
        for (plugin, usage) in &self.usages {
            if usage.entries == 0 {
                self.usage.remove(&**plugin)?;
            } else {
                self.usage.insert(&**plugin, (usage.entries, usage.bytes))?;
            }
        }
        Ok(self.usages)
    }
}

fn answer(group: Vec<Request>, results: impl IntoIterator<Item = Result<bool, StorageError>>) {
    for (request, result) in group.into_iter().zip(results) {
        // Nobody listens when the caller gave up; the write is committed all the same.
        _ = request.answer.send(result);
    }
}
