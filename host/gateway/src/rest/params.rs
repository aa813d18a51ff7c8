//! The parameters of a call, gathered from path, query, body and headers. None may be said twice.

use axum::http::{HeaderMap, StatusCode, header};
use midplane_model::{
    ErrorCode, Fault,
    schema::{Function, Type},
};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::{conditions::COMPRESSED, text};
use crate::problem::Problem;

/// The parameter that `If-Match` stands for, where a function has it.
const IF_VERSION: &str = "if_version";
/// The parameter that `If-None-Match: *` stands for, and its value.
const CREATE: &str = "create";
const MUST_NOT_EXIST: &str = "must_not_exist";

#[derive(Default)]
pub(super) struct Given(Map<String, Value>);

impl Given {
    pub fn path(&mut self, function: &Function, parameters: &[(std::sync::Arc<str>, String)]) -> Result<(), Fault> {
        for (name, text) in parameters {
            let ty = type_of(function, name).unwrap_or(&Type::String);
            self.put(name, text::value(name, ty, text)?)?;
        }
        Ok(())
    }

    /// A name that is there several times is a list; a name that the function does not know is left to be refused with all
    /// others.
    pub fn query(&mut self, function: &Function, query: &str) -> Result<(), Fault> {
        // Else every byte that is none would become the same character, and name another file.
        if percent_decode_str(query).decode_utf8().is_err() {
            return Err(Fault::new(ErrorCode::InvalidRequest, "the query is not UTF-8 once its %XX are decoded"));
        }
        let mut lists: Map<String, Value> = Map::new();
        for (name, text) in form_urlencoded::parse(query.as_bytes()) {
            match type_of(function, &name).and_then(text::item_of_list) {
                Some(item) => {
                    let value = text::value(&name, item, &text)?;
                    let list = lists.entry(&*name).or_insert_with(|| Value::Array(Vec::new()));
                    if let Value::Array(items) = list {
                        items.push(value);
                    }
                }
                None => {
                    let ty = type_of(function, &name).unwrap_or(&Type::String);
                    self.put(&name, text::value(&name, ty, &text)?)?;
                }
            }
        }
        lists.into_iter().try_for_each(|(name, list)| self.put(&name, list))
    }

    /// An empty body says nothing.
    ///
    /// # Errors
    /// 415 for what says that it is no JSON, or is compressed.
    pub fn body(&mut self, headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
        if body.is_empty() {
            return Ok(());
        }
        if !is_json(headers) {
            let message = "the body is JSON; say so with \"Content-Type: application/json\"";
            return Err(Problem::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::InvalidRequest, message));
        }
        check_coding(headers)?;
        let text = std::str::from_utf8(body).map_err(|_| Fault::new(ErrorCode::ParseError, "the body is not UTF-8"))?;
        match midplane_protocol::parse_value(text)? {
            Value::Object(members) => Ok(members.into_iter().try_for_each(|(name, value)| self.put(&name, value))?),
            other => {
                let kind = match other {
                    Value::Array(_) => "an array",
                    Value::Null => "null",
                    _ => "a single value",
                };
                let message = format!("params: expected an object by name, got {kind}");
                Err(Fault::invalid_params("params", message).into())
            }
        }
    }

    /// `If-Match` is the version that a write replaces (RFC 9110, section 13.1.1). `*` asks for any.
    pub fn if_match(&mut self, function: &Function, headers: &HeaderMap) -> Result<(), Fault> {
        let Some(value) = headers.get(header::IF_MATCH) else { return Ok(()) };
        if type_of(function, IF_VERSION).is_none() {
            let message = "this method knows no versions, so If-Match cannot be kept";
            return Err(Fault::new(ErrorCode::NotSupported, message));
        }
        match value.to_str().ok().map(str::trim) {
            Some("*") => Ok(()),
            Some(tag) if tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"') => {
                let version = &tag[1..tag.len() - 1];
                self.put(IF_VERSION, version.strip_suffix(COMPRESSED).unwrap_or(version).into())
            }
            _ => {
                let message = "headers.if-match: expected one strong entity tag in quotes, or *";
                Err(Fault::invalid_params("headers.if-match", message))
            }
        }
    }

    /// `If-None-Match: *` is a write that only makes (RFC 9110, section 13.1.2).
    pub fn if_none_match(&mut self, function: &Function, headers: &HeaderMap) -> Result<(), Fault> {
        match headers.get(header::IF_NONE_MATCH) {
            None => Ok(()),
            Some(value) if value == "*" && type_of(function, CREATE).is_some() => {
                self.put(CREATE, MUST_NOT_EXIST.into())
            }
            Some(_) => {
                let message = "headers.if-none-match: expected *, for a file that is not there yet";
                Err(Fault::invalid_params("headers.if-none-match", message))
            }
        }
    }

    /// A parameter that a header says as a word.
    pub fn word(&mut self, function: &Function, name: &str, text: &str) -> Result<(), Fault> {
        let ty = type_of(function, name).unwrap_or(&Type::String);
        self.put(name, text::value(name, ty, text)?)
    }

    fn put(&mut self, name: &str, value: Value) -> Result<(), Fault> {
        if self.0.contains_key(name) {
            let path = format!("params.{name}");
            return Err(Fault::invalid_params(&path, format!("{path}: is given twice")));
        }
        self.0.insert(name.to_owned(), value);
        Ok(())
    }

    pub fn into_params(self) -> Value {
        if self.0.is_empty() { Value::Null } else { Value::Object(self.0) }
    }
}

/// What was asked for by a header is answered as HTTP has it: a condition that failed.
pub(super) fn as_condition(fault: Fault, headers: &HeaderMap) -> Fault {
    match fault.code == ErrorCode::AlreadyExists && headers.contains_key(header::IF_NONE_MATCH) {
        true => Fault { code: ErrorCode::PreconditionFailed, ..fault },
        false => fault,
    }
}

/// # Errors
/// 415 for a compressed body (RFC 9110, section 8.4).
pub(super) fn check_coding(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(coding) if coding != "identity" => {
            let detail = "bodies are taken as they are; send it without Content-Encoding";
            let problem = Problem::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::InvalidRequest, detail);
            Err(problem.with_header(header::ACCEPT_ENCODING, "identity"))
        }
        _ => Ok(()),
    }
}

fn type_of<'a>(function: &'a Function, name: &str) -> Option<&'a Type> {
    function.params.iter().find(|param| *param.name.json == *name).map(|param| &param.ty)
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}
