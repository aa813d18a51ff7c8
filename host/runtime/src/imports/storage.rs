//! The plugin's own key-value store.

use midplane_capabilities::storage::{Op, StorageError};
use midplane_model::Fault;

use crate::{
    bindings::{Error, imports::storage},
    instance::Guest,
};

/// Keys of one answer where the guest names no limit.
const KEYS_DEFAULT: usize = 1000;

fn answer<T>(result: Result<T, StorageError>) -> wasmtime::Result<Result<T, Error>> {
    Ok(result.map_err(|error| Fault::from(error).into()))
}

impl storage::Host for Guest {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        answer(self.storage.get(&key).await)
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        answer(self.storage.set(&key, value).await)
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<bool, Error>> {
        answer(self.storage.delete(&key).await)
    }

    async fn keys(
        &mut self,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> wasmtime::Result<Result<Vec<String>, Error>> {
        let limit = if limit == 0 { KEYS_DEFAULT } else { limit as usize };
        answer(self.storage.list(&prefix, after.as_deref(), limit).await)
    }

    async fn compare_and_set(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
    ) -> wasmtime::Result<Result<bool, Error>> {
        answer(self.storage.compare_and_set(&key, expected, value).await)
    }

    async fn batch(&mut self, operations: Vec<storage::Operation>) -> wasmtime::Result<Result<(), Error>> {
        let operations = operations.into_iter().map(|operation| match operation {
            storage::Operation::Set((key, value)) => Op::Set { key, value },
            storage::Operation::Delete(key) => Op::Delete { key },
        });
        answer(self.storage.batch(operations.collect()).await)
    }
}
