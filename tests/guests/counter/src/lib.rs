//! Counts in memory and hands the count over to the next generation. Features make the generations that tests need.

use std::sync::atomic::{AtomicU64, Ordering};

use exports::{
    midplane::host::{
        lifecycle::{Ending, Guest as Lifecycle, Occasion, Reason},
        state::{Error, Guest as State, Snapshot},
    },
    test::counter::counter::Guest,
};

midplane_sdk::generate!({ path: ["../../../wit/host", "../counter/wit"], world: "test:counter/guest" });

struct Counter;

export!(Counter);

static COUNT: AtomicU64 = AtomicU64::new(0);

/// Version of the snapshot: the count as eight bytes, little-endian.
const SNAPSHOT_VERSION: u32 = 1;

impl Guest for Counter {
    fn increment() -> u64 {
        COUNT.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn generation_text() -> String {
        if cfg!(feature = "v2") { "two" } else { "one" }.to_owned()
    }
}

impl Lifecycle for Counter {
    fn start(occasion: Occasion) -> Result<(), Error> {
        let reason = match occasion.reason {
            Reason::Fresh => "fresh".to_owned(),
            Reason::Reload(from) => format!("reload of {from}"),
            Reason::Restart(why) => format!("restart: {why}"),
        };
        midplane_sdk::info!(
            reason = reason, restored = occasion.restored, generation = occasion.generation;
            "counting from {}", COUNT.load(Ordering::Relaxed)
        );
        Ok(())
    }

    fn stop(ending: Ending) {
        midplane_sdk::info!(ending = format!("{ending:?}"); "counted to {}", COUNT.load(Ordering::Relaxed));
    }

    fn health() -> Result<(), Error> {
        Ok(())
    }
}

impl State for Counter {
    fn save() -> Result<Snapshot, Error> {
        let data = COUNT.load(Ordering::Relaxed).to_le_bytes().to_vec();
        Ok(Snapshot { version: SNAPSHOT_VERSION, data })
    }

    fn restore(snapshot: Snapshot) -> Result<(), Error> {
        if cfg!(feature = "refuses") {
            return Err(Error::conflict("this generation refuses every state"));
        }
        let bytes = snapshot.data.try_into().ok().filter(|_| snapshot.version == SNAPSHOT_VERSION);
        let bytes =
            bytes.ok_or_else(|| Error::conflict(format!("cannot read state of version {}", snapshot.version)))?;
        COUNT.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        Ok(())
    }
}
