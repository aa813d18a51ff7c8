//! Allocates until it may not.

use std::hint::black_box;

use exports::test::leak::leak::Guest;

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:leak/guest" });

struct Leak;

export!(Leak);

/// Bytes of one step.
const STEP_BYTES: usize = 1024 * 1024;

impl Guest for Leak {
    fn ok() -> String {
        "ok".to_owned()
    }

    fn forever() -> u64 {
        let mut kept = Vec::new();
        loop {
            kept.push(black_box(vec![1_u8; STEP_BYTES]));
        }
    }

    fn some(bytes: u32) -> u32 {
        let kept = black_box(vec![1_u8; bytes as usize]);
        u32::try_from(kept.len()).unwrap_or(u32::MAX)
    }
}
