//! Was built for the shapes of version 1.2.

use exports::test::shapes_user::shapes_user::Guest;
use test::shapes::shapes::{self, Size};

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:shapes-user/guest" });

struct User;

export!(User);

impl Guest for User {
    fn area(width: u32, height: u32) -> u64 {
        shapes::area(Size { width, height })
    }
}
