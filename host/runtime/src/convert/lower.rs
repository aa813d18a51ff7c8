//! Component values to JSON.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use midplane_model::{
    ErrorCode, Fault,
    schema::{Function, Label, Type},
};
use serde_json::Value;
use wasmtime::component::Val;

/// Lowers what a function returned: the `ok` of a result (or the value) as JSON text, the `err` as a fault.
///
/// # Errors
/// The service's own error, by its `code`; `plugin_failed` when the value does not have the declared type or a `json` is none.
pub fn result(function: &Function, results: &[Val]) -> Result<String, Fault> {
    let mut json = String::new();
    match (&function.result, results) {
        (Some(Type::Result { ok, err }), [Val::Result(result)]) => match result {
            Ok(payload) => lower_payload(&mut json, ok.as_deref(), payload.as_deref())?,
            Err(payload) => {
                lower_payload(&mut json, err.as_deref(), payload.as_deref())?;
                return Err(service_fault(serde_json::from_str(&json).map_err(|_| mistyped())?));
            }
        },
        (Some(ty), [returned]) => value(&mut json, ty, returned)?,
        _ => json.push_str("null"),
    }
    Ok(json)
}

/// A service's error value as a fault: by `code` where it is a record with one, else `application_error`.
pub fn service_fault(value: Value) -> Fault {
    let member = |name: &str| value.get(name).and_then(Value::as_str);
    let code = member("code").and_then(ErrorCode::from_str_opt);
    let message = member("message").map(str::to_owned);
    match (code, message) {
        (Some(code), Some(message)) => {
            let mut fault = Fault::new(code, message);
            if let Some(Value::Object(details)) = value.get("details") {
                fault.details = details.clone();
            }
            fault
        }
        (_, message) => {
            let message = message.or_else(|| value.as_str().map(str::to_owned));
            Fault::new(
                ErrorCode::ApplicationError,
                message.unwrap_or_else(|| "the service answered with an error".into()),
            )
            .with("value", value)
        }
    }
}

pub fn mistyped() -> Fault {
    Fault::new(ErrorCode::PluginFailed, "the plugin returned a value that is not of the declared type")
}

fn lower_payload(json: &mut String, ty: Option<&Type>, value: Option<&Val>) -> Result<(), Fault> {
    match (ty, value) {
        (Some(ty), Some(payload)) => self::value(json, ty, payload),
        _ => {
            json.push_str("null");
            Ok(())
        }
    }
}

/// Appends one value.
fn value(json: &mut String, ty: &Type, value: &Val) -> Result<(), Fault> {
    match (ty, value) {
        (ty, Val::String(text)) => push_text(json, ty, text)?,
        (_, Val::Char(c)) => push_string(json, c.encode_utf8(&mut [0; 4])),
        (_, Val::Bool(value)) => json.push_str(if *value { "true" } else { "false" }),
        (Type::List(item), Val::List(values)) if matches!(**item, Type::U8) => {
            let bytes: Vec<u8> = values.iter().map(|v| if let Val::U8(byte) = v { *byte } else { 0 }).collect();
            push_bytes(json, &bytes);
        }
        (Type::List(item), Val::List(values)) => lower_items(json, values.iter().map(|value| (&**item, value)))?,
        (Type::Tuple(types), Val::Tuple(values)) => lower_items(json, types.iter().zip(values))?,
        (Type::Option(_), Val::Option(None)) => json.push_str("null"),
        (Type::Option(some), Val::Option(Some(inner))) => self::value(json, some, inner)?,
        (Type::Record(record), Val::Record(values)) => {
            json.push('{');
            for (index, (field, (_, member))) in record.fields.iter().zip(values).enumerate() {
                if index > 0 {
                    json.push(',');
                }
                push_string(json, &field.name.json);
                json.push(':');
                self::value(json, &field.ty, member)?;
            }
            json.push('}');
        }
        (Type::Enum(cases), Val::Enum(name)) => push_string(json, label(&cases.names, name)),
        (Type::Flags(cases), Val::Flags(names)) => {
            let names: Vec<&str> = names.iter().map(|name| label(&cases.names, name)).collect();
            json.push_str(&serde_json::to_string(&names).map_err(|_| mistyped())?);
        }
        (Type::Variant(variant), Val::Variant(name, payload)) => {
            let case = variant.cases.iter().find(|case| *case.name.wit == **name).ok_or_else(mistyped)?;
            match &case.ty {
                Some(ty) => lower_case(json, &case.name.json, Some(ty), payload.as_deref())?,
                None => push_string(json, &case.name.json),
            }
        }
        (Type::Result { ok, err }, Val::Result(result)) => match result {
            Ok(value) => lower_case(json, "ok", ok.as_deref(), value.as_deref())?,
            Err(value) => lower_case(json, "err", err.as_deref(), value.as_deref())?,
        },
        (_, value) => lower_number(json, value)?,
    }
    Ok(())
}

fn lower_items<'a>(json: &mut String, items: impl Iterator<Item = (&'a Type, &'a Val)>) -> Result<(), Fault> {
    json.push('[');
    for (index, (ty, item)) in items.enumerate() {
        if index > 0 {
            json.push(',');
        }
        value(json, ty, item)?;
    }
    json.push(']');
    Ok(())
}

fn lower_case(json: &mut String, name: &str, ty: Option<&Type>, payload: Option<&Val>) -> Result<(), Fault> {
    json.push('{');
    push_string(json, name);
    json.push(':');
    lower_payload(json, ty, payload)?;
    json.push('}');
    Ok(())
}

fn label<'a>(names: &'a [Label], wit: &'a str) -> &'a str {
    names.iter().find(|name| *name.wit == *wit).map_or(wit, |name| &name.json)
}

fn push_string(json: &mut String, text: &str) {
    // Most need no escapes, and so no string between.
    if text.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
        // Writing to a string does not fail.
        json.push_str(&serde_json::to_string(text).unwrap_or_default());
        return;
    }
    json.reserve(text.len() + 2);
    json.push('"');
    json.push_str(text);
    json.push('"');
}

/// A string, or the JSON that a `json` is.
pub fn push_text(json: &mut String, ty: &Type, text: &str) -> Result<(), Fault> {
    if !matches!(ty, Type::Json) {
        push_string(json, text);
        return Ok(());
    }
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map_err(|_| Fault::new(ErrorCode::PluginFailed, "the plugin returned a json that is no JSON"))?;
    json.push_str(text);
    Ok(())
}

/// Bytes are base64, whose letters need no escapes.
pub fn push_bytes(json: &mut String, bytes: &[u8]) {
    json.reserve(bytes.len().div_ceil(3) * 4 + 2);
    json.push('"');
    BASE64.encode_string(bytes, json);
    json.push('"');
}

/// The largest integer that every JSON reader keeps (RFC 8259, section 6).
const SAFE: i128 = (1 << 53) - 1;

fn lower_number(json: &mut String, value: &Val) -> Result<(), Fault> {
    let integer: i128 = match value {
        Val::S8(n) => (*n).into(),
        Val::U8(n) => (*n).into(),
        Val::S16(n) => (*n).into(),
        Val::U16(n) => (*n).into(),
        Val::S32(n) => (*n).into(),
        Val::U32(n) => (*n).into(),
        Val::S64(n) => (*n).into(),
        Val::U64(n) => (*n).into(),
        // JSON has no infinity and no NaN; they become null.
        Val::Float32(n) => {
            json.push_str(&Value::from(*n).to_string());
            return Ok(());
        }
        Val::Float64(n) => {
            json.push_str(&Value::from(*n).to_string());
            return Ok(());
        }
        _ => return Err(mistyped()),
    };
    if integer.abs() > SAFE {
        json.push_str(&format!("\"{integer}\""));
    } else {
        json.push_str(&integer.to_string());
    }
    Ok(())
}
