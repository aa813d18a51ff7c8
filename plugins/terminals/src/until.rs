//! What `terminals.wait` waits for: `"exit"`, `"idle"`, `{"idle": ms}` or `{"text": "…"}`.

use midplane_sdk::{Error, host::terminals::Condition, json};
use serde_json::Value;

/// Silence that counts as idle where the caller names none, in milliseconds.
const IDLE_MS_DEFAULT: u32 = 500;

/// # Errors
/// `invalid_params` for anything else; `not_supported` for `"command_done"`, which this host cannot see.
pub fn condition(text: &str) -> Result<Condition, Error> {
    match json::parse::<Value>("params.until", text)? {
        Value::String(word) => match word.as_str() {
            "exit" => Ok(Condition::Exit),
            "idle" => Ok(Condition::Idle(IDLE_MS_DEFAULT)),
            "command_done" => Err(Error::not_supported(
                "the end of a command cannot be seen without shell integration; wait for \"idle\" or {\"text\": …}",
            )),
            _ => Err(refused(text)),
        },
        Value::Object(members) if members.len() == 1 => match (members.get("text"), members.get("idle")) {
            (Some(Value::String(wanted)), None) if !wanted.is_empty() => Ok(Condition::Text(wanted.clone())),
            (None, Some(Value::Number(ms))) => {
                ms.as_u64().and_then(|ms| u32::try_from(ms).ok()).map(Condition::Idle).ok_or_else(|| refused(text))
            }
            _ => Err(refused(text)),
        },
        _ => Err(refused(text)),
    }
}

fn refused(text: &str) -> Error {
    let message = format!(r#"params.until: expected "exit", "idle", {{"idle": ms}} or {{"text": "…"}}, got {text}"#);
    Error::invalid_params("params.until", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_conditions_are_understood() {
        assert!(matches!(condition(r#""exit""#), Ok(Condition::Exit)));
        assert!(matches!(condition(r#""idle""#), Ok(Condition::Idle(IDLE_MS_DEFAULT))));
        assert!(matches!(condition(r#"{"idle": 20}"#), Ok(Condition::Idle(20))));
        assert!(matches!(condition(r#"{"text": "$ "}"#), Ok(Condition::Text(text)) if text == "$ "));
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for text in [r#""later""#, "1", "{}", r#"{"text": ""}"#, r#"{"text": 1}"#, r#"{"idle": -1}"#, "not json"] {
            let error = condition(text).unwrap_err();
            assert_eq!(
                (error.code.as_str(), &error.details_object()["path"]),
                ("invalid_params", &"params.until".into())
            );
        }
        assert_eq!(condition(r#""command_done""#).unwrap_err().code, "not_supported");
    }
}
