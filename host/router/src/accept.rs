//! Checks a JSON value against a WIT type, for native services: components have their own conversion, by the same rules
//! (contract, section 3).

use std::fmt;

use midplane_model::{
    Fault,
    schema::{Cases, Label, Type},
};
use serde_json::{Map, Number, Value};

/// Characters of a wrong value that an error shows.
const SHOWN_BYTES_MAX: usize = 60;

/// Where in the parameters a value is. A list on the stack: the good case allocates nothing.
#[derive(Clone, Copy)]
pub(crate) enum Path<'a> {
    Params,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Params => f.write_str("params"),
            Path::Key(outer, key) => write!(f, "{outer}.{key}"),
            Path::Index(outer, index) => write!(f, "{outer}[{index}]"),
        }
    }
}

impl Path<'_> {
    pub(crate) fn fault(&self, problem: impl fmt::Display) -> Fault {
        let path = self.to_string();
        Fault::invalid_params(&path, format!("{path}: {problem}"))
    }

    fn wrong(&self, expected: &str, got: &Value) -> Fault {
        let mut shown = got.to_string();
        if shown.len() > SHOWN_BYTES_MAX {
            shown.truncate(shown.floor_char_boundary(SHOWN_BYTES_MAX));
            shown.push('…');
        }
        self.fault(format_args!("expected {expected}, got {shown}"))
    }
}

/// The value in the one form that deserialises: 64-bit integers as numbers, absent options left out.
///
/// # Errors
/// `invalid_params` with the path of the first value that does not fit.
pub(crate) fn accept(path: &Path<'_>, ty: &Type, value: Value) -> Result<Value, Fault> {
    match (ty, value) {
        (Type::Json, value) | (Type::Option(_), value @ Value::Null) => Ok(value),
        (Type::Option(some), value) => accept(path, some, value),
        (Type::Bool, value @ Value::Bool(_)) | (Type::String, value @ Value::String(_)) => Ok(value),
        (Type::F32 | Type::F64, value @ Value::Number(_)) => Ok(value),
        (Type::Char, Value::String(text)) if text.chars().count() == 1 => Ok(text.into()),
        (Type::List(item), value @ Value::String(_)) if matches!(**item, Type::U8) => Ok(value),
        (Type::List(item), Value::Array(items)) => {
            let items = items.into_iter().enumerate();
            items.map(|(index, value)| accept(&Path::Index(path, index), item, value)).collect()
        }
        (Type::Tuple(types), Value::Array(items)) if items.len() == types.len() => {
            let items = types.iter().zip(items).enumerate();
            items.map(|(index, (ty, value))| accept(&Path::Index(path, index), ty, value)).collect()
        }
        (Type::Record(record), Value::Object(object)) => {
            let fields = record.fields.iter().map(|field| (&field.name, &field.ty));
            accept_fields(path, fields, object).map(Value::Object)
        }
        (Type::Enum(cases), Value::String(name)) if is_case(cases, &name) => Ok(name.into()),
        (Type::Flags(cases), Value::Array(names))
            if names.iter().all(|name| name.as_str().is_some_and(|name| is_case(cases, name))) =>
        {
            Ok(names.into())
        }
        (ty, value) => match integer(ty, &value) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(path.wrong(&expected(ty), &value)),
        },
    }
}

/// The fields of a record, or the parameters of a function.
pub(crate) fn accept_fields<'a>(
    path: &Path<'_>,
    fields: impl Iterator<Item = (&'a Label, &'a Type)>,
    mut object: Map<String, Value>,
) -> Result<Map<String, Value>, Fault> {
    let mut accepted = Map::new();
    for (name, ty) in fields {
        let path = Path::Key(path, &name.json);
        match (object.remove(&*name.json), ty) {
            (None | Some(Value::Null), Type::Option(_)) => {}
            (None, ty) => return Err(path.fault(format_args!("missing, expected {}", expected(ty)))),
            (Some(value), ty) => {
                accepted.insert(name.json.to_string(), accept(&path, ty, value)?);
            }
        }
    }
    match object.keys().next() {
        Some(key) => Err(Path::Key(path, key).fault("unknown key")),
        None => Ok(accepted),
    }
}

fn is_case(cases: &Cases, name: &str) -> bool {
    cases.names.iter().any(|case| &*case.json == name)
}

/// The value as a number, if the type is an integer that holds it.
fn integer(ty: &Type, value: &Value) -> Option<Number> {
    let range = match ty {
        Type::S8 => i128::from(i8::MIN)..=i128::from(i8::MAX),
        Type::U8 => 0..=i128::from(u8::MAX),
        Type::S16 => i128::from(i16::MIN)..=i128::from(i16::MAX),
        Type::U16 => 0..=i128::from(u16::MAX),
        Type::S32 => i128::from(i32::MIN)..=i128::from(i32::MAX),
        Type::U32 => 0..=i128::from(u32::MAX),
        Type::S64 => i128::from(i64::MIN)..=i128::from(i64::MAX),
        Type::U64 => 0..=i128::from(u64::MAX),
        _ => return None,
    };
    let wide = matches!(ty, Type::S64 | Type::U64);
    let number: i128 = match value {
        Value::Number(number) => number.as_i128()?,
        // Beyond 2^53 JavaScript cannot write the number, so 64-bit integers may be strings.
        Value::String(text) if wide => text.parse().ok()?,
        _ => return None,
    };
    range.contains(&number).then(|| Number::from_i128(number)).flatten()
}

/// What to call a type in an error: the cases of an enum say more than its name.
fn expected(ty: &Type) -> String {
    let one_of = |cases: &Cases| {
        let names: Vec<String> = cases.names.iter().map(|name| format!("\"{}\"", name.json)).collect();
        names.join(", ")
    };
    match ty {
        Type::Enum(cases) => format!("one of {}", one_of(cases)),
        Type::Flags(cases) => format!("a list of {}", one_of(cases)),
        Type::Option(some) => expected(some),
        ty => ty.wit(),
    }
}
