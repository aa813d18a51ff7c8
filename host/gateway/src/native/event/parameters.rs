//! Parameters that several methods share.

use midplane_broker::Since;
use midplane_model::{Fault, Pattern, Position, Topic};
use serde_json::Value;

pub(super) fn topic(text: &str) -> Result<Topic, Fault> {
    Topic::parse(text).map_err(|fault| at("params.topic", fault))
}

pub(super) fn patterns(texts: &[String]) -> Result<Vec<Pattern>, Fault> {
    let parse = |(index, text): (usize, &String)| {
        Pattern::parse(text).map_err(|fault| at(&format!("params.patterns[{index}]"), fault))
    };
    texts.iter().enumerate().map(parse).collect()
}

/// `"earliest"`, or `{stream: {epoch, seq}}`, as the parameter `name` has it.
pub(crate) fn since(name: &str, value: &Value) -> Result<Since, Fault> {
    let wrong = |path: &str, expected: &str, got: &Value| {
        Fault::invalid_params(path, format!("{path}: expected {expected}, got {got}"))
    };
    match value {
        Value::Null => Ok(Since::None),
        Value::String(text) if text == "earliest" => Ok(Since::Earliest),
        Value::Object(streams) => {
            let position = |(stream, value): (&String, &Value)| {
                let path = format!("params.{name}.{stream}");
                let position: Position =
                    serde_json::from_value(value.clone()).map_err(|_| wrong(&path, "{epoch, seq}", value))?;
                Ok((stream.as_str().into(), position))
            };
            streams.iter().map(position).collect::<Result<_, _>>().map(Since::Positions)
        }
        other => Err(wrong(&format!("params.{name}"), "\"earliest\" or {stream: {epoch, seq}}", other)),
    }
}

/// The same fault, saying where in the parameters it is.
fn at(path: &str, mut fault: Fault) -> Fault {
    fault.message = format!("{path}: {}", fault.message);
    fault.with("path", path)
}
