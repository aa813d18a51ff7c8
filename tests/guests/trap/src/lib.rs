//! Fails in every way a component can.

use std::hint::black_box;

use exports::{
    midplane::host::lifecycle::{Ending, Error, Guest as Lifecycle, Occasion, Reason},
    test::trap::trap::Guest,
};

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:trap/guest" });

struct Trap;

export!(Trap);

impl Guest for Trap {
    fn ok() -> String {
        "ok".to_owned()
    }

    fn panic(message: String) {
        panic!("{message}");
    }

    fn deep() -> u64 {
        descend(0)
    }

    fn out_of_bounds() -> u32 {
        let nowhere = black_box(usize::MAX - 16) as *const u32;
        // SAFETY: none. Reading where no memory is traps, which is what this guest is for; nothing else can happen, because
        // the host never gives a component that much memory.
        unsafe { nowhere.read_volatile() }
    }
}

/// Says in its log which failure it starts after.
impl Lifecycle for Trap {
    fn start(occasion: Occasion) -> Result<(), Error> {
        if let Reason::Restart(failure) = occasion.reason {
            midplane_sdk::warn!(failure = failure; "started again");
        }
        Ok(())
    }

    fn stop(_: Ending) {}

    fn health() -> Result<(), Error> {
        Ok(())
    }
}

/// The addition after the call keeps it from becoming a loop.
#[expect(unconditional_recursion, reason = "that is what this guest is for")]
fn descend(depth: u64) -> u64 {
    black_box(descend(black_box(depth + 1))) + 1
}
