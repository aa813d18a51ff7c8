//! Remembers the events it hears, in memory, and says every one again as `listener.heard`, so that a test can wait for it.
//! A request is answered with what it asked.

use std::{
    cell::{Cell, RefCell},
    collections::{HashSet, VecDeque},
};

use exports::{
    midplane::host::{
        lifecycle::{Ending, Guest as Lifecycle, Occasion},
        subscriber::{Event, Guest as Subscriber},
    },
    test::listener::listener::{Error, Guest, Heard},
};
use midplane_sdk::{
    host::{config, context, events, timers},
    json,
    serde_json::{self, Value},
};

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:listener/guest" });

struct Listener;

export!(Listener);

/// Events that are remembered; the oldest is forgotten.
const HEARD_MAX: usize = 10_000;

thread_local! {
    static HEARD: RefCell<VecDeque<Heard>> = const { RefCell::new(VecDeque::new()) };
    /// Ids of the calls that made this plugin publish.
    static MINE: RefCell<HashSet<String>> = RefCell::default();
    static FAIL_NEXT: Cell<bool> = const { Cell::new(false) };
}

impl Guest for Listener {
    fn heard_so_far() -> Vec<Heard> {
        HEARD.with_borrow(|heard| heard.iter().cloned().collect())
    }

    fn forget() {
        HEARD.with_borrow_mut(VecDeque::clear);
    }

    fn subscribe(patterns: Vec<String>) -> Result<(), Error> {
        events::subscribe(&patterns)
    }

    fn unsubscribe(patterns: Vec<String>) {
        events::unsubscribe(&patterns);
    }

    fn publish(topic: String, payload: String) -> Result<u64, Error> {
        MINE.with_borrow_mut(|mine| mine.insert(context::request_id()));
        Ok(events::publish(&topic, &payload)?.seq)
    }

    fn set_timer(name: String, delay_ms: u64, repeat: bool) -> Result<(), Error> {
        timers::set(&name, delay_ms, repeat)
    }

    fn cancel_timer(name: String) -> bool {
        timers::cancel(&name)
    }

    fn fail_next() {
        FAIL_NEXT.set(true);
    }
}

impl Lifecycle for Listener {
    fn start(_: Occasion) -> Result<(), Error> {
        let config: Value = json::parse("config", &config::get())?;
        let patterns: Vec<String> = serde_json::from_value(config["patterns"].clone()).unwrap_or_default();
        events::subscribe(&patterns)
    }

    fn stop(_: Ending) {}

    fn health() -> Result<(), Error> {
        Ok(())
    }
}

impl Subscriber for Listener {
    fn on_event(event: Event) -> Result<(), Error> {
        if FAIL_NEXT.replace(false) {
            return Err(Error::internal("asked to fail"));
        }
        let Event { topic, seq, payload, origin, request, .. } = event;
        if let Some(request) = request {
            events::reply(&request, &payload)?;
        }
        let echo = origin.request_id.is_some_and(|id| MINE.with_borrow(|mine| mine.contains(&id)));
        let again = serde_json::json!({ "topic": topic, "seq": seq });
        HEARD.with_borrow_mut(|heard| {
            if heard.len() == HEARD_MAX {
                heard.pop_front();
            }
            heard.push_back(Heard { topic, seq, payload, principal: origin.principal, plugin: origin.plugin, echo });
        });
        events::publish("listener.heard", &again.to_string())?;
        Ok(())
    }
}
