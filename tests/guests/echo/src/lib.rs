//! Gives back what it gets, in every shape that WIT has.

use exports::test::echo::echo::{Access, Colour, Error, Guest, Shape, ShapeOfEverything};

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:echo/guest" });

struct Echo;

export!(Echo);

/// Functions that give their only argument back.
macro_rules! same {
    ($($function:ident: $type:ty,)*) => {
        $(fn $function(value: $type) -> $type { value })*
    };
}

impl Guest for Echo {
    fn add(a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }

    fn shout(text: String) -> String {
        text.to_uppercase()
    }

    fn nothing() {}

    same! {
        a_bool: bool,
        a_char: char,
        a_string: String,
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
        bytes: Vec<u8>,
        matrix: Vec<Vec<i32>>,
        an_option: Option<u32>,
        nested_option: Option<Option<u32>>,
        a_tuple: (String, u32, bool),
        a_record: ShapeOfEverything,
        a_variant: Shape,
        an_enum: Colour,
        some_flags: Access,
        a_json: String,
    }

    fn a_result(value: Result<u32, String>) -> (Result<u32, String>,) {
        (value,)
    }

    fn succeed_or_fail(ok: bool, text: String) -> Result<String, String> {
        if ok { Ok(text) } else { Err(text) }
    }

    fn fail_with(code: String) -> Result<(), Error> {
        Err(Error::new(&code, format!("asked to fail with {code}")).with("asked", code))
    }

    async fn later(text: String, delay_ms: u32) -> String {
        // There is no asynchronous clock in WASI 0.2: yielding lets others in between two looks at it.
        let due = std::time::Instant::now() + std::time::Duration::from_millis(delay_ms.into());
        while std::time::Instant::now() < due {
            midplane_sdk::wit_bindgen::yield_async().await;
        }
        text
    }
}
