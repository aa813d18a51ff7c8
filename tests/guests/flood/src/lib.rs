//! Logs and publishes without a pause.

use exports::test::flood::flood::{Error, Guest};
use midplane_sdk::host::{events, services};

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:flood/guest" });

struct Flood;

export!(Flood);

impl Guest for Flood {
    fn ok() -> String {
        "ok".to_owned()
    }

    fn lines(count: u32) {
        for n in 1..=count {
            midplane_sdk::info!("line {n}");
        }
    }

    fn events(count: u32) -> Result<u64, Error> {
        (1..=count).try_fold(0, |_, n| publish(n))
    }

    fn events_by_name(count: u32) -> Result<(), Error> {
        let params = r#"{"topic":"flood.event","payload":1}"#;
        (1..=count).try_for_each(|_| services::call("event.publish", params).map(drop))
    }

    fn forever() {
        for n in (1_u32..).cycle() {
            midplane_sdk::info!("line {n}");
            // What the host says is of no interest: the flood goes on.
            _ = publish(n);
        }
    }
}

fn publish(n: u32) -> Result<u64, Error> {
    Ok(events::publish("flood.event", &format!(r#"{{"n":{n}}}"#))?.seq)
}
