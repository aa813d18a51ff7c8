//! The OpenAPI 3.1 document of everything that has a path, derived from the registry.

use std::collections::BTreeSet;

use midplane_model::schema::{Param, Type};
use serde_json::{Map, Value, json};

use crate::{
    describe::{json_schema, object_schema, owner_name, result_schema, summary},
    registry::{Method, Methods},
    rest::{REST_PREFIX, Route, Template, Verb},
};

/// The document. A method without a route of its own appears under the path that every method has.
#[must_use]
pub fn openapi(methods: &Methods, version: &str) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    let mut put = |path: String, verb: Verb, operation: Value| {
        let item = paths.entry(path).or_insert_with(|| Value::Object(Map::new()));
        item[verb.as_str().to_ascii_lowercase()] = operation;
    };
    for method in methods.values() {
        for (index, route) in method.routes.iter().enumerate() {
            let path = format!("{}{}", REST_PREFIX.trim_end_matches('/'), route.template);
            put(path, route.verb, operation(method, route, index));
        }
        if method.routes.is_empty() {
            put(format!("{REST_PREFIX}methods/{}", method.name), Verb::Post, call(method));
        }
    }
    let tags: BTreeSet<&str> = methods.values().map(|method| owner_name(method)).collect();
    let tags: Vec<Value> = tags.into_iter().map(|name| json!({"name": name})).collect();
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Midplane", "version": version},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Problem": problem_schema()},
        },
    })
}

fn operation(method: &Method, route: &Route, index: usize) -> Value {
    let (in_path, rest): (Vec<&Param>, Vec<&Param>) =
        method.function.params.iter().partition(|param| is_in_path(&route.template, param));
    let mut parameters: Vec<Value> = in_path.into_iter().map(|param| parameter("path", param)).collect();
    let mut operation = described(method, index, route.status);
    if route.raw {
        parameters.extend(rest.into_iter().map(|param| parameter("query", param)));
        if route.verb.has_body() {
            operation["requestBody"] = json!({"required": true, "content": bytes()});
        } else {
            operation["responses"] = bytes_as_answer(method, route);
        }
    } else if route.verb.has_body() {
        if !rest.is_empty() {
            operation["requestBody"] = body(&rest);
        }
    } else {
        parameters.extend(rest.into_iter().map(|param| parameter("query", param)));
    }
    if route.verb == Verb::Get && has_version(method) {
        operation["responses"]["304"] = json!({"description": "The client has this version."});
    }
    if route.verb == Verb::Put && tells_whether_created(method) {
        let mut created = operation["responses"][route.status.to_string()].clone();
        created["description"] = "The result; there was nothing before.".into();
        operation["responses"]["201"] = created;
    }
    operation["parameters"] = parameters.into();
    operation
}

fn bytes() -> Value {
    json!({"*/*": {"schema": {}}})
}

/// The client gets no result of the function. Bytes that have a version are a file's, of which parts can be asked for; others are
/// made while they are sent.
fn bytes_as_answer(method: &Method, route: &Route) -> Value {
    let mut responses = json!({
        route.status.to_string(): {"description": "The bytes.", "content": bytes()},
        "default": problem("What went wrong."),
    });
    if has_version(method) {
        responses["206"] = json!({"description": "A range of them.", "content": bytes()});
        responses["416"] = problem("No byte is in that range.");
    }
    responses
}

fn problem(description: &str) -> Value {
    let content = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    json!({"description": description, "content": content})
}

/// `POST /api/v1/methods/{method}`.
fn call(method: &Method) -> Value {
    let mut operation = described(method, 0, 200);
    let params: Vec<&Param> = method.function.params.iter().collect();
    if !params.is_empty() {
        operation["requestBody"] = body(&params);
    }
    operation
}

fn described(method: &Method, index: usize, status: u16) -> Value {
    let suffix = if index == 0 { String::new() } else { format!(".{}", index + 1) };
    let schema = result_schema(&method.function);
    let responses = if schema == json!({"type": "null"}) {
        json!({"204": {"description": "Done."}})
    } else {
        let content = json!({"application/json": {"schema": schema}});
        json!({status.to_string(): {"description": "The result.", "content": content}})
    };
    let mut operation = json!({
        "operationId": format!("{}{suffix}", method.name),
        "summary": summary(&method.function),
        "description": method.function.docs.as_deref().unwrap_or_default(),
        "tags": [owner_name(method)],
        "responses": responses,
        "x-scope": method.scope.to_string(),
    });
    operation["responses"]["default"] = problem("What went wrong.");
    operation
}

fn is_in_path(template: &Template, param: &Param) -> bool {
    template.parameters().any(|name| *name == *param.name.json)
}

fn parameter(place: &str, param: &Param) -> Value {
    let (inner, optional) = match &param.ty {
        Type::Option(some) => (&**some, true),
        ty => (ty, false),
    };
    let mut parameter = json!({"name": param.name.json, "in": place, "required": place == "path" || !optional});
    let schema = json_schema(inner);
    let as_words = match inner {
        Type::List(item) => !matches!(**item, Type::List(_) | Type::Record(_) | Type::Variant(_) | Type::Json),
        Type::Record(_) | Type::Variant(_) | Type::Tuple(_) | Type::Result { .. } | Type::Json => false,
        _ => true,
    };
    if as_words {
        parameter["schema"] = schema;
    } else {
        parameter["content"] = json!({"application/json": {"schema": schema}});
    }
    parameter
}

fn body(params: &[&Param]) -> Value {
    let required = params.iter().any(|param| !matches!(param.ty, Type::Option(_)));
    let schema = object_schema(params.iter().map(|param| (&param.name, &param.ty, None)));
    json!({"required": required, "content": {"application/json": {"schema": schema}}})
}

/// Whether the result carries a version, which is its entity tag.
fn has_version(method: &Method) -> bool {
    let is_version = |ty: &Type| match ty {
        Type::Option(some) => matches!(**some, Type::String),
        ty => matches!(ty, Type::String),
    };
    has_field(method, "version", is_version)
}

/// Whether the result says if there was something before, which is a status of its own for `PUT` (RFC 9110, section 9.3.4).
fn tells_whether_created(method: &Method) -> bool {
    has_field(method, "created", |ty| matches!(ty, Type::Bool))
}

fn has_field(method: &Method, name: &str, fits: impl Fn(&Type) -> bool) -> bool {
    let ok = match &method.function.result {
        Some(Type::Result { ok, .. }) => ok.as_deref(),
        ty => ty.as_ref(),
    };
    matches!(ok, Some(Type::Record(record)) if record.fields.iter().any(|f| &*f.name.json == name && fits(&f.ty)))
}

/// RFC 9457, with the members of the contract's section 6.
fn problem_schema() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "retryable"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "Fit to be shown to a person."},
            "code": {"type": "string", "description": "Stable: what a program branches on."},
            "retryable": {"type": "boolean"},
            "retry_after_ms": {"type": "integer"},
            "details": {"type": "object"},
        },
    })
}
