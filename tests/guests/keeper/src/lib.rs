//! Stores what it is told.

use exports::test::keeper::keeper::{Error, Guest};
use midplane_sdk::host::storage::{self, Operation};

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:keeper/guest" });

struct Keeper;

export!(Keeper);

impl Guest for Keeper {
    fn get(key: String) -> Result<Option<String>, Error> {
        Ok(storage::get(&key)?.as_deref().map(text))
    }

    fn set(key: String, value: String) -> Result<(), Error> {
        storage::set(&key, value.as_bytes())
    }

    fn fill(key: String, size: u32) -> Result<(), Error> {
        storage::set(&key, &vec![b'x'; size as usize])
    }

    fn delete(key: String) -> Result<bool, Error> {
        storage::delete(&key)
    }

    fn keys(prefix: String, after: Option<String>, limit: u32) -> Result<Vec<String>, Error> {
        storage::keys(&prefix, after.as_deref(), limit)
    }

    fn entries(prefix: String, after: Option<String>, limit: u32) -> Result<Vec<(String, String)>, Error> {
        let page = storage::entries(&prefix, after.as_deref(), limit)?;
        Ok(page.into_iter().map(|(key, value)| (key, text(&value))).collect())
    }

    fn swap(key: String, expected: Option<String>, value: Option<String>) -> Result<bool, Error> {
        let bytes = |text: &Option<String>| text.as_ref().map(|text| text.as_bytes().to_vec());
        storage::compare_and_set(&key, bytes(&expected).as_deref(), bytes(&value).as_deref())
    }

    fn batch(steps: Vec<(String, Option<String>)>) -> Result<(), Error> {
        let step = |(key, value): (String, Option<String>)| match value {
            Some(value) => Operation::Set((key, value.into_bytes())),
            None => Operation::Delete(key),
        };
        storage::batch(&steps.into_iter().map(step).collect::<Vec<_>>())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
