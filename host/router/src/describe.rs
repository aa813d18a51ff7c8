//! Documents derived from the registry: JSON Schema of types, OpenRPC of the whole, descriptions of interfaces.

use midplane_model::schema::{Function, Interface, Label, Type};
use serde_json::{Map, Value, json};

use crate::registry::{Method, Methods, Owner};

/// JSON Schema (draft 2020-12) of a type as it looks outside the component (contract, section 3).
#[must_use]
pub fn json_schema(ty: &Type) -> Value {
    let integer = |min: i64, max: i64| json!({"type": "integer", "minimum": min, "maximum": max});
    match ty {
        Type::Bool => json!({"type": "boolean"}),
        Type::S8 => integer(i8::MIN.into(), i8::MAX.into()),
        Type::U8 => integer(0, u8::MAX.into()),
        Type::S16 => integer(i16::MIN.into(), i16::MAX.into()),
        Type::U16 => integer(0, u16::MAX.into()),
        Type::S32 => integer(i32::MIN.into(), i32::MAX.into()),
        Type::U32 => integer(0, u32::MAX.into()),
        Type::S64 => json!({"type": ["integer", "string"], "pattern": "^-?[0-9]{1,19}$"}),
        Type::U64 => json!({"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]{1,20}$"}),
        Type::F32 | Type::F64 => json!({"type": "number"}),
        Type::Char => json!({"type": "string", "minLength": 1, "maxLength": 1}),
        Type::String => json!({"type": "string"}),
        Type::Json => json!({}),
        Type::List(item) if matches!(**item, Type::U8) => json!({"type": "string", "contentEncoding": "base64"}),
        Type::List(item) => json!({"type": "array", "items": json_schema(item)}),
        Type::Option(some) => json!({"anyOf": [json_schema(some), {"type": "null"}]}),
        Type::Result { ok, err } => json!({"oneOf": [
            case_schema("ok", ok.as_deref()),
            case_schema("err", err.as_deref()),
        ]}),
        Type::Tuple(types) => {
            let items: Vec<Value> = types.iter().map(json_schema).collect();
            json!({"type": "array", "prefixItems": items, "items": false, "minItems": types.len()})
        }
        Type::Record(record) => {
            let fields = record.fields.iter().map(|f| (&f.name, &f.ty, f.docs.as_deref()));
            titled(object_schema(fields), record.name.as_deref(), record.docs.as_deref())
        }
        Type::Variant(variant) => {
            let cases: Vec<Value> = variant
                .cases
                .iter()
                .map(|case| match &case.ty {
                    Some(ty) => case_schema(&case.name.json, Some(ty)),
                    None => json!({"const": case.name.json}),
                })
                .collect();
            titled(json!({"oneOf": cases}), variant.name.as_deref(), variant.docs.as_deref())
        }
        Type::Enum(cases) => {
            titled(json!({"enum": labels(&cases.names)}), cases.name.as_deref(), cases.docs.as_deref())
        }
        Type::Flags(cases) => {
            let schema = json!({"type": "array", "items": {"enum": labels(&cases.names)}, "uniqueItems": true});
            titled(schema, cases.name.as_deref(), cases.docs.as_deref())
        }
        Type::Opaque(what) => json!({"not": {}, "description": format!("{what} does not cross the public boundary")}),
    }
}

fn labels(names: &[Label]) -> Vec<&str> {
    names.iter().map(|label| &*label.json).collect()
}

fn case_schema(name: &str, ty: Option<&Type>) -> Value {
    let payload = ty.map_or_else(|| json!({"type": "null"}), json_schema);
    json!({"type": "object", "properties": {name: payload}, "required": [name], "additionalProperties": false})
}

fn titled(mut schema: Value, title: Option<&str>, docs: Option<&str>) -> Value {
    if let Some(title) = title {
        schema["title"] = title.into();
    }
    if let Some(docs) = docs {
        schema["description"] = docs.into();
    }
    schema
}

pub(crate) fn object_schema<'a>(fields: impl Iterator<Item = (&'a Label, &'a Type, Option<&'a str>)>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, ty, docs) in fields {
        let schema = match docs {
            Some(docs) => titled(json_schema(ty), None, Some(docs)),
            None => json_schema(ty),
        };
        properties.insert(name.json.to_string(), schema);
        if !matches!(ty, Type::Option(_)) {
            required.push(Value::from(&*name.json));
        }
    }
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// JSON Schema of a function's parameters as an object by name.
#[must_use]
pub fn param_schemas(function: &Function) -> Value {
    object_schema(function.params.iter().map(|p| (&p.name, &p.ty, None)))
}

/// The schema of what a successful call returns: the `ok` of a result, else the value.
pub(crate) fn result_schema(function: &Function) -> Value {
    match &function.result {
        Some(Type::Result { ok, .. }) => ok.as_deref().map_or_else(|| json!({"type": "null"}), json_schema),
        Some(ty) => json_schema(ty),
        None => json!({"type": "null"}),
    }
}

/// The OpenRPC 1.3 document of everything that can be called.
#[must_use]
pub fn openrpc(methods: &Methods, version: &str) -> Value {
    let methods: Vec<Value> = methods
        .values()
        .map(|method| {
            let function = &method.function;
            let params: Vec<Value> = function
                .params
                .iter()
                .map(|p| {
                    let required = !matches!(p.ty, Type::Option(_));
                    json!({"name": p.name.json, "required": required, "schema": json_schema(&p.ty)})
                })
                .collect();
            json!({
                "name": method.name,
                "summary": summary(function),
                "description": function.docs.as_deref().unwrap_or_default(),
                "tags": [{"name": owner_name(method)}],
                "paramStructure": "either",
                "params": params,
                "result": {"name": "result", "schema": result_schema(function)},
                "x-wit": {"interface": method.interface.id, "function": function.signature()},
                "x-scope": method.scope.to_string(),
            })
        })
        .collect();
    json!({
        "openrpc": "1.3.2",
        "info": {"title": "Midplane", "version": version},
        "methods": methods,
    })
}

/// Who serves a method.
pub(crate) fn owner_name(method: &Method) -> &str {
    match &method.owner {
        Owner::Native(name) => name,
        Owner::Plugin(name) => name.as_str(),
    }
}

/// The first line of the docs.
pub(crate) fn summary(function: &Function) -> &str {
    function.docs.as_deref().and_then(|docs| docs.lines().next()).unwrap_or_default()
}

/// An interface with its functions, types and docs, for `plugin.get`.
#[must_use]
pub fn describe_interface(interface: &Interface) -> Value {
    let functions: Vec<Value> = interface
        .functions
        .iter()
        .map(|function| {
            json!({
                "name": function.name.json,
                "wit": function.signature(),
                "docs": function.docs,
                "params": param_schemas(function),
                "result": result_schema(function),
            })
        })
        .collect();
    json!({"id": interface.id, "docs": interface.docs, "functions": functions})
}
