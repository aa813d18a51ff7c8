//! The one writer: takes what is queued, applies it in order, commits once and durably, then answers everybody.
//!
//! A single caller pays one sync of the disk; a hundred at the same time share it. There is no timer: while one commit
//! syncs, the next group gathers by itself.

use redb::{Database, Durability, Table};

use super::{
    error::StorageError,
    namespace::Op,
    queue::{Queue, Request, Write},
    table::VALUES,
};

type Values<'txn> = Table<'txn, (&'static str, &'static str), &'static [u8]>;

/// Runs until the queue is closed and empty.
pub fn run(database: &Database, queue: &Queue) {
    // If this thread ever panics, nobody shall wait for an answer that cannot come.
    let _guard = AbandonOnExit(queue);
    while let Some(group) = queue.take_group() {
        match commit(database, &group) {
            Ok(results) => answer(group, results.into_iter().map(Ok)),
            Err(cause) => answer(group, std::iter::repeat(Err(StorageError::write(cause)))),
        }
    }
}

struct AbandonOnExit<'a>(&'a Queue);

impl Drop for AbandonOnExit<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Applies the group in one durable transaction. On an error nothing of the group is stored.
fn commit(database: &Database, group: &[Request]) -> Result<Vec<bool>, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let mut results = Vec::with_capacity(group.len());
    {
        let mut values = transaction.open_table(VALUES)?;
        for request in group {
            results.push(apply(&mut values, &request.plugin, &request.write)?);
        }
    }
    transaction.commit()?;
    Ok(results)
}

fn apply(values: &mut Values<'_>, plugin: &str, write: &Write) -> Result<bool, redb::Error> {
    match write {
        Write::Apply(ops) => {
            let mut removed = false;
            for op in ops {
                removed = match op {
                    Op::Set { key, value } => put(values, plugin, key, Some(value))?,
                    Op::Delete { key } => put(values, plugin, key, None)?,
                };
            }
            Ok(removed)
        }
        Write::CompareAndSet { key, expected, value } => {
            let matches = {
                use redb::ReadableTable as _;
                let present = values.get((plugin, key.as_str()))?;
                present.as_ref().map(redb::AccessGuard::value) == expected.as_deref()
            };
            if matches {
                put(values, plugin, key, value.as_deref())?;
            }
            Ok(matches)
        }
    }
}

/// Stores or removes; true when there was a value before.
fn put(values: &mut Values<'_>, plugin: &str, key: &str, value: Option<&[u8]>) -> Result<bool, redb::Error> {
    let before = match value {
        Some(value) => values.insert((plugin, key), value)?,
        None => values.remove((plugin, key))?,
    };
    Ok(before.is_some())
}

fn answer(group: Vec<Request>, results: impl Iterator<Item = Result<bool, StorageError>>) {
    for (request, result) in group.into_iter().zip(results) {
        // Nobody listens when the caller gave up; the write is committed all the same.
        _ = request.answer.send(result);
    }
}
