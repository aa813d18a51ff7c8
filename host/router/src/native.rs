//! Services of the host itself: described by WIT like every other, served by a closure.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use midplane_model::{
    BoxFuture, Call, CallContext, Fault, Reply, Scope, ToolTraits,
    schema::{Function, Interface},
};
use serde_json::{Map, Value};

use crate::{
    accept::{Path, accept_fields},
    registry::{Method, Owner, Router, Service},
    wit::{WitError, interface_methods, interfaces_of_packages},
};

/// Serves a native interface: function name in snake_case, parameters by name (all required ones are there and fit their
/// types, no unknown one is), context of the call.
pub type Handler = Arc<dyn Fn(&str, Params, CallContext) -> BoxFuture<'static, Result<Value, Fault>> + Send + Sync>;

/// Parameters by name, read by type. Errors name the path.
#[derive(Debug, Default)]
pub struct Params(Map<String, Value>);

impl Params {
    /// Takes a parameter as a type that deserialises; a missing or null one is null (none of an `Option`).
    ///
    /// # Errors
    /// `invalid_params` with the path.
    pub fn take<T: serde::de::DeserializeOwned>(&mut self, name: &str) -> Result<T, Fault> {
        let value = self.0.remove(name).unwrap_or(Value::Null);
        serde_json::from_value(value).map_err(|error| {
            let path = format!("params.{name}");
            Fault::invalid_params(&path, format!("{path}: {error}"))
        })
    }
}

/// An interface of the host's own services by its name. The WIT inside the program is read once, by whoever asks first.
///
/// # Errors
/// The program was built from WIT that does not fit, which the tests exclude.
pub fn native_interface(name: &'static str) -> Result<Interface, WitError> {
    static INTERFACES: OnceLock<Result<Vec<Interface>, WitError>> = OnceLock::new();
    let read = || {
        interfaces_of_packages(&[
            vec![("types.wit", include_str!("../../../wit/host/types.wit"))],
            vec![("native.wit", include_str!("../../../wit/native/native.wit"))],
        ])
    };
    let interfaces = INTERFACES.get_or_init(read).as_ref().map_err(Clone::clone)?;
    let found = interfaces.iter().find(|interface| &*interface.name == name);
    found.cloned().ok_or(WitError::FindNative { name })
}

/// Registers every function of `interface` under the native owner that bears its name. A function needs the scope that
/// `scopes` gives for it, else `read`; those that `tools` names are offered to agents.
pub fn register_native(
    router: &Router,
    interface: Interface,
    scopes: &[(&str, Scope)],
    tools: &[(&str, ToolTraits)],
    handler: Handler,
) {
    let owner = Owner::Native(interface.name.clone());
    let scopes: BTreeMap<&str, &Scope> = scopes.iter().map(|(name, scope)| (*name, scope)).collect();
    let interface = Arc::new(interface);
    let service: Arc<dyn Service> = Arc::new(Native { handler });
    let methods = interface_methods(&interface.name, &interface).into_iter().map(|(name, function)| Method {
        name,
        owner: owner.clone(),
        interface: interface.clone(),
        scope: scopes.get(&*function.name.json).map_or(Scope::Read, |scope| (*scope).clone()),
        tool: tools.iter().find(|(name, _)| *name == &*function.name.json).map(|(_, traits)| *traits),
        function,
        service: service.clone(),
        routes: Vec::new(),
    });
    router.register(&owner, methods.collect());
}

struct Native {
    handler: Handler,
}

impl Service for Native {
    fn call(&self, method: &Arc<Method>, call: Call) -> BoxFuture<'static, Result<Reply, Fault>> {
        let params = match by_name(&method.function, call.params) {
            Ok(params) => params,
            Err(fault) => return Box::pin(std::future::ready(Err(fault))),
        };
        if !call.context.effects.begin() {
            return Box::pin(std::future::ready(Err(call.context.deadline.fault())));
        }
        let answer = (self.handler)(&method.function.name.json, params, call.context);
        Box::pin(async move { Reply::of(&answer.await?) })
    }
}

/// Brings positional parameters into the form by name, and checks each against its type.
fn by_name(function: &Function, params: Value) -> Result<Params, Fault> {
    let named: Map<String, Value> = match params {
        Value::Null => Map::new(),
        Value::Object(named) => named,
        Value::Array(items) if items.len() <= function.params.len() => {
            function.params.iter().map(|param| param.name.json.to_string()).zip(items).collect()
        }
        Value::Array(items) => {
            let (name, most) = (&function.name.json, function.params.len());
            return Err(Path::Params.fault(format_args!("{name} takes at most {most} parameters, got {}", items.len())));
        }
        _ => return Err(Path::Params.fault("expected an object or an array")),
    };
    accept_fields(&Path::Params, function.params.iter().map(|param| (&param.name, &param.ty)), named).map(Params)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WIT: &str = r"
        package test:native@0.1.0;
        interface probe {
            type json = string;
            enum mode { read-only, all }
            record range { start: u32, end: option<u32> }
            run: func(names: list<string>, at: option<range>, mode: option<mode>, seq: option<u64>, any: option<json>);
        }
    ";

    fn accepted(params: Value) -> Result<Value, String> {
        let interface = interfaces_of_packages(&[vec![("probe.wit", WIT)]]).unwrap().remove(0);
        by_name(&interface.functions[0], params).map(|params| params.0.into()).map_err(|fault| fault.message)
    }

    #[test]
    fn positions_become_names_and_absent_options_are_left_out() {
        assert_eq!(accepted(json!([["a"], null, "read_only"])), Ok(json!({"names": ["a"], "mode": "read_only"})));
        assert_eq!(
            accepted(json!({"names": [], "seq": "9007199254740993"})),
            Ok(json!({"names": [], "seq": 9_007_199_254_740_993_u64}))
        );
    }

    #[test]
    fn errors_name_the_path_of_what_does_not_fit() {
        let message = |params| accepted(params).unwrap_err();
        assert_eq!(message(json!({"names": ["a", 5]})), "params.names[1]: expected string, got 5");
        assert_eq!(message(json!({"names": [], "at": {"start": -1}})), "params.at.start: expected u32, got -1");
        assert_eq!(message(json!({"names": [], "at": {"start": 1, "x": 1}})), "params.at.x: unknown key");
        assert_eq!(
            message(json!({"names": [], "mode": "some"})),
            r#"params.mode: expected one of "read_only", "all", got "some""#
        );
        assert_eq!(message(json!({"names": [], "seq": 1.5})), "params.seq: expected u64, got 1.5");
        assert_eq!(message(json!({})), "params.names: missing, expected list<string>");
        assert_eq!(message(json!({"names": [], "other": 1})), "params.other: unknown key");
        assert_eq!(message(json!([[], null, null, null, null, 1])), "params: run takes at most 5 parameters, got 6");
    }
}
