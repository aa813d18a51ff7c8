//! Incoming JSON-RPC: one text becomes the items a transport has to act on.
//!
//! The rulings are those of the 2.0 specification; where it is silent, the stricter reading is taken, because two readers
//! that disagree about a message are a way to smuggle one past the other.

use std::sync::Arc;

use midplane_model::{
    ErrorCode, Fault,
    json::{Strict, deeper_than},
    limits::{BATCH_ITEMS_MAX, JSON_DEPTH_MAX},
};
use serde_json::{Value, value::RawValue};

use crate::{id::Id, members::Members, meta::Meta};

/// The notification that gives a request up.
const CANCEL_METHOD: &str = "$/cancelRequest";

/// One received message.
#[derive(Debug)]
pub enum Incoming {
    Single(Item),
    /// 1 to `BATCH_ITEMS_MAX` items, in the order sent.
    Batch(Vec<Item>),
}

/// One object of a message.
#[derive(Debug)]
pub enum Item {
    /// Wants exactly one answer.
    Request(Id, Invocation),
    /// Wants none, not even an error.
    Notification(Invocation),
    /// `$/cancelRequest`: give up the request with this id.
    Cancel(Id),
    /// Nothing to do and nothing to answer: a response, though nothing was asked, or a cancel that names no request.
    Ignored,
    /// Answered with the fault; the id is null where none could be read.
    Invalid(Id, Fault),
}

/// What a request or notification asks for.
#[derive(Debug, Clone)]
pub struct Invocation {
    pub method: Arc<str>,
    /// An object, an array, or null where there were none.
    pub params: Value,
    pub meta: Meta,
}

/// Parses one message.
///
/// # Errors
/// When the message as a whole cannot be acted on, which is answered once with a null id: `parse_error` for what is no
/// JSON, `invalid_request` for an empty or too long batch, a scalar, or nesting beyond `JSON_DEPTH_MAX`.
pub fn parse(text: &str) -> Result<Incoming, Fault> {
    if deeper_than(text, JSON_DEPTH_MAX) {
        return Err(invalid(format!("a message nests at most {JSON_DEPTH_MAX} levels")).with("limit", JSON_DEPTH_MAX));
    }
    let document: &RawValue = serde_json::from_str(text).map_err(|error| no_json(&error))?;
    match document.get().as_bytes().first() {
        Some(b'{') => Ok(Incoming::Single(item(document)?)),
        Some(b'[') => batch(document).map(Incoming::Batch),
        _ => Err(invalid("a message is an object, or an array of objects")),
    }
}

/// Parses a JSON value that comes without an envelope, by the same strict reading.
///
/// # Errors
/// `parse_error` for what is no JSON, or has a key twice; `invalid_request` for nesting beyond `JSON_DEPTH_MAX`.
pub fn parse_value(text: &str) -> Result<Value, Fault> {
    if deeper_than(text, JSON_DEPTH_MAX) {
        return Err(invalid(format!("a value nests at most {JSON_DEPTH_MAX} levels")).with("limit", JSON_DEPTH_MAX));
    }
    serde_json::from_str(text).map(|Strict(value)| value).map_err(|error| no_json(&error))
}

fn batch(document: &RawValue) -> Result<Vec<Item>, Fault> {
    let items: Vec<&RawValue> = serde_json::from_str(document.get()).map_err(|error| no_json(&error))?;
    match items.len() {
        0 => Err(invalid("an empty batch asks for nothing")),
        1..=BATCH_ITEMS_MAX => items.into_iter().map(item).collect(),
        _ => Err(invalid(format!("a batch has at most {BATCH_ITEMS_MAX} items")).with("limit", BATCH_ITEMS_MAX)),
    }
}

/// Reads one item. Only a key with a broken escape makes the whole document unreadable.
fn item(raw: &RawValue) -> Result<Item, Fault> {
    if !raw.get().starts_with('{') {
        return Ok(Item::Invalid(Id::null(), invalid("a request is an object")));
    }
    let members: Members<'_> = serde_json::from_str(raw.get()).map_err(|error| no_json(&error))?;
    if let Some(name) = members.duplicate {
        return Ok(Item::Invalid(Id::null(), invalid(format!("the member {name:?} is there twice"))));
    }
    let id = match members.id.map(Id::from_raw).transpose() {
        Ok(id) => id,
        Err(fault) => return Ok(Item::Invalid(Id::null(), fault)),
    };
    if members.method.is_none() && (members.result.is_some() || members.error.is_some()) {
        return Ok(Item::Ignored);
    }
    let echoed = id.clone().unwrap_or_else(Id::null);
    Ok(classify(&members, id).unwrap_or_else(|fault| Item::Invalid(echoed, fault)))
}

fn classify(members: &Members<'_>, id: Option<Id>) -> Result<Item, Fault> {
    if members.jsonrpc.and_then(string).as_deref() != Some("2.0") {
        return Err(invalid("jsonrpc must be \"2.0\""));
    }
    let method = members.method.ok_or_else(|| invalid("method is missing"))?;
    let method = string(method).ok_or_else(|| invalid("method must be a string"))?;
    let params = params(members.params)?;
    let meta = Meta::from_raw(members.meta)?;
    if method == CANCEL_METHOD && id.is_none() {
        return Ok(cancel(members.params));
    }
    let invocation = Invocation { method: method.into(), params, meta };
    Ok(match id {
        Some(id) => Item::Request(id, invocation),
        None => Item::Notification(invocation),
    })
}

fn params(raw: Option<&RawValue>) -> Result<Value, Fault> {
    let Some(raw) = raw else { return Ok(Value::Null) };
    if !raw.get().starts_with(['{', '[']) {
        return Err(invalid("params must be an object or an array"));
    }
    let Strict(value) = serde_json::from_str(raw.get()).map_err(|error| invalid(format!("params: {error}")))?;
    Ok(value)
}

/// A cancel without a usable id cancels nothing, and nobody hears of it: it is a notification.
fn cancel(params: Option<&RawValue>) -> Item {
    let id = params
        .and_then(|raw| serde_json::from_str::<Members<'_>>(raw.get()).ok())
        .and_then(|members| members.id)
        .and_then(|raw| Id::from_raw(raw).ok());
    id.map_or(Item::Ignored, Item::Cancel)
}

fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

pub(crate) fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(ErrorCode::InvalidRequest, message)
}

fn no_json(error: &serde_json::Error) -> Fault {
    Fault::new(ErrorCode::ParseError, format!("the message is no JSON: {error}"))
}
