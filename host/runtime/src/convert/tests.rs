//! What is accepted and what is refused, as a table: type, JSON in, and the JSON that comes back or the path and the reason.

use std::sync::Arc;

use midplane_model::schema::{Case, Cases, Field, Function, Label, Param, Record, Type, Variant};
use serde_json::{Value, json};

use super::{lift_params, lower_result};

fn list(item: Type) -> Type {
    Type::List(Arc::new(item))
}

fn option(some: Type) -> Type {
    Type::Option(Arc::new(some))
}

fn cases(names: &[&str]) -> Arc<Cases> {
    Arc::new(Cases { name: None, docs: None, names: names.iter().map(|name| Label::new(name)).collect() })
}

fn record(fields: &[(&str, Type)]) -> Type {
    let field = |(name, ty): &(&str, Type)| Field { name: Label::new(name), docs: None, ty: ty.clone() };
    Type::Record(Arc::new(Record { name: None, docs: None, fields: fields.iter().map(field).collect() }))
}

fn variant(cases: &[(&str, Option<Type>)]) -> Type {
    let case = |(name, ty): &(&str, Option<Type>)| Case { name: Label::new(name), docs: None, ty: ty.clone() };
    Type::Variant(Arc::new(Variant { name: None, docs: None, cases: cases.iter().map(case).collect() }))
}

fn result(ok: Option<Type>, err: Option<Type>) -> Type {
    Type::Result { ok: ok.map(Arc::new), err: err.map(Arc::new) }
}

/// `probe: func(value: ty) -> tuple<ty>`; a tuple, because an outermost result would be the function's own.
fn probe(ty: &Type) -> Function {
    Function {
        name: Label::new("probe"),
        docs: None,
        params: vec![Param { name: Label::new("value"), ty: ty.clone() }],
        result: Some(Type::Tuple(Arc::from([ty.clone()]))),
        is_async: false,
    }
}

fn there_and_back(ty: &Type, value: &Value) -> Result<Value, String> {
    let function = probe(ty);
    let values = lift_params(&function, json!({ "value": value })).map_err(|fault| fault.message)?;
    let json = lower_result(&function, &[wasmtime::component::Val::Tuple(values)]).map_err(|fault| fault.message)?;
    let back: Value = serde_json::from_str(&json).expect("JSON comes out");
    Ok(back[0].clone())
}

#[test]
fn what_is_accepted_comes_back_as_the_contract_writes_it() {
    let point = record(&[("x-axis", Type::S32), ("note", option(Type::String))]);
    let shape = variant(&[("none-at-all", None), ("circle", Some(Type::F64)), ("maybe", Some(option(Type::U8)))]);
    let same = |ty: Type, value: Value| (ty, value.clone(), value);
    for (ty, value, expected) in [
        same(Type::Bool, json!(true)),
        same(Type::S8, json!(-128)),
        same(Type::U16, json!(65_535)),
        same(Type::S32, json!(i32::MIN)),
        same(Type::U32, json!(u32::MAX)),
        // Beyond 2^53 - 1 as a string, both accepted.
        same(Type::U64, json!(9_007_199_254_740_991_u64)),
        (Type::U64, json!(9_007_199_254_740_992_u64), json!("9007199254740992")),
        (Type::U64, json!("7"), json!(7)),
        same(Type::U64, json!("18446744073709551615")),
        same(Type::S64, json!("-9223372036854775808")),
        (Type::S64, json!(i64::MIN), json!("-9223372036854775808")),
        same(Type::F32, json!(0.5)),
        same(Type::F64, json!(-1e300)),
        (Type::F64, json!(3), json!(3.0)),
        same(Type::Char, json!("𝄞")),
        same(Type::String, json!("\u{0}\"\\\n")),
        same(Type::Json, json!({ "any": [1, null, "thing"] })),
        same(Type::Json, json!(null)),
        same(list(Type::U8), json!("AAH/")),
        same(list(Type::U8), json!("")),
        (list(Type::U8), json!([0, 1, 255]), json!("AAH/")),
        same(list(list(Type::U32)), json!([[], [1, 2]])),
        same(option(Type::U32), json!(null)),
        same(Type::Tuple(Arc::from([Type::U8, Type::String])), json!([1, "a"])),
        (point.clone(), json!({ "x_axis": 1 }), json!({ "x_axis": 1, "note": null })),
        same(point, json!({ "x_axis": 1, "note": "n" })),
        same(shape.clone(), json!("none_at_all")),
        (shape.clone(), json!({ "none_at_all": null }), json!("none_at_all")),
        same(shape.clone(), json!({ "circle": 1.5 })),
        same(shape.clone(), json!({ "maybe": null })),
        (shape, json!("maybe"), json!({ "maybe": null })),
        same(Type::Enum(cases(&["dark-green"])), json!("dark_green")),
        same(Type::Flags(cases(&["read", "run-as-owner"])), json!(["run_as_owner"])),
        same(result(Some(Type::U8), Some(Type::String)), json!({ "ok": 1 })),
        same(result(Some(Type::U8), Some(Type::String)), json!({ "err": "no" })),
        (result(None, None), json!("ok"), json!({ "ok": null })),
    ] {
        assert_eq!(there_and_back(&ty, &value), Ok(expected), "{} of {value}", ty.wit());
    }
}

#[test]
fn what_is_refused_is_refused_by_its_path() {
    let point = record(&[("x-axis", Type::S32), ("note", option(Type::String))]);
    let shape = variant(&[("empty", None), ("circle", Some(Type::F64))]);
    for (ty, value, expected) in [
        (Type::Bool, json!(1), "params.value: expected bool, got 1"),
        (Type::Bool, json!("true"), "params.value: expected bool, got \"true\""),
        (Type::U8, json!(256), "params.value: expected u8, got 256"),
        (Type::U8, json!(-1), "params.value: expected u8, got -1"),
        (Type::U8, json!(1.5), "params.value: expected u8, got 1.5"),
        (Type::U32, json!("7"), "params.value: expected u32, got \"7\""),
        (Type::U64, json!("18446744073709551616"), "params.value: expected u64, got \"18446744073709551616\""),
        (Type::S64, json!("x"), "params.value: expected s64, got \"x\""),
        (Type::F32, json!(1e300), "params.value: expected f32, got 1e+300"),
        (Type::F64, json!("NaN"), "params.value: expected f64, got \"NaN\""),
        (Type::F64, json!(null), "params.value: expected f64, got null"),
        (Type::Char, json!("ab"), "params.value: expected a single character, got \"ab\""),
        (Type::Char, json!(""), "params.value: expected a single character, got \"\""),
        (Type::String, json!(null), "params.value: expected string, got null"),
        (list(Type::U8), json!("%%"), "params.value: expected base64, got \"%%\""),
        (list(Type::U8), json!([1, 256]), "params.value[1]: expected u8, got 256"),
        (list(Type::U8), json!({}), "params.value: expected list<u8>, got {}"),
        (list(list(Type::U8)), json!(["AA==", [1, "x"]]), "params.value[1][1]: expected u8, got \"x\""),
        (list(Type::S32), json!("AA=="), "params.value: expected list<s32>, got \"AA==\""),
        (Type::Tuple(Arc::from([Type::U8])), json!([1, 2]), "params.value: expected tuple<u8>, got [1,2]"),
        (point.clone(), json!({}), "params.value.x_axis: missing, expected s32"),
        (point.clone(), json!({ "x_axis": 1, "y": 2 }), "params.value.y: unknown key"),
        (point.clone(), json!({ "x-axis": 1 }), "params.value.x_axis: missing, expected s32"),
        (list(point), json!([{ "x_axis": "a" }]), "params.value[0].x_axis: expected s32, got \"a\""),
        (shape.clone(), json!("square"), "params.value: expected one of \"empty\", \"circle\", got \"square\""),
        (shape.clone(), json!("circle"), "params.value.circle: missing, expected f64"),
        (shape.clone(), json!({ "circle": "x" }), "params.value.circle: expected f64, got \"x\""),
        (shape.clone(), json!({ "empty": 1 }), "params.value.empty: expected no payload, got 1"),
        (
            shape,
            json!({ "empty": null, "circle": 1 }),
            "params.value: expected variant as \"case\" or {\"case\": payload}, got {\"empty\":null,\"circle\":1}",
        ),
        (Type::Enum(cases(&["red"])), json!("blue"), "params.value: expected one of \"red\", got \"blue\""),
        (Type::Flags(cases(&["read"])), json!(["read", "x"]), "params.value[1]: expected one of \"read\", got \"x\""),
        (result(None, None), json!("maybe"), "params.value: expected \"ok\" or \"err\", got \"maybe\""),
        (Type::Opaque("stream".into()), json!(1), "params.value: expected stream, got 1"),
    ] {
        assert_eq!(there_and_back(&ty, &value), Err(expected.to_owned()), "{}", ty.wit());
    }
}

#[test]
fn numbers_that_json_has_not_become_null() {
    let function = |ty| Function { result: Some(ty), ..probe(&Type::Bool) };
    use wasmtime::component::Val;
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(lower_result(&function(Type::F64), &[Val::Float64(value)]).unwrap(), "null");
        assert_eq!(lower_result(&function(Type::F32), &[Val::Float32(value as f32)]).unwrap(), "null");
    }
}

#[test]
fn parameters_are_an_object_or_an_array_and_no_more_of_them_than_there_are() {
    let function = probe(&option(Type::U8));
    for params in [json!(null), json!({}), json!([]), json!([null])] {
        assert!(lift_params(&function, params.clone()).is_ok(), "{params}");
    }
    for (params, message) in [
        (json!(7), "params: expected an object or an array, got 7"),
        (json!([1, 2]), "params: probe takes at most 1 parameters, got 2"),
        (json!({ "valeu": 1 }), "params.valeu: unknown key"),
        (json!(["x"]), "params[0]: expected u8, got \"x\""),
    ] {
        assert_eq!(lift_params(&function, params).unwrap_err().message, message);
    }
}

#[test]
fn bytes_inside_other_values_have_a_bound() {
    use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
    use midplane_model::{ErrorCode, limits::DYNAMIC_BYTES_MAX};
    let function = probe(&record(&[("bytes", list(Type::U8))]));
    let of = |length: usize| json!([{ "bytes": BASE64.encode(vec![7; length]) }]);
    assert!(lift_params(&function, of(DYNAMIC_BYTES_MAX)).is_ok());
    let fault = lift_params(&function, of(DYNAMIC_BYTES_MAX + 1)).unwrap_err();
    assert_eq!((fault.code, &fault.details["limit_bytes"]), (ErrorCode::TooLarge, &json!(DYNAMIC_BYTES_MAX)));
    assert!(fault.message.starts_with("params[0].bytes:"), "{fault}");
}
