//! Serves several calls at once, each for whoever made it.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
};

use exports::test::overlap::overlap::{Error, Guest};
use midplane_sdk::{
    host::{context, events, services},
    serde_json::{Value, json},
    wit_bindgen::yield_async,
};
use test::echo::echo;

midplane_sdk::generate!({ path: ["../../../wit/host", "../echo/wit", "wit"], world: "test:overlap/guest" });

struct Overlap;

export!(Overlap);

/// How often a call looks who is being served.
const LOOKS: u32 = 50;

static INSIDE: AtomicU32 = AtomicU32::new(0);

/// Ends when `together` calls have come in; nobody leaves before the last one has seen that.
async fn meet(together: u32) {
    INSIDE.fetch_add(1, Ordering::Relaxed);
    while INSIDE.load(Ordering::Relaxed) < together {
        yield_async().await;
    }
}

impl Guest for Overlap {
    async fn meet(together: u32) -> String {
        meet(together).await;
        let mut seen: BTreeMap<String, Value> = BTreeMap::new();
        for _ in 0..LOOKS {
            let (key, look) = match context::current() {
                None => (String::new(), Value::Null),
                Some(caller) => (
                    format!("{} {:?} {}", caller.principal, caller.plugin, caller.request_id),
                    json!({
                        "principal": caller.principal,
                        "plugin": caller.plugin,
                        "request_id": caller.request_id,
                        "remaining_ms": caller.remaining_ms,
                    }),
                ),
            };
            seen.insert(key, look);
            yield_async().await;
        }
        Value::from_iter(seen.into_values()).to_string()
    }

    async fn meet_and_publish(together: u32, label: String) -> Result<(), Error> {
        meet(together).await;
        events::publish("overlap.met", &json!({ "label": label }).to_string())?;
        Ok(())
    }

    async fn meet_and_report(together: u32, values: Vec<String>) -> Result<bool, Error> {
        meet(together).await;
        let mut listens = true;
        for value in values {
            listens &= context::report_progress(&value)?;
            yield_async().await;
        }
        Ok(listens)
    }

    async fn meet_and_call(together: u32, method: String, params: String) -> Result<String, Error> {
        meet(together).await;
        services::call(&method, &params)
    }

    async fn meet_and_echo(together: u32, text: String, delay_ms: u32) -> String {
        meet(together).await;
        echo::later(text, delay_ms).await
    }

    fn inside() -> u32 {
        INSIDE.load(Ordering::Relaxed)
    }
}
