//! Answers as results of tools: structured, and as text for models that see nothing else.

use midplane_model::{ErrorCode, Fault};
use rmcp::model::{CallToolResult, ContentBlock, JsonObject, MetaObject};
use serde_json::{Value, json};

use crate::call::Success;

/// In a result's `_meta`: where the events stand that the call caused.
const AT: &str = "midplane/at";
/// In a result's `_meta`: the name of the call in logs and events.
const REQUEST_ID: &str = "midplane/request_id";

/// A value; or the content blocks that it stands for, where it does.
pub(super) fn success(success: &Success, content: bool, request_id: &str) -> CallToolResult {
    let text = success.reply.result.get();
    let blocks = if content { serde_json::from_str(text).ok() } else { None };
    let mut result = match blocks {
        Some(blocks) => CallToolResult::success(blocks),
        None if text == "null" => CallToolResult::success(vec![ContentBlock::text("done")]),
        None => {
            let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
            // What claims to be content and is none can still be read.
            result.structured_content = if content { None } else { serde_json::from_str(text).ok() };
            result
        }
    };
    let mut meta = JsonObject::new();
    meta.insert(REQUEST_ID.to_owned(), request_id.into());
    if let Ok(at) = serde_json::to_value(&success.at)
        && !success.at.is_empty()
    {
        meta.insert(AT.to_owned(), at);
    }
    result.meta = Some(MetaObject(meta));
    result
}

/// Code, message and remedy, once as an object and once as text.
pub(super) fn failure(fault: &Fault, request_id: Option<&str>) -> CallToolResult {
    let (code, remedy) = (fault.code.as_str(), remedy(fault.code));
    let mut error = json!({
        "code": code,
        "message": fault.message,
        "remedy": remedy,
        "retryable": fault.code.retryable(),
    });
    if let Some(ms) = fault.retry_after_ms {
        error["retry_after_ms"] = ms.into();
    }
    if !fault.details.is_empty() {
        error["details"] = Value::Object(fault.details.clone());
    }
    if let Some(id) = request_id {
        error["request_id"] = id.into();
    }
    let mut text = format!("{code}: {}\n{remedy}", fault.message);
    if !fault.details.is_empty() {
        text = format!("{text}\n{}", error["details"]);
    }
    let mut result = CallToolResult::error(vec![ContentBlock::text(text)]);
    result.structured_content = Some(error);
    result
}

/// What the caller should do next, where the message does not say more.
fn remedy(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::ParseError | ErrorCode::InvalidRequest | ErrorCode::InvalidParams => {
            "Correct what the message names and call again."
        }
        ErrorCode::MethodNotFound => "The tool has gone with its plugin; list the tools again.",
        ErrorCode::Internal => "It is the host's fault; its log has the cause under the request id.",
        ErrorCode::Unauthenticated => "Ask for a valid token.",
        ErrorCode::Forbidden => "Ask a person for a token, or a grant, that allows it.",
        ErrorCode::RateLimited => "Wait for retry_after_ms, then call again.",
        ErrorCode::Unavailable | ErrorCode::PluginUnavailable => "Call again in a moment.",
        ErrorCode::Timeout => "It may have happened: look before you call again, and ask for less at a time.",
        ErrorCode::NotFound => "Look for the right name with a tool that lists.",
        ErrorCode::Conflict | ErrorCode::PreconditionFailed => {
            "It has changed since: read it again, and repeat your change on what is there now."
        }
        ErrorCode::QuotaExceeded => "End or delete what is no longer needed.",
        ErrorCode::TooLarge => "Ask for less, or give less, at a time.",
        ErrorCode::Cancelled => "It was cancelled; call again if it is still wanted.",
        ErrorCode::CursorExpired => "Begin again without a cursor.",
        ErrorCode::NotSupported | ErrorCode::UnsupportedVersion => "It cannot be done here; take another way.",
        ErrorCode::PluginFailed => "The plugin starts anew; call again, and tell a person if it fails again.",
        ErrorCode::SlowConsumer => "Read faster, or ask for less.",
        ErrorCode::AlreadyExists => "Take another name, or say that it may be replaced.",
        ErrorCode::NoSpace => "The disk is full: tell a person.",
        ErrorCode::NoResponder => "Nobody listens there; start what should.",
        ErrorCode::OutsideRoot => "Give a path inside the served directory, relative to its root.",
        ErrorCode::Cycle => "The plugin waits for itself; call it from elsewhere.",
        ErrorCode::ApplicationError => "The details say what the plugin refused.",
    }
}
