//! JSON to component values.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use midplane_model::{
    ErrorCode, Fault,
    limits::DYNAMIC_BYTES_MAX,
    schema::{Function, Label, Type},
};
use serde_json::{Map, Value};
use wasmtime::component::Val;

use super::path::{Path, Step};

/// One parameter before it is converted.
pub struct Argument<'a> {
    pub step: Step<'a>,
    pub ty: &'a Type,
    pub given: Option<Value>,
}

/// Sorts parameters, an object by name or an array by position, by the function's own.
///
/// # Errors
/// `invalid_params` for anything else, for what the function does not know, and for too many.
pub fn arguments(function: &Function, params: Value) -> Result<Vec<Argument<'_>>, Fault> {
    match params {
        Value::Null => by_name(function, Map::new()),
        Value::Object(object) => by_name(function, object),
        Value::Array(items) => by_position(function, items),
        other => Err(Path::default().wrong("an object or an array", &other)),
    }
}

fn by_name(function: &Function, mut object: Map<String, Value>) -> Result<Vec<Argument<'_>>, Fault> {
    let take = |param: &'_ midplane_model::schema::Param| object.swap_remove(&*param.name.json);
    let given: Vec<Option<Value>> = function.params.iter().map(take).collect();
    if let Some(key) = object.keys().next() {
        return Err(Path::default().unknown(key));
    }
    let arguments = function.params.iter().zip(given);
    Ok(arguments.map(|(param, given)| Argument { step: Step::Field(&param.name.json), ty: &param.ty, given }).collect())
}

fn by_position(function: &Function, items: Vec<Value>) -> Result<Vec<Argument<'_>>, Fault> {
    if items.len() > function.params.len() {
        let message = format!(
            "params: {} takes at most {} parameters, got {}",
            function.name.json,
            function.params.len(),
            items.len()
        );
        return Err(Fault::invalid_params("params", message));
    }
    let given = items.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
    let arguments = function.params.iter().zip(given).enumerate();
    Ok(arguments.map(|(index, (param, given))| Argument { step: Step::Index(index), ty: &param.ty, given }).collect())
}

/// Lifts parameters to the values of the function's own.
///
/// # Errors
/// `invalid_params` with the path of the first value that does not fit; `too_large` as [`DYNAMIC_BYTES_MAX`] says.
pub fn params(function: &Function, params: Value) -> Result<Vec<Val>, Fault> {
    let mut path = Path::default();
    let lift = |Argument { step, ty, given }| path.below(step, |path| optional(path, ty, given));
    arguments(function, params)?.into_iter().map(lift).collect()
}

/// Bytes, as base64 or as an array of numbers.
pub fn bytes(path: &mut Path<'_>, value: Option<Value>) -> Result<Vec<u8>, Fault> {
    match value {
        None => Err(path.missing("list<u8>")),
        Some(Value::String(text)) => BASE64.decode(&text).map_err(|_| path.wrong("base64", &Value::String(text))),
        Some(Value::Array(items)) => {
            let mut bytes = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                match item.as_u64().and_then(|number| u8::try_from(number).ok()) {
                    Some(byte) => bytes.push(byte),
                    None => return path.below(Step::Index(index), |path| Err(path.wrong("u8", &item))),
                }
            }
            Ok(bytes)
        }
        Some(other) => Err(path.wrong("list<u8>", &other)),
    }
}

/// A string, or the text of a `json`.
pub fn text<'a>(path: &mut Path<'a>, ty: &'a Type, value: Option<Value>) -> Result<String, Fault> {
    match (ty, value) {
        (_, None) => Err(path.missing(&ty.wit())),
        (Type::Json, Some(value)) => Ok(value.to_string()),
        (_, Some(Value::String(text))) => Ok(text),
        (_, Some(other)) => Err(path.wrong(&ty.wit(), &other)),
    }
}

fn optional<'a>(path: &mut Path<'a>, ty: &'a Type, value: Option<Value>) -> Result<Val, Fault> {
    match (value, ty) {
        (None, Type::Option(_)) => Ok(Val::Option(None)),
        (None, _) => Err(path.missing(&ty.wit())),
        (Some(value), ty) => lift(path, ty, value),
    }
}

fn lift<'a>(path: &mut Path<'a>, ty: &'a Type, value: Value) -> Result<Val, Fault> {
    Ok(match (ty, value) {
        (Type::Bool, Value::Bool(value)) => Val::Bool(value),
        (Type::String | Type::Json, value) => Val::String(text(path, ty, Some(value))?),
        (Type::F32, Value::Number(n)) => {
            let wide = n.as_f64().unwrap_or(f64::INFINITY);
            let narrow = wide as f32;
            if narrow.is_infinite() {
                return Err(path.wrong("f32", &Value::Number(n)));
            }
            Val::Float32(narrow)
        }
        (Type::F64, Value::Number(n)) => match n.as_f64() {
            Some(value) => Val::Float64(value),
            None => return Err(path.wrong("f64", &Value::Number(n))),
        },
        (Type::Char, Value::String(text)) => match single_char(&text) {
            Some(c) => Val::Char(c),
            None => return Err(path.wrong("a single character", &Value::String(text))),
        },
        (Type::Option(_), Value::Null) => Val::Option(None),
        (Type::Option(some), value) => Val::Option(Some(Box::new(lift(path, some, value)?))),
        (Type::List(item), value @ (Value::String(_) | Value::Array(_))) if matches!(**item, Type::U8) => {
            dynamic_bytes(path, value)?
        }
        (Type::List(item), Value::Array(items)) => Val::List(lift_items(path, items, |_| Some(item))?),
        (Type::Tuple(types), Value::Array(items)) if items.len() == types.len() => {
            Val::Tuple(lift_items(path, items, |index| types.get(index))?)
        }
        (Type::Record(record), Value::Object(object)) => lift_record(path, record, object)?,
        (Type::Enum(cases), Value::String(text)) => match cases.names.iter().find(|name| *name.json == text) {
            Some(name) => Val::Enum(name.wit.to_string()),
            None => return Err(path.wrong(&one_of(&cases.names), &Value::String(text))),
        },
        (Type::Flags(cases), Value::Array(items)) => lift_flags(path, &cases.names, &items)?,
        (Type::Variant(_) | Type::Result { .. }, value) => lift_case(path, ty, value)?,
        (ty, value) => match lift_integer(ty, &value) {
            Some(integer) => integer,
            None => return Err(path.wrong(&ty.wit(), &value)),
        },
    })
}

/// Bytes inside other values: forty times their size on the way, so there is a bound.
fn dynamic_bytes(path: &mut Path<'_>, value: Value) -> Result<Val, Fault> {
    let bytes = bytes(path, Some(value))?;
    if bytes.len() > DYNAMIC_BYTES_MAX {
        let message = format!(
            "{}: {} bytes inside another value, at most {DYNAMIC_BYTES_MAX}; a function for more takes them as a \
             parameter beside a string at most",
            path.text(),
            bytes.len()
        );
        return Err(Fault::new(ErrorCode::TooLarge, message).with("limit_bytes", DYNAMIC_BYTES_MAX));
    }
    Ok(Val::List(bytes.into_iter().map(Val::U8).collect()))
}

fn lift_record<'a>(
    path: &mut Path<'a>,
    record: &'a midplane_model::schema::Record,
    mut object: Map<String, Value>,
) -> Result<Val, Fault> {
    let mut values = Vec::with_capacity(record.fields.len());
    for field in &record.fields {
        // Removing keeps what is left for the check of unknown keys; order does not matter any more.
        let given = object.swap_remove(&*field.name.json);
        let value = path.below(Step::Field(&field.name.json), |path| optional(path, &field.ty, given))?;
        values.push((field.name.wit.to_string(), value));
    }
    match object.keys().next() {
        Some(key) => Err(path.unknown(key)),
        None => Ok(Val::Record(values)),
    }
}

fn single_char(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

fn one_of(names: &[Label]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("{:?}", name.json)).collect();
    format!("one of {}", names.join(", "))
}

/// Integers of all widths. 64-bit ones are accepted as strings too, because JavaScript cannot write them all as numbers.
fn lift_integer(ty: &Type, value: &Value) -> Option<Val> {
    let wide = matches!(ty, Type::S64 | Type::U64);
    let number: i128 = match value {
        Value::Number(n) => n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from))?,
        Value::String(text) if wide => text.parse().ok()?,
        _ => return None,
    };
    match ty {
        Type::S8 => number.try_into().ok().map(Val::S8),
        Type::U8 => number.try_into().ok().map(Val::U8),
        Type::S16 => number.try_into().ok().map(Val::S16),
        Type::U16 => number.try_into().ok().map(Val::U16),
        Type::S32 => number.try_into().ok().map(Val::S32),
        Type::U32 => number.try_into().ok().map(Val::U32),
        Type::S64 => number.try_into().ok().map(Val::S64),
        Type::U64 => number.try_into().ok().map(Val::U64),
        _ => None,
    }
}

fn lift_items<'a>(
    path: &mut Path<'a>,
    items: Vec<Value>,
    ty: impl Fn(usize) -> Option<&'a Type>,
) -> Result<Vec<Val>, Fault> {
    let mut values = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let Some(ty) = ty(index) else { continue };
        values.push(path.below(Step::Index(index), |path| lift(path, ty, item))?);
    }
    Ok(values)
}

fn lift_flags<'a>(path: &mut Path<'a>, names: &[Label], items: &[Value]) -> Result<Val, Fault> {
    let mut flags = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let found = names.iter().find(|name| item.as_str() == Some(&name.json));
        let wrong = |path: &mut Path<'a>| Err(path.wrong(&one_of(names), item));
        match found {
            Some(name) => flags.push(name.wit.to_string()),
            None => return path.below(Step::Index(index), wrong),
        }
    }
    Ok(Val::Flags(flags))
}

/// `"case"` or `{"case": payload}`, for variants and for results inside values.
fn lift_case<'a>(path: &mut Path<'a>, ty: &'a Type, value: Value) -> Result<Val, Fault> {
    let (name, payload) = match value {
        Value::String(name) => (name, None),
        Value::Object(object) if object.len() == 1 => match object.into_iter().next() {
            Some((name, payload)) => (name, Some(payload)),
            None => (String::new(), None),
        },
        other => return Err(path.wrong(&format!("{} as \"case\" or {{\"case\": payload}}", ty.wit()), &other)),
    };
    let (wit, label, inner): (&str, &'a str, Option<&'a Type>) = match ty {
        Type::Result { ok, .. } if name == "ok" => ("ok", "ok", ok.as_deref()),
        Type::Result { err, .. } if name == "err" => ("err", "err", err.as_deref()),
        Type::Variant(variant) => match variant.cases.iter().find(|case| *case.name.json == name) {
            Some(case) => (&case.name.wit, &case.name.json, case.ty.as_ref()),
            None => {
                let names: Vec<Label> = variant.cases.iter().map(|case| case.name.clone()).collect();
                return Err(path.wrong(&one_of(&names), &Value::String(name)));
            }
        },
        _ => return Err(path.wrong("\"ok\" or \"err\"", &Value::String(name))),
    };
    let payload = path.below(Step::Field(label), |path| match (inner, payload) {
        (Some(inner), payload) => optional(path, inner, payload).map(|value| Some(Box::new(value))),
        (None, None | Some(Value::Null)) => Ok(None),
        (None, Some(payload)) => Err(path.wrong("no payload", &payload)),
    })?;
    Ok(match ty {
        Type::Result { .. } if wit == "ok" => Val::Result(Ok(payload)),
        Type::Result { .. } => Val::Result(Err(payload)),
        _ => Val::Variant(wit.to_owned(), payload),
    })
}
