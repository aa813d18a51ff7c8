//! Built against midplane:host 0.1, without an SDK, and uses all of it: what an older plugin relies on.

mod imports;

use std::{
    cell::RefCell,
    sync::atomic::{AtomicU64, Ordering},
};

use exports::{
    midplane::host::{
        lifecycle::Guest as Lifecycle,
        state::{Guest as State, Snapshot},
        subscriber::{Event, Guest as Subscriber},
    },
    test::former_contract::former_contract::{Error, Guest, Heard},
};
use midplane::host::{events, log};

wit_bindgen::generate!({
    path: ["../../../wit/host-0.1", "wit"],
    world: "test:former-contract/guest",
    generate_all,
});

struct FormerContract;

export!(FormerContract);

static COUNT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static HEARD: RefCell<Vec<Heard>> = const { RefCell::new(Vec::new()) };
}

impl Guest for FormerContract {
    fn increment() -> u64 {
        COUNT.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn heard_so_far() -> Vec<Heard> {
        HEARD.with_borrow(Vec::clone)
    }

    fn publish(topic: String) -> Result<u64, Error> {
        Ok(events::publish(&topic, "{}")?.seq)
    }

    fn use_storage() -> Result<Vec<String>, Error> {
        imports::storage()
    }

    fn use_files() -> Result<Vec<String>, Error> {
        imports::files()
    }

    fn use_terminals() -> Result<String, Error> {
        imports::terminals()
    }

    fn use_others() -> Result<Vec<String>, Error> {
        imports::others()
    }
}

impl Lifecycle for FormerContract {
    fn start() -> Result<(), Error> {
        log::write(log::Level::Info, &format!("counting from {}", COUNT.load(Ordering::Relaxed)));
        events::subscribe(&["test.**".to_owned(), "former_contract.said".to_owned()])
    }

    fn stop() {
        log::write(log::Level::Info, &format!("counted to {}", COUNT.load(Ordering::Relaxed)));
    }

    fn health() -> Result<(), Error> {
        Ok(())
    }
}

impl Subscriber for FormerContract {
    fn on_event(event: Event) -> Result<(), Error> {
        let Event { topic, plugin, .. } = event;
        let again = format!("{{\"topic\":\"{topic}\"}}");
        HEARD.with_borrow_mut(|heard| heard.push(Heard { topic, plugin }));
        events::publish("former_contract.heard", &again)?;
        Ok(())
    }
}

impl State for FormerContract {
    fn save() -> Result<Snapshot, Error> {
        Ok(Snapshot { version: 1, data: COUNT.load(Ordering::Relaxed).to_le_bytes().to_vec() })
    }

    fn restore(snapshot: Snapshot) -> Result<(), Error> {
        let bytes = snapshot.data.try_into().unwrap_or_default();
        COUNT.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        Ok(())
    }
}
