//! Types of every kind, and JSON values that fit them in the form in which the host itself writes them.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use midplane_model::schema::{Case, Cases, Field, Function, Label, Param, Record, Type, Variant};
use serde_json::{Map, Value};

use super::source::Source;

/// Deepest type.
const DEPTH_MAX: usize = 6;
/// Members of a record, cases of a variant, items of a list.
const MEMBERS_MAX: usize = 5;
/// The largest integer that is written as a number.
const SAFE: u64 = (1 << 53) - 1;

const LEAVES: &[Type] = &[
    Type::Bool,
    Type::S8,
    Type::U8,
    Type::S16,
    Type::U16,
    Type::S32,
    Type::U32,
    Type::S64,
    Type::U64,
    Type::F32,
    Type::F64,
    Type::Char,
    Type::String,
    Type::Json,
];

/// `identity: func(value: T) -> tuple<T>`: a result of its own would be told apart into answer and fault.
pub fn identity(ty: &Type) -> Function {
    Function {
        name: Label::new("identity"),
        docs: None,
        params: vec![Param { name: Label::new("value"), ty: ty.clone() }],
        result: Some(Type::Tuple([ty.clone()].into())),
        is_async: false,
    }
}

pub fn ty(source: &mut Source<'_>) -> Type {
    nested(source, DEPTH_MAX)
}

fn nested(source: &mut Source<'_>, depth: usize) -> Type {
    let kind = source.below(LEAVES.len() + 8);
    if depth == 0 || source.is_empty() || kind < LEAVES.len() {
        return LEAVES[kind % LEAVES.len()].clone();
    }
    let some = |source: &mut Source<'_>| Arc::new(nested(source, depth - 1));
    let optional = |source: &mut Source<'_>| (source.below(4) > 0).then(|| some(source));
    let count = source.below(MEMBERS_MAX) + 1;
    match kind - LEAVES.len() {
        0 => Type::List(some(source)),
        1 => Type::Option(some(source)),
        2 => Type::Result { ok: optional(source), err: optional(source) },
        3 => Type::Tuple((0..count).map(|_| nested(source, depth - 1)).collect()),
        4 => {
            let field = |index| Field { name: member("field", index), docs: None, ty: nested(source, depth - 1) };
            Type::Record(Arc::new(Record { name: None, docs: None, fields: (0..count).map(field).collect() }))
        }
        5 => {
            let case = |index| Case {
                name: member("case", index),
                docs: None,
                ty: (source.below(3) > 0).then(|| nested(source, depth - 1)),
            };
            Type::Variant(Arc::new(Variant { name: None, docs: None, cases: (0..count).map(case).collect() }))
        }
        6 => Type::Enum(cases(count)),
        _ => Type::Flags(cases(count)),
    }
}

fn cases(count: usize) -> Arc<Cases> {
    Arc::new(Cases { name: None, docs: None, names: (0..count).map(|index| member("name", index)).collect() })
}

/// A name whose two forms differ.
fn member(kind: &str, index: usize) -> Label {
    Label::new(&format!("{kind}-{index}"))
}

/// A value of the type.
pub fn value(source: &mut Source<'_>, ty: &Type) -> Value {
    match ty {
        Type::Bool => (source.byte() & 1 == 1).into(),
        Type::S8 => i8::from_le_bytes(source.array()).into(),
        Type::U8 => source.byte().into(),
        Type::S16 => i16::from_le_bytes(source.array()).into(),
        Type::U16 => u16::from_le_bytes(source.array()).into(),
        Type::S32 => i32::from_le_bytes(source.array()).into(),
        Type::U32 => u32::from_le_bytes(source.array()).into(),
        Type::S64 => signed(i64::from_le_bytes(source.array())),
        Type::U64 => unsigned(u64::from_le_bytes(source.array())),
        Type::F32 => finite(f32::from_le_bytes(source.array()).into()),
        Type::F64 => finite(f64::from_le_bytes(source.array())),
        Type::Char => character(source).to_string().into(),
        Type::String => text(source).into(),
        Type::Json => json(source, MEMBERS_MAX),
        Type::List(item) if matches!(**item, Type::U8) => {
            BASE64.encode((0..source.byte()).map(|_| source.byte()).collect::<Vec<_>>()).into()
        }
        Type::List(item) => (0..source.below(MEMBERS_MAX)).map(|_| value(source, item)).collect(),
        Type::Option(some) => {
            if source.byte() & 1 == 1 {
                value(source, some)
            } else {
                Value::Null
            }
        }
        Type::Result { ok, err } => match source.byte() & 1 {
            0 => case("ok", payload(source, ok.as_deref())),
            _ => case("err", payload(source, err.as_deref())),
        },
        Type::Tuple(types) => types.iter().map(|ty| value(source, ty)).collect(),
        Type::Record(record) => {
            let fields = record.fields.iter();
            fields.map(|field| (field.name.json.to_string(), value(source, &field.ty))).collect()
        }
        Type::Variant(variant) => {
            let chosen = &variant.cases[source.below(variant.cases.len())];
            match &chosen.ty {
                Some(ty) => case(&chosen.name.json, value(source, ty)),
                None => (*chosen.name.json).into(),
            }
        }
        Type::Enum(cases) => (*cases.names[source.below(cases.names.len())].json).into(),
        Type::Flags(cases) => {
            let chosen = source.byte();
            let set = cases.names.iter().enumerate().filter(|(index, _)| chosen >> index & 1 == 1);
            set.map(|(_, name)| Value::from(&*name.json)).collect()
        }
        Type::Opaque(_) => Value::Null,
    }
}

fn case(name: &str, payload: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), payload)]))
}

fn payload(source: &mut Source<'_>, ty: Option<&Type>) -> Value {
    ty.map_or(Value::Null, |ty| value(source, ty))
}

fn signed(number: i64) -> Value {
    if number.unsigned_abs() > SAFE { number.to_string().into() } else { number.into() }
}

fn unsigned(number: u64) -> Value {
    if number > SAFE { number.to_string().into() } else { number.into() }
}

/// JSON has no other numbers.
fn finite(number: f64) -> Value {
    if number.is_finite() { number.into() } else { 0.5.into() }
}

fn character(source: &mut Source<'_>) -> char {
    let number = u32::from_le_bytes(source.array());
    char::from_u32(number % 0x11_0000).unwrap_or('\u{fffd}')
}

fn text(source: &mut Source<'_>) -> String {
    (0..source.below(12)).map(|_| character(source)).collect()
}

fn json(source: &mut Source<'_>, depth: usize) -> Value {
    match source.below(if depth == 0 { 4 } else { 6 }) {
        0 => Value::Null,
        1 => (source.byte() & 1 == 1).into(),
        2 => i32::from_le_bytes(source.array()).into(),
        3 => text(source).into(),
        4 => (0..source.below(MEMBERS_MAX)).map(|_| json(source, depth - 1)).collect(),
        _ => (0..source.below(MEMBERS_MAX)).map(|index| (format!("m{index}"), json(source, depth - 1))).collect(),
    }
}
