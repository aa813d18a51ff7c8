//! A service that its next version changes in every way; see `shapes-next`.

use exports::test::shapes::{
    old::Guest as Old,
    shapes::{Colour, Guest, Size},
};

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:shapes/guest" });

struct Shapes;

export!(Shapes);

impl Guest for Shapes {
    fn area(size: Size) -> u64 {
        u64::from(size.width) * u64::from(size.height)
    }

    fn named(id: u32) -> String {
        format!("shape {id}")
    }

    fn paint(colour: Colour) -> bool {
        colour == Colour::Green
    }

    fn forgotten() -> bool {
        true
    }

    fn kept(text: String) -> String {
        text
    }
}

impl Old for Shapes {
    fn hello() -> String {
        "hello".to_owned()
    }
}
