//! What the next version of `shapes` must not do to its users: a wider record and enum, another parameter, less functions.

use exports::test::shapes::shapes::{Colour, Guest, Size};
use midplane_sdk::host::files;

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:shapes/guest" });

struct Shapes;

export!(Shapes);

impl Guest for Shapes {
    fn area(size: Size) -> u64 {
        u64::from(size.width) * u64::from(size.height) * u64::from(size.depth)
    }

    fn named(id: u64) -> String {
        format!("shape {id}")
    }

    fn paint(colour: Colour) -> bool {
        colour == Colour::Blue
    }

    fn kept(text: String) -> String {
        text
    }

    /// Uses files, for which its manifest asks no grant.
    fn added() -> bool {
        files::stat("x").is_ok()
    }
}
