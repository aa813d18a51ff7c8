//! Imports what no host has: an interface that looks like one of the contract's.

use exports::test::wrong_contract::wrong_contract::Guest;
use midplane::host::telepathy;

wit_bindgen::generate!({ path: ["wit/telepathy", "wit"], world: "test:wrong-contract/guest", generate_all });

struct WrongContract;

export!(WrongContract);

impl Guest for WrongContract {
    fn guess() -> String {
        telepathy::read_mind("the host")
    }
}
