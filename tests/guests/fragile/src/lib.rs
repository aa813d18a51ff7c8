//! Keeps a count, and fails when it is told to: by a call, or by `[config] fails` in everything it does. Each time its state is
//! saved it says so as `fragile.saved`, so that a test can wait for it.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use exports::{
    midplane::host::{
        lifecycle::{Ending, Guest as Lifecycle, Occasion},
        state::{Error, Guest as State, Snapshot},
    },
    test::fragile::fragile::Guest,
};
use midplane_sdk::{
    host::{config, events},
    json,
    serde_json::{Value, json},
};

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:fragile/guest" });

struct Fragile;

export!(Fragile);

static COUNT: AtomicU64 = AtomicU64::new(0);
static SICK: AtomicBool = AtomicBool::new(false);

/// Whether the configuration says that this goes wrong.
fn fails(what: &str) -> bool {
    json::parse::<Value>("config", &config::get()).is_ok_and(|config| config["fails"] == what)
}

impl Guest for Fragile {
    fn increment() -> u64 {
        assert!(!fails("increment"), "this generation cannot count");
        COUNT.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn count() -> u64 {
        COUNT.load(Ordering::Relaxed)
    }

    fn fail() {
        panic!("asked to fail");
    }

    fn be_sick(sick: bool) {
        SICK.store(sick, Ordering::Relaxed);
    }
}

impl Lifecycle for Fragile {
    fn start(_: Occasion) -> Result<(), Error> {
        while fails("start") {
            std::thread::sleep(Duration::from_secs(3600));
        }
        Ok(())
    }

    fn stop(_: Ending) {}

    fn health() -> Result<(), Error> {
        if SICK.load(Ordering::Relaxed) || fails("health") {
            return Err(Error::internal("asked to be sick"));
        }
        Ok(())
    }
}

impl State for Fragile {
    fn save() -> Result<Snapshot, Error> {
        let count = COUNT.load(Ordering::Relaxed);
        events::publish("fragile.saved", &json!({ "count": count }).to_string())?;
        Ok(Snapshot { version: 1, data: count.to_le_bytes().to_vec() })
    }

    fn restore(snapshot: Snapshot) -> Result<(), Error> {
        if fails("restore") {
            return Err(Error::conflict("this generation refuses every state"));
        }
        let bytes = snapshot.data.try_into().map_err(|_| Error::conflict("a count has eight bytes"))?;
        COUNT.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        Ok(())
    }
}
