//! Calls functions in the other colour.

use std::sync::atomic::{AtomicU32, Ordering};

use exports::test::colours_user::colours_user::Guest;
use test::colours::colours;

midplane_sdk::generate!({
    path: ["../../../wit/host", "wit"],
    world: "test:colours-user/guest",
});

struct User;

export!(User);

static CALLS: AtomicU32 = AtomicU32::new(0);

fn count() {
    CALLS.fetch_add(1, Ordering::Relaxed);
}

impl Guest for User {
    async fn plain(text: String) -> String {
        count();
        colours::plain(text).await
    }

    fn waits(text: String) -> String {
        count();
        colours::waits(&text)
    }

    async fn plain_bytes(bytes: Vec<u8>) -> Vec<u8> {
        count();
        colours::plain_bytes(bytes).await
    }

    fn waits_bytes(bytes: Vec<u8>) -> Vec<u8> {
        count();
        colours::waits_bytes(&bytes)
    }

    async fn meet(together: u32) -> u32 {
        count();
        colours::meet(together).await
    }

    async fn breaks() -> String {
        count();
        colours::breaks().await
    }

    fn breaks_guarded() -> Result<String, String> {
        count();
        colours::breaks_guarded()
    }

    fn calls() -> u32 {
        CALLS.load(Ordering::Relaxed)
    }
}
