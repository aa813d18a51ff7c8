//! The doors through which a stranger's bytes come in, for the fuzz targets in `fuzz/` and for the inputs that they have
//! found, which the tests below run again. Each function may be given anything, and panics only where the host would be wrong.
//! Part of the crate only under `cfg(fuzzing)` and in tests.

mod schema;
mod source;

use midplane_model::schema::{Function, Type};
use midplane_router::{describe_interface, interface_methods, interfaces_of_component, interfaces_of_packages};
use serde_json::Value;

use crate::{contract, convert, manifest::Manifest};
use source::Source;

/// The text of a `plugin.toml`.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Manifest::parse(text) {
        Ok(manifest) => {
            assert!(serde_json::from_str::<Value>(&manifest.config.text).is_ok(), "what config.get gives is JSON");
            assert!(!manifest.component.contains('/'), "the component stays beside the manifest");
            assert!(manifest.config.settings().iter().all(|setting| !setting.expects.is_empty()));
            let limits = &manifest.limits;
            assert!(limits.queue > 0 && limits.memory_bytes > 0 && limits.max_concurrency > 0);
        }
        Err(error) => assert!(error.to_string().contains("plugin.toml"), "an error names the file"),
    }
}

/// A type, and JSON for it: some that fits by the first half of the bytes, and whatever the second half is.
pub fn lifting(bytes: &[u8]) {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut source = Source::new(first);
    let ty = schema::ty(&mut source);
    let fitting = schema::value(&mut source, &ty);
    assert_eq!(there_and_back(&ty, &fitting).as_ref(), Some(&fitting), "{}", ty.wit());
    if let Ok(any) = serde_json::from_slice(second)
        && let Some(once) = there_and_back(&ty, &any)
    {
        assert_eq!(there_and_back(&ty, &once), Some(once.clone()), "{any} became {once} as {}", ty.wit());
    }
}

/// What becomes of a value on its way into a component and out again; none when it does not fit.
fn there_and_back(ty: &Type, value: &Value) -> Option<Value> {
    let function = schema::identity(ty);
    let values = convert::lift_params(&function, Value::Array(vec![value.clone()])).ok()?;
    let result = [wasmtime::component::Val::Tuple(values)];
    let text = convert::lower_result(&function, &result).unwrap_or_else(|fault| panic!("lifted, not lowered: {fault}"));
    let mut items: Vec<Value> =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text} is no JSON: {error}"));
    items.pop()
}

/// A component, or the text of a WIT file beside one: everything that is read of it before it is compiled.
pub fn inspection(bytes: &[u8]) {
    let interfaces = if bytes.starts_with(b"\0asm") {
        interfaces_of_component(bytes).map(|found| [found.imports, found.exports].concat())
    } else {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let mut packages: Vec<Vec<(&str, &str)>> = vec![vec![("a.wit", text)]];
        packages.extend(contract::wit().map(|wit| wit.iter().map(|(name, text)| (*name, *text)).collect()));
        interfaces_of_packages(&packages)
    };
    for interface in interfaces.iter().flatten() {
        assert!(describe_interface(interface).is_object());
        _ = contract::check("imports", interface);
        for (_, function) in interface_methods("plugin", interface) {
            assert!(!function.signature().is_empty());
            // Types that do not cross the boundary are like nothing, not even themselves.
            _ = function.same_shape(&function);
            missing_parameters(&function);
        }
    }
}

/// A call without parameters is refused or lifted, whatever the types.
fn missing_parameters(function: &Function) {
    let lifted = convert::lift_params(function, Value::Null);
    assert!(lifted.is_err() || lifted.is_ok_and(|values| values.len() == function.params.len()));
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::any, prop_assert_eq, proptest};

    use super::*;

    include!("../../../../fuzz/run_again.rs");

    #[test]
    fn manifests_that_were_found_do_no_harm() {
        run_again("manifest", manifest);
    }

    #[test]
    fn values_that_were_found_do_no_harm() {
        run_again("lifting", lifting);
    }

    #[test]
    fn components_that_were_found_do_no_harm() {
        run_again("inspection", inspection);
    }

    proptest! {
        #[test]
        fn what_is_lifted_and_lowered_is_what_it_was(bytes in vec(any::<u8>(), 0..2048)) {
            let mut source = Source::new(&bytes);
            let ty = schema::ty(&mut source);
            let value = schema::value(&mut source, &ty);
            prop_assert_eq!(there_and_back(&ty, &value), Some(value));
        }

        #[test]
        fn whatever_json_comes_is_lifted_or_refused_with_its_path(bytes in vec(any::<u8>(), 0..256), of_another in vec(any::<u8>(), 0..256)) {
            let ty = schema::ty(&mut Source::new(&bytes));
            let mut other = Source::new(&of_another);
            let other_type = schema::ty(&mut other);
            let value = schema::value(&mut other, &other_type);
            if let Err(fault) = convert::lift_params(&schema::identity(&ty), Value::Array(vec![value])) {
                let path = fault.details.get("path").and_then(Value::as_str).unwrap_or_default();
                assert!(path.starts_with("params[0]") && fault.message.starts_with(path), "{fault:?}");
            }
        }
    }
}
