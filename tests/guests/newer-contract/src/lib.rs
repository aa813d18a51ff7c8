//! Imports a version of the contract that no host has.

use exports::test::newer_contract::newer_contract::Guest;
use midplane::host::log;

wit_bindgen::generate!({ path: ["wit/next", "wit"], world: "test:newer-contract/guest", generate_all });

struct NewerContract;

export!(NewerContract);

impl Guest for NewerContract {
    fn hello() {
        log::write("hello");
    }
}
