//! Serves from several instances, and shows which one of them it is.

use std::{
    hash::{BuildHasher, RandomState},
    hint::black_box,
    sync::OnceLock,
    time::Duration,
};

use exports::{
    midplane::host::{
        lifecycle::{Ending, Guest as Lifecycle, Occasion},
        subscriber::{Event, Guest as Subscriber},
    },
    test::several::several::{Error, Guest},
};
use midplane_sdk::{
    host::{events, storage},
    serde_json::json,
};

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:several/guest" });

struct Several;

export!(Several);

static IDENTITY: OnceLock<String> = OnceLock::new();

fn identity() -> String {
    IDENTITY.get_or_init(|| format!("{:016x}", RandomState::new().hash_one(()))).clone()
}

impl Guest for Several {
    fn identity() -> String {
        identity()
    }

    fn meet(place: String, calls: u32) -> Result<String, Error> {
        storage::set(&format!("{place}/{}", identity()), &[])?;
        while storage::keys(&format!("{place}/"), None, 0)?.len() < calls as usize {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(identity())
    }

    fn spin() {
        let mut turns = 0_u64;
        loop {
            turns = black_box(turns.wrapping_add(1));
        }
    }

    fn fail() {
        panic!("asked to fail");
    }
}

impl Lifecycle for Several {
    fn start(_: Occasion) -> Result<(), Error> {
        events::subscribe(&["test.**".to_owned()])
    }

    fn stop(_: Ending) {}

    fn health() -> Result<(), Error> {
        Ok(())
    }
}

/// Says every event again with its own identity.
impl Subscriber for Several {
    fn on_event(event: Event) -> Result<(), Error> {
        let heard = json!({ "seq": event.seq, "by": identity() });
        events::publish("several.heard", &heard.to_string())?;
        Ok(())
    }
}
