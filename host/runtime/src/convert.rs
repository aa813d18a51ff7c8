//! JSON to component values and back, by the function's type (contract, section 3). Errors name the path.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use midplane_model::{
    ErrorCode, Fault,
    schema::{Function, Label, Type},
};
use serde_json::{Map, Value};
use wasmtime::component::Val;

/// Where in the parameters the conversion is; kept as a stack so that the good case allocates nothing.
enum Step<'a> {
    Field(&'a str),
    Index(usize),
}

struct Path<'a>(Vec<Step<'a>>);

impl Path<'_> {
    fn text(&self) -> String {
        let mut text = String::from("params");
        for step in &self.0 {
            match step {
                Step::Field(name) => {
                    text.push('.');
                    text.push_str(name);
                }
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }

    fn wrong(&self, expected: &str, got: &Value) -> Fault {
        let path = self.text();
        let mut shown = got.to_string();
        if shown.len() > 60 {
            let cut = shown.floor_char_boundary(60);
            shown.truncate(cut);
            shown.push('…');
        }
        let message = format!("{path}: expected {expected}, got {shown}");
        Fault::invalid_params(&path, message)
    }
}

/// Lifts parameters, an object by name or an array by position, to the values of the function's parameters.
///
/// # Errors
/// `invalid_params` with the path of the first value that does not fit.
pub fn lift_params(function: &Function, params: Value) -> Result<Vec<Val>, Fault> {
    let mut path = Path(Vec::new());
    match params {
        Value::Null => lift_object(&mut path, function, Map::new()),
        Value::Object(object) => lift_object(&mut path, function, object),
        Value::Array(items) => lift_positions(&mut path, function, items),
        other => Err(path.wrong("an object or an array", &other)),
    }
}

fn lift_object<'a>(
    path: &mut Path<'a>,
    function: &'a Function,
    mut object: Map<String, Value>,
) -> Result<Vec<Val>, Fault> {
    let fields = function.params.iter().map(|param| (&param.name, &param.ty));
    let values = lift_fields(path, fields, &mut object)?;
    refuse_unknown(path, &object)?;
    Ok(values.into_iter().map(|(_, value)| value).collect())
}

fn lift_positions<'a>(path: &mut Path<'a>, function: &'a Function, items: Vec<Value>) -> Result<Vec<Val>, Fault> {
    if items.len() > function.params.len() {
        let message = format!(
            "params: {} takes at most {} parameters, got {}",
            function.name.json,
            function.params.len(),
            items.len()
        );
        return Err(Fault::invalid_params("params", message));
    }
    let mut items = items.into_iter();
    let mut values = Vec::with_capacity(function.params.len());
    for (index, param) in function.params.iter().enumerate() {
        path.0.push(Step::Index(index));
        values.push(lift_optional(path, &param.ty, items.next())?);
        path.0.pop();
    }
    Ok(values)
}

fn lift_fields<'a>(
    path: &mut Path<'a>,
    fields: impl Iterator<Item = (&'a Label, &'a Type)>,
    object: &mut Map<String, Value>,
) -> Result<Vec<(String, Val)>, Fault> {
    let mut values = Vec::new();
    for (name, ty) in fields {
        path.0.push(Step::Field(&name.json));
        // Removing keeps what is left for the check of unknown keys; order does not matter any more.
        values.push((name.wit.to_string(), lift_optional(path, ty, object.swap_remove(&*name.json))?));
        path.0.pop();
    }
    Ok(values)
}

fn refuse_unknown(path: &Path<'_>, rest: &Map<String, Value>) -> Result<(), Fault> {
    let Some(key) = rest.keys().next() else { return Ok(()) };
    let path = format!("{}.{key}", path.text());
    Err(Fault::invalid_params(&path, format!("{path}: unknown key")))
}

fn lift_optional<'a>(path: &mut Path<'a>, ty: &'a Type, value: Option<Value>) -> Result<Val, Fault> {
    match (value, ty) {
        (None, Type::Option(_)) => Ok(Val::Option(None)),
        (None, _) => {
            let path = path.text();
            Err(Fault::invalid_params(&path, format!("{path}: missing, expected {}", ty.wit())))
        }
        (Some(value), ty) => lift(path, ty, value),
    }
}

fn lift<'a>(path: &mut Path<'a>, ty: &'a Type, value: Value) -> Result<Val, Fault> {
    Ok(match (ty, value) {
        (Type::Bool, Value::Bool(value)) => Val::Bool(value),
        (Type::String, Value::String(value)) => Val::String(value),
        (Type::Json, value) => Val::String(value.to_string()),
        (Type::F32, Value::Number(n)) => match n.as_f64().map(|n| n as f32).filter(|n| n.is_finite()) {
            Some(n) => Val::Float32(n),
            None => return Err(path.wrong("f32", &Value::Number(n))),
        },
        (Type::F64, Value::Number(n)) => Val::Float64(n.as_f64().unwrap_or(f64::NAN)),
        (Type::Char, Value::String(text)) => match single_char(&text) {
            Some(c) => Val::Char(c),
            None => return Err(path.wrong("a single character", &Value::String(text))),
        },
        (Type::Option(_), Value::Null) => Val::Option(None),
        (Type::Option(some), value) => Val::Option(Some(Box::new(lift(path, some, value)?))),
        (Type::List(item), Value::String(text)) if matches!(**item, Type::U8) => {
            let bytes = BASE64.decode(&text).map_err(|_| path.wrong("base64", &Value::String(text)))?;
            Val::List(bytes.into_iter().map(Val::U8).collect())
        }
        (Type::List(item), Value::Array(items)) => Val::List(lift_items(path, items, |_| Some(item))?),
        (Type::Tuple(types), Value::Array(items)) if items.len() == types.len() => {
            Val::Tuple(lift_items(path, items, |index| types.get(index))?)
        }
        (Type::Record(record), Value::Object(mut object)) => {
            let fields = lift_fields(path, record.fields.iter().map(|f| (&f.name, &f.ty)), &mut object)?;
            refuse_unknown(path, &object)?;
            Val::Record(fields)
        }
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
        path.0.push(Step::Index(index));
        values.push(lift(path, ty, item)?);
        path.0.pop();
    }
    Ok(values)
}

fn lift_flags(path: &Path<'_>, names: &[Label], items: &[Value]) -> Result<Val, Fault> {
    let flag = |item: &Value| {
        let found = names.iter().find(|name| item.as_str() == Some(&name.json));
        found.map(|name| name.wit.to_string()).ok_or_else(|| path.wrong(&one_of(names), item))
    };
    Ok(Val::Flags(items.iter().map(flag).collect::<Result<_, _>>()?))
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
        _ => return Err(path.wrong(&ty.wit(), &Value::String(name))),
    };
    path.0.push(Step::Field(label));
    let payload = match inner {
        Some(inner) => Some(Box::new(lift_optional(path, inner, payload)?)),
        None => None,
    };
    path.0.pop();
    Ok(match ty {
        Type::Result { .. } if wit == "ok" => Val::Result(Ok(payload)),
        Type::Result { .. } => Val::Result(Err(payload)),
        _ => Val::Variant(wit.to_owned(), payload),
    })
}

/// Lowers what a function returned: the `ok` of a result (or the value) as JSON text, the `err` as a fault.
///
/// # Errors
/// The service's own error, by its `code`; `plugin_failed` when the value does not have the declared type or a `json` is none.
pub fn lower_result(function: &Function, results: &[Val]) -> Result<String, Fault> {
    let mut json = String::new();
    match (&function.result, results) {
        (Some(Type::Result { ok, err }), [Val::Result(result)]) => match result {
            Ok(value) => lower_payload(&mut json, ok.as_deref(), value.as_deref())?,
            Err(value) => return Err(service_fault(err.as_deref(), value.as_deref())?),
        },
        (Some(ty), [value]) => lower(&mut json, ty, value)?,
        _ => json.push_str("null"),
    }
    Ok(json)
}

/// A service's error value as a fault: by `code` where it is a record with one, else `application_error`.
fn service_fault(ty: Option<&Type>, value: Option<&Val>) -> Result<Fault, Fault> {
    let mut json = String::new();
    lower_payload(&mut json, ty, value)?;
    let value: Value = serde_json::from_str(&json).map_err(|_| mistyped())?;
    let member = |name: &str| value.get(name).and_then(Value::as_str);
    let code = member("code").and_then(ErrorCode::from_str_opt);
    let message = member("message").map(str::to_owned);
    Ok(match (code, message) {
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
    })
}

fn mistyped() -> Fault {
    Fault::new(ErrorCode::PluginFailed, "the plugin returned a value that is not of the declared type")
}

fn lower_payload(json: &mut String, ty: Option<&Type>, value: Option<&Val>) -> Result<(), Fault> {
    match (ty, value) {
        (Some(ty), Some(value)) => lower(json, ty, value),
        _ => {
            json.push_str("null");
            Ok(())
        }
    }
}

fn lower(json: &mut String, ty: &Type, value: &Val) -> Result<(), Fault> {
    match (ty, value) {
        (Type::Json, Val::String(text)) => {
            serde_json::from_str::<serde::de::IgnoredAny>(text)
                .map_err(|_| Fault::new(ErrorCode::PluginFailed, "the plugin returned a json that is no JSON"))?;
            json.push_str(text);
        }
        (_, Val::String(text)) => push_string(json, text),
        (_, Val::Char(c)) => push_string(json, c.encode_utf8(&mut [0; 4])),
        (_, Val::Bool(value)) => json.push_str(if *value { "true" } else { "false" }),
        (Type::List(item), Val::List(values)) if matches!(**item, Type::U8) => {
            let bytes: Vec<u8> = values.iter().map(|v| if let Val::U8(byte) = v { *byte } else { 0 }).collect();
            push_string(json, &BASE64.encode(bytes));
        }
        (Type::List(item), Val::List(values)) => lower_items(json, values.iter().map(|value| (&**item, value)))?,
        (Type::Tuple(types), Val::Tuple(values)) => lower_items(json, types.iter().zip(values))?,
        (Type::Option(_), Val::Option(None)) => json.push_str("null"),
        (Type::Option(some), Val::Option(Some(value))) => lower(json, some, value)?,
        (Type::Record(record), Val::Record(values)) => {
            json.push('{');
            for (index, (field, (_, value))) in record.fields.iter().zip(values).enumerate() {
                if index > 0 {
                    json.push(',');
                }
                push_string(json, &field.name.json);
                json.push(':');
                lower(json, &field.ty, value)?;
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
    for (index, (ty, value)) in items.enumerate() {
        if index > 0 {
            json.push(',');
        }
        lower(json, ty, value)?;
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
    json.push_str(&Value::from(text).to_string());
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
