//! Never gives the processor back.

use std::hint::black_box;

use exports::test::spin::spin::Guest;

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:spin/guest" });

struct Spin;

export!(Spin);

impl Guest for Spin {
    fn ok() -> String {
        "ok".to_owned()
    }

    fn forever() -> u64 {
        let mut turns = 0_u64;
        loop {
            turns = black_box(turns.wrapping_add(1));
        }
    }
}
