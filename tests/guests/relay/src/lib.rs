//! Calls others, by name and by type.

use exports::test::relay::relay::{Error, Guest, ImportKind, Load};
use midplane_sdk::{
    host::{config, context, events, services, storage},
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

    fn call_with_text(method: String, params: String) -> Result<String, Error> {
        services::call(&method, &params)
    }

    fn ask_then_call(topic: String, method: String, params: String) -> Result<String, Error> {
        services::call("event.request", &json!({ "topic": topic, "payload": null }).to_string())?;
        services::call(&method, &params)
    }

    fn repeat(load: Load, size: u32, count: u32) -> u32 {
        let size = size as usize;
        let (text, bytes) = ("x".repeat(size), vec![7; size]);
        let corners = vec![echo::Point { x: -1, y: 1 }; size];
        let record = echo::ShapeOfEverything { name: "shape".to_owned(), corners, note: None, big: u64::MAX };
        let as_large = |_: &u32| match load {
            Load::Numbers => echo::add(1, 2) == 3,
            Load::Text => echo::a_string(&text).len() == size,
            Load::Bytes => echo::bytes(&bytes).len() == size,
            Load::Records => echo::a_record(&record).corners.len() == size,
        };
        u32::try_from((0..count).filter(as_large).count()).unwrap_or(u32::MAX)
    }

    fn repeat_import(kind: ImportKind, count: u32) -> Result<(), Error> {
        (0..count).try_for_each(|_| match kind {
            ImportKind::RequestId => {
                context::request_id();
                Ok(())
            }
            ImportKind::Config => {
                config::get();
                Ok(())
            }
            ImportKind::StorageGet => storage::get("key").map(drop),
            ImportKind::StorageSet => storage::set("key", b"value"),
            ImportKind::Publish => events::publish("relay.tick", "1").map(drop),
            ImportKind::Call => services::call("echo.add", r#"{"a":1,"b":2}"#).map(drop),
        })
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
