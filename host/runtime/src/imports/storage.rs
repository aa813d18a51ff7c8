//! The plugin's own key-value store.

use midplane_capabilities::storage::{Namespace, Op, StorageError};
use midplane_model::Fault;

use crate::{
    bindings::{Error, imports::storage},
    instance::Guest,
};

/// Keys or entries of one answer where the guest names no limit.
const LIMIT_DEFAULT: usize = 1000;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Guest {
    async fn stored<T, W>(&mut self, work: impl FnOnce(Namespace) -> W) -> Answer<T>
    where
        W: Future<Output = Result<T, StorageError>>,
    {
        let (slot, work) = (self.slot.clone(), work(self.storage.clone()));
        let done = self.in_time(async move {
            work.await.map_err(|error| {
                if let StorageError::Quota { .. } = error {
                    slot.metrics.storage_refused.add(1);
                }
                Fault::from(error)
            })
        });
        Ok(done.await.map_err(Error::from))
    }
}

fn limit(asked: u32) -> usize {
    if asked == 0 { LIMIT_DEFAULT } else { asked as usize }
}

impl storage::Host for Guest {
    async fn get(&mut self, key: String) -> Answer<Option<Vec<u8>>> {
        self.stored(|keys| async move { keys.get(&key).await }).await
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> Answer<()> {
        self.stored(|keys| async move { keys.set(&key, value).await }).await
    }

    async fn delete(&mut self, key: String) -> Answer<bool> {
        self.stored(|keys| async move { keys.delete(&key).await }).await
    }

    async fn keys(&mut self, prefix: String, after: Option<String>, count: u32) -> Answer<Vec<String>> {
        self.stored(|keys| async move { keys.list(&prefix, after.as_deref(), limit(count)).await }).await
    }

    async fn entries(&mut self, prefix: String, after: Option<String>, count: u32) -> Answer<Vec<(String, Vec<u8>)>> {
        self.stored(|keys| async move { keys.entries(&prefix, after.as_deref(), limit(count)).await }).await
    }

    async fn compare_and_set(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
    ) -> Answer<bool> {
        self.stored(|keys| async move { keys.compare_and_set(&key, expected, value).await }).await
    }

    async fn batch(&mut self, operations: Vec<storage::Operation>) -> Answer<()> {
        let operations = operations.into_iter().map(|operation| match operation {
            storage::Operation::Set((key, value)) => Op::Set { key, value },
            storage::Operation::Delete(key) => Op::Delete { key },
        });
        self.stored(|keys| async move { keys.batch(operations.collect()).await }).await
    }
}
