//! Takes its time to start: `[config] start_ms`, 0 for ever. It waits, it does not compute.

use std::time::Duration;

use exports::{
    midplane::host::lifecycle::{Ending, Error, Guest as Lifecycle, Occasion},
    test::slow_start::slow_start::Guest,
};
use midplane_sdk::{host::config, json, serde_json::Value};

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:slow-start/guest" });

struct SlowStart;

export!(SlowStart);

impl Guest for SlowStart {
    fn ok() -> String {
        "ok".to_owned()
    }
}

impl Lifecycle for SlowStart {
    fn start(_: Occasion) -> Result<(), Error> {
        let config: Value = json::parse("config", &config::get())?;
        match config["start_ms"].as_u64() {
            Some(ms) if ms > 0 => std::thread::sleep(Duration::from_millis(ms)),
            _ => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
        }
        Ok(())
    }

    fn stop(_: Ending) {}

    fn health() -> Result<(), Error> {
        Ok(())
    }
}
