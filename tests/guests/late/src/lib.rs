//! Asks the host for things in `save` until its deadline, which is shorter than the host's patience with `save`, is over.

use std::sync::Mutex;

use exports::{
    midplane::host::{
        state::{Guest as State, Snapshot},
        subscriber::{Event, Guest as Subscriber},
    },
    test::late::late::{Error, Guest},
};
use midplane_sdk::host::{events, services, storage};

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:late/guest" });

struct Late;

export!(Late);

const KEY: &str = "written-too-late";

static ANSWERS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

impl Guest for Late {
    fn answers() -> Vec<(String, String)> {
        ANSWERS.lock().map(|answers| answers.clone()).unwrap_or_default()
    }

    fn stored() -> Result<Option<Vec<u8>>, Error> {
        storage::get(KEY)
    }
}

impl State for Late {
    fn save() -> Result<Snapshot, Error> {
        let mut data = String::new();
        let mut until_refused = |name: &str, ask: &dyn Fn() -> Result<(), Error>| {
            // The first one ends the time, if nothing else has.
            let error = (0..).find_map(|_: u64| ask().err());
            let code = error.map(|error| error.code).unwrap_or_default();
            data.push_str(&format!("{name} {code}\n"));
        };
        until_refused("storage.get", &|| storage::get("a").map(drop));
        until_refused("storage.set", &|| storage::set(KEY, b"1"));
        until_refused("storage.delete", &|| storage::delete("a").map(drop));
        until_refused("storage.keys", &|| storage::keys("", None, 0).map(drop));
        until_refused("storage.entries", &|| storage::entries("", None, 0).map(drop));
        until_refused("storage.compare-and-set", &|| storage::compare_and_set("a", None, Some(b"1")).map(drop));
        until_refused("storage.batch", &|| storage::batch(&[]));
        until_refused("services.call", &|| services::call("system.methods", "{}").map(drop));
        until_refused("events.publish", &|| events::publish("late.tick", "1").map(drop));
        until_refused("events.subscribe", &|| events::subscribe(&["late.*".to_owned()]));
        Ok(Snapshot { version: 1, data: data.into_bytes() })
    }

    fn restore(snapshot: Snapshot) -> Result<(), Error> {
        let data = String::from_utf8_lossy(&snapshot.data).into_owned();
        let answers = data.lines().filter_map(|line| line.split_once(' '));
        if let Ok(mut kept) = ANSWERS.lock() {
            *kept = answers.map(|(name, code)| (name.to_owned(), code.to_owned())).collect();
        }
        Ok(())
    }
}

impl Subscriber for Late {
    fn on_event(_: Event) -> Result<(), Error> {
        Ok(())
    }
}
