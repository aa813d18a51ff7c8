//! One line of a plugin's log, within bounds.

use std::time::SystemTime;

use midplane_model::{
    PluginName,
    event::rfc3339,
    limits::{PLUGIN_LOG_FIELDS_MAX, PLUGIN_LOG_LINE_BYTES_MAX},
};
use serde_json::{Map, Value};

#[derive(Debug, Clone, serde::Serialize)]
pub struct LogLine {
    pub time: String,
    pub level: &'static str,
    pub message: String,
    /// What the line is about, by name.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
    /// Of the call or event in which it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl LogLine {
    /// A line of this moment. The message is cut at the bound; a field that no longer fits, or is one too many, is left out.
    pub fn new(level: &'static str, message: &str, fields: Vec<(String, String)>) -> Self {
        let cut = message.floor_char_boundary(PLUGIN_LOG_LINE_BYTES_MAX.min(message.len()));
        let mut room = PLUGIN_LOG_LINE_BYTES_MAX - cut;
        let mut kept = Map::new();
        for (name, value) in fields.into_iter().take(PLUGIN_LOG_FIELDS_MAX) {
            if let Some(rest) = room.checked_sub(name.len() + value.len()) {
                room = rest;
                kept.insert(name, Value::String(value));
            }
        }
        Self {
            time: rfc3339(SystemTime::now()),
            level,
            message: message[..cut].to_owned(),
            fields: kept,
            request_id: None,
        }
    }

    /// The same line in the host's log, for whoever asked for `midplane::plugin` there.
    pub fn trace(&self, plugin: &PluginName) {
        let Self { message, fields, request_id, .. } = self;
        macro_rules! at {
            ($level:ident) => {
                if tracing::enabled!(target: "midplane::plugin", tracing::Level::$level) {
                    let fields = (!fields.is_empty()).then(|| serde_json::to_string(fields).unwrap_or_default());
                    tracing::event!(target: "midplane::plugin", tracing::Level::$level, %plugin, request_id, fields, "{message}");
                }
            };
        }
        match self.level {
            "error" => at!(ERROR),
            "warn" => at!(WARN),
            "info" => at!(INFO),
            "debug" => at!(DEBUG),
            _ => at!(TRACE),
        }
    }

    #[must_use]
    pub fn of_request(self, id: Option<&str>) -> Self {
        Self { request_id: id.map(str::to_owned), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, bytes: usize) -> (String, String) {
        (name.to_owned(), "x".repeat(bytes))
    }

    #[test]
    fn a_line_is_cut_between_characters() {
        let line = LogLine::new("info", &"é".repeat(PLUGIN_LOG_LINE_BYTES_MAX), Vec::new());
        assert_eq!(line.message.len(), PLUGIN_LOG_LINE_BYTES_MAX);
        let line = LogLine::new("info", &format!("a{}", "é".repeat(PLUGIN_LOG_LINE_BYTES_MAX)), Vec::new());
        assert_eq!(line.message.len(), PLUGIN_LOG_LINE_BYTES_MAX - 1);
    }

    #[test]
    fn fields_share_the_bound_of_the_line_and_have_one_of_their_number() {
        let fields = vec![field("a", 10), field("b", PLUGIN_LOG_LINE_BYTES_MAX), field("c", 10)];
        let line = LogLine::new("info", "m", fields);
        assert_eq!(line.fields.keys().collect::<Vec<_>>(), ["a", "c"]);
        let many = (0..100).map(|n| field(&n.to_string(), 1)).collect();
        assert_eq!(LogLine::new("info", "m", many).fields.len(), PLUGIN_LOG_FIELDS_MAX);
    }
}
