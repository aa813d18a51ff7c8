//! The tools that the conformance suite of the Model Context Protocol calls.

use std::time::{Duration, Instant};

use exports::test::reference::test::{Error, Guest};
use midplane_sdk::{
    host::{config, context, services},
    json,
    serde_json::{Value, json},
    wit_bindgen::yield_async,
};

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:reference/guest" });

struct Reference;

export!(Reference);

/// One red pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// A wave without a sample.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";
/// Longer than the host lets pass between two states of progress.
const PAUSE: Duration = Duration::from_millis(80);

/// The plugin that comes and goes.
const SPARE: &str = "overlap";

fn image() -> Value {
    json!({ "type": "image", "data": PNG, "mimeType": "image/png" })
}

fn resource(uri: &str, kind: &str, text: &str) -> Value {
    json!({ "type": "resource", "resource": { "uri": uri, "mimeType": kind, "text": text } })
}

fn blocks(blocks: &[Value]) -> Vec<String> {
    blocks.iter().map(Value::to_string).collect()
}

impl Guest for Reference {
    fn simple_text() -> String {
        "This is a simple text response for testing.".to_owned()
    }

    fn error_handling() -> Result<String, Error> {
        Err(Error::conflict("This tool intentionally returns an error for testing"))
    }

    async fn tool_with_progress() -> Result<String, Error> {
        for progress in [0, 50, 100] {
            context::report_progress(&json::text(&json!({ "progress": progress, "total": 100 }))?)?;
            let reported = Instant::now();
            while reported.elapsed() < PAUSE {
                yield_async().await;
            }
        }
        Ok("done".to_owned())
    }

    fn streaming_elicitation() -> String {
        "nobody was asked".to_owned()
    }

    fn logging_tool() -> String {
        midplane_sdk::info!("a line for the log");
        "logged".to_owned()
    }

    fn trigger_tool_change() -> Result<String, Error> {
        if services::call("plugin.remove", &json!({ "name": SPARE }).to_string()).is_ok() {
            return Ok("one plugin less".to_owned());
        }
        let config: Value = json::parse("config", &config::get())?;
        services::call("plugin.install", &json!({ "source": config["spare"], "approve": true }).to_string())?;
        Ok("one plugin more".to_owned())
    }

    fn image_content() -> Vec<String> {
        blocks(&[image()])
    }

    fn audio_content() -> Vec<String> {
        blocks(&[json!({ "type": "audio", "data": WAV, "mimeType": "audio/wav" })])
    }

    fn embedded_resource() -> Vec<String> {
        blocks(&[resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")])
    }

    fn multiple_content_types() -> Vec<String> {
        let text = json!({ "type": "text", "text": "Multiple content types test:" });
        let json = resource("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#);
        blocks(&[text, image(), json])
    }
}
