//! Calls others, by name and by type.

use exports::test::relay::relay::{Error, Guest};
use midplane_sdk::{
    host::{context, services},
    serde_json::{Value, json},
};
use test::echo::echo;

midplane_sdk::generate!({ path: ["../../../wit/host", "../echo/wit", "wit"], world: "test:relay/guest" });

struct Relay;

export!(Relay);

impl Guest for Relay {
    fn call(method: String, params: String) -> Result<String, Error> {
        services::call(&method, &params)
    }

    fn methods() -> Vec<String> {
        services::methods()
    }

    fn add(a: i32, b: i32) -> i32 {
        echo::add(a, b)
    }

    fn shout(text: String) -> String {
        echo::shout(&text)
    }

    fn bytes(value: Vec<u8>) -> Vec<u8> {
        echo::bytes(&value)
    }

    fn fail_with(code: String) -> Result<(), Error> {
        echo::fail_with(&code)
    }

    fn who() -> String {
        let caller = context::current().map_or(Value::Null, |caller| {
            json!({
                "principal": caller.principal,
                "scopes": caller.scopes,
                "plugin": caller.plugin,
                "request_id": caller.request_id,
            })
        });
        caller.to_string()
    }
}
