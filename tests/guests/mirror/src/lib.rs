//! Sends what it gets through another plugin, in every shape that WIT has.

use exports::test::mirror::mirror::Guest;
use test::echo::echo::{self, Access, Colour, Shape, ShapeOfEverything};

midplane_sdk::generate!({ path: ["../../../wit/host", "../echo/wit", "wit"], world: "test:mirror/guest" });

struct Mirror;

export!(Mirror);

/// Functions that ask `echo` for the function of the same name.
macro_rules! through_echo {
    ($($function:ident: $type:ty,)*) => {
        $(fn $function(value: $type) -> $type { echo::$function(value) })*
    };
    (by reference $($function:ident: $type:ty,)*) => {
        $(fn $function(value: $type) -> $type { echo::$function(&value) })*
    };
}

impl Guest for Mirror {
    through_echo! {
        a_bool: bool,
        a_char: char,
        an_u8: u8,
        an_s8: i8,
        an_u16: u16,
        an_s16: i16,
        an_u32: u32,
        an_s32: i32,
        an_u64: u64,
        an_s64: i64,
        an_f32: f32,
        an_f64: f64,
        an_option: Option<u32>,
        nested_option: Option<Option<u32>>,
        an_enum: Colour,
        some_flags: Access,
    }

    through_echo! { by reference
        a_string: String,
        bytes: Vec<u8>,
        matrix: Vec<Vec<i32>>,
        a_record: ShapeOfEverything,
        a_variant: Shape,
        a_json: String,
    }

    fn a_tuple(value: (String, u32, bool)) -> (String, u32, bool) {
        echo::a_tuple((&value.0, value.1, value.2))
    }

    fn a_result(value: Result<u32, String>) -> (Result<u32, String>,) {
        echo::a_result(value.as_ref().map(|number| *number).map_err(String::as_str))
    }
}
