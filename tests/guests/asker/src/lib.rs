//! Asks for everything without a grant for anything.

use exports::{
    midplane::host::subscriber::{Event, Guest as Subscriber},
    test::asker::asker::{Error, Guest},
};
use midplane_sdk::host::{events, files, services, storage, terminals};

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:asker/guest" });

struct Asker;

export!(Asker);

impl Guest for Asker {
    fn read_file(path: String) -> Result<Vec<u8>, Error> {
        Ok(files::read(&path, 0, None)?.bytes)
    }

    fn write_file(path: String, bytes: Vec<u8>) -> Result<String, Error> {
        let create = files::CreateMode::Always;
        let options = files::WriteOptions { if_version: None, create, create_dirs: false, durable: false };
        Ok(files::write(&path, &bytes, &options)?.version)
    }

    fn open_with_wasi(path: String) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|error| error.to_string())
    }

    fn open_terminal() -> Result<String, Error> {
        let options = terminals::Options {
            shell: None,
            args: Vec::new(),
            cwd: None,
            env: Vec::new(),
            cols: 80,
            rows: 24,
            name: None,
            agent: true,
        };
        Ok(terminals::open(&options)?.id)
    }

    fn call(method: String, params: String) -> Result<String, Error> {
        services::call(&method, &params)
    }

    fn publish(topic: String) -> Result<u64, Error> {
        Ok(events::publish(&topic, "{}")?.seq)
    }

    fn subscribe(pattern: String) -> Result<(), Error> {
        events::subscribe(&[pattern])
    }

    fn environment() -> Vec<String> {
        std::env::vars().map(|(name, _)| name).collect()
    }

    fn store(key: String, value: Vec<u8>) -> Result<(), Error> {
        storage::set(&key, &value)
    }

    fn load(key: String) -> Result<Option<Vec<u8>>, Error> {
        storage::get(&key)
    }

    fn keys(prefix: String, after: Option<String>, limit: u32) -> Result<Vec<String>, Error> {
        storage::keys(&prefix, after.as_deref(), limit)
    }

    fn compare_and_set(key: String, expected: Option<Vec<u8>>, value: Option<Vec<u8>>) -> Result<bool, Error> {
        storage::compare_and_set(&key, expected.as_deref(), value.as_deref())
    }
}

/// Without it a subscription would be refused before anybody looks at the grants.
impl Subscriber for Asker {
    fn on_event(_: Event) -> Result<(), Error> {
        Ok(())
    }
}
