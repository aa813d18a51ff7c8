//! What `terminals.wait` waits for: `"exit"`, `"idle"`, `{"idle": ms}`, `{"text": "…"}`, `"command_done"` or
//! `{"command_done": number}`.

use midplane_sdk::{Error, host::terminals::Condition, json};
use serde_json::Value;

/// Silence that counts as idle where the caller names none, in milliseconds.
const IDLE_MS_DEFAULT: u32 = 500;

/// A condition of the host's, or the end of a command: of the one with this number, or of the next.
pub enum Until {
    Host(Condition),
    CommandDone(Option<u64>),
}

/// # Errors
/// `invalid_params` for anything else.
pub fn condition(text: &str) -> Result<Until, Error> {
    let Some((name, value)) = parts(json::parse("params.until", text)?) else { return Err(refused(text)) };
    let condition = match (name.as_str(), value) {
        ("exit", None) => Condition::Exit,
        ("idle", None) => Condition::Idle(IDLE_MS_DEFAULT),
        ("command_done", None) => return Ok(Until::CommandDone(None)),
        ("text", Some(Value::String(wanted))) if !wanted.is_empty() => Condition::Text(wanted),
        ("idle", Some(Value::Number(ms))) => {
            let ms = ms.as_u64().and_then(|ms| u32::try_from(ms).ok());
            Condition::Idle(ms.ok_or_else(|| refused(text))?)
        }
        ("command_done", Some(Value::Number(number))) => {
            return Ok(Until::CommandDone(Some(number.as_u64().ok_or_else(|| refused(text))?)));
        }
        _ => return Err(refused(text)),
    };
    Ok(Until::Host(condition))
}

/// A word, or an object with one member.
fn parts(until: Value) -> Option<(String, Option<Value>)> {
    match until {
        Value::String(word) => Some((word, None)),
        Value::Object(members) if members.len() == 1 => {
            members.into_iter().next().map(|(name, value)| (name, Some(value)))
        }
        _ => None,
    }
}

fn refused(text: &str) -> Error {
    let message = format!(
        r#"params.until: expected "exit", "idle", {{"idle": ms}}, {{"text": "…"}}, "command_done" or {{"command_done": number}}, got {text}"#
    );
    Error::invalid_params("params.until", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_conditions_are_understood() {
        let host = |text: &str| match condition(text) {
            Ok(Until::Host(condition)) => condition,
            _ => panic!("{text}"),
        };
        assert!(matches!(host(r#""exit""#), Condition::Exit));
        assert!(matches!(host(r#""idle""#), Condition::Idle(IDLE_MS_DEFAULT)));
        assert!(matches!(host(r#"{"idle": 20}"#), Condition::Idle(20)));
        assert!(matches!(host(r#"{"text": "$ "}"#), Condition::Text(text) if text == "$ "));
        assert!(matches!(condition(r#""command_done""#), Ok(Until::CommandDone(None))));
        assert!(matches!(condition(r#"{"command_done": 3}"#), Ok(Until::CommandDone(Some(3)))));
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for text in [
            r#""later""#,
            "1",
            "{}",
            r#"{"text": ""}"#,
            r#"{"text": 1}"#,
            r#"{"idle": -1}"#,
            r#"{"command_done": "x"}"#,
            r#"{"exit": 1}"#,
            "not json",
        ] {
            let Err(error) = condition(text) else { panic!("{text}") };
            assert_eq!(
                (error.code.as_str(), &error.details_object()["path"]),
                ("invalid_params", &"params.until".into())
            );
        }
    }
}
