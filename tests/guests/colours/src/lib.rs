//! Serves plain and async functions.

use std::sync::atomic::{AtomicU32, Ordering};

use exports::test::colours::colours::Guest;
use midplane_sdk::wit_bindgen::yield_async;

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:colours/guest" });

struct Colours;

export!(Colours);

static INSIDE: AtomicU32 = AtomicU32::new(0);

impl Guest for Colours {
    fn plain(text: String) -> String {
        text
    }

    async fn waits(text: String) -> String {
        for _ in 0..3 {
            yield_async().await;
        }
        text
    }

    fn plain_bytes(bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    async fn waits_bytes(bytes: Vec<u8>) -> Vec<u8> {
        yield_async().await;
        bytes
    }

    async fn meet(together: u32) -> u32 {
        INSIDE.fetch_add(1, Ordering::Relaxed);
        while INSIDE.load(Ordering::Relaxed) < together {
            yield_async().await;
        }
        INSIDE.load(Ordering::Relaxed)
    }

    async fn breaks() -> String {
        yield_async().await;
        panic!("asked to break");
    }

    async fn breaks_guarded() -> Result<String, String> {
        yield_async().await;
        panic!("asked to break");
    }
}
