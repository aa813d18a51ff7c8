//! What is offered to agents as tools, derived from the registry with the schemas that OpenRPC and OpenAPI have.

use std::sync::Arc;

use midplane_model::{
    limits::TOOL_NAME_CHARS_MAX,
    schema::{Function, Type},
};
use serde_json::{Map, Value};

use crate::{
    describe::{param_schemas, result_schema},
    registry::{Method, Methods},
};

/// One method as a tool.
pub struct Tool {
    pub name: String,
    pub method: Arc<Method>,
    /// JSON Schema of the arguments, by name.
    pub input: Map<String, Value>,
    /// JSON Schema of the result; none where the function returns nothing, or content blocks.
    pub output: Option<Map<String, Value>>,
}

/// All tools, by name.
#[must_use]
pub fn tools(methods: &Methods) -> Vec<Tool> {
    let offered = methods.values().filter(|method| method.tool.is_some());
    let mut tools: Vec<Tool> = offered.map(tool).collect();
    tools.sort_by(|a, b| a.name.cmp(&b.name));
    tools
}

fn tool(method: &Arc<Method>) -> Tool {
    let result = result_schema(&method.function);
    let no_value = result["type"] == "null" || method.tool.is_some_and(|traits| traits.content);
    Tool {
        name: tool_name(&method.name),
        input: object(param_schemas(&method.function)),
        output: (!no_value).then(|| object(result)),
        method: method.clone(),
    }
}

fn object(schema: Value) -> Map<String, Value> {
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

/// The name of a method as a tool. Dots, which models' providers do not allow, are not in it: the first `_` ends the owner's name,
/// whose own are written `-`, and a `-` behind it ends the interface's. So no two methods have the same.
#[must_use]
pub fn tool_name(method: &str) -> String {
    match method.split_once('.') {
        Some((owner, rest)) => format!("{}_{}", owner.replace('_', "-"), rest.replace('.', "-")),
        None => method.to_owned(),
    }
}

/// Whether a function can be offered as a tool under the name of this method.
///
/// # Errors
/// A sentence that says why it cannot.
pub fn check_tool(method: &str, function: &Function) -> Result<(), String> {
    let name = tool_name(method);
    if name.len() > TOOL_NAME_CHARS_MAX {
        return Err(format!("its name as a tool, {name:?}, is longer than {TOOL_NAME_CHARS_MAX} characters"));
    }
    match function.params.iter().find(|param| !crosses(&param.ty)) {
        Some(param) => Err(format!("{} of {method} cannot be given as JSON", param.name.json)),
        None => Ok(()),
    }
}

/// Whether a value of this type can be given from outside.
fn crosses(ty: &Type) -> bool {
    match ty {
        Type::Opaque(_) => false,
        Type::List(ty) | Type::Option(ty) => crosses(ty),
        Type::Result { ok, err } => ok.iter().chain(err).all(|ty| crosses(ty)),
        Type::Tuple(types) => types.iter().all(crosses),
        Type::Record(record) => record.fields.iter().all(|field| crosses(&field.ty)),
        Type::Variant(variant) => variant.cases.iter().filter_map(|case| case.ty.as_ref()).all(crosses),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces_of_packages;

    #[test]
    fn methods_that_differ_have_names_that_differ() {
        let pairs = [
            ("files.read", "files_read"),
            ("workspace.open_file", "workspace_open_file"),
            ("my_plugin.check", "my-plugin_check"),
            ("my.plugin_check", "my_plugin_check"),
            ("my.plugin.check", "my_plugin-check"),
        ];
        for (method, name) in pairs {
            assert_eq!(tool_name(method), name);
        }
    }

    #[test]
    fn what_no_json_stands_for_is_no_tool() {
        let wit =
            "package a:b; interface c { resource r; plain: func(a: list<u8>); closed: func(a: list<borrow<r>>); }";
        let interface = interfaces_of_packages(&[vec![("a.wit", wit)]]).unwrap().remove(0);
        let check = |name: &str, method: &str| {
            let function = interface.functions.iter().find(|function| &*function.name.json == name).unwrap();
            check_tool(method, function)
        };
        assert_eq!(check("plain", "b.c.plain"), Ok(()));
        assert_eq!(check("closed", "b.c.closed"), Err("a of b.c.closed cannot be given as JSON".into()));
        assert!(check("plain", &format!("b.c.{}", "x".repeat(TOOL_NAME_CHARS_MAX))).unwrap_err().contains("longer"));
    }
}
