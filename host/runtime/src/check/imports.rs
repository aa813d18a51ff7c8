//! What a component imports, sorted by who must satisfy it, and the grants that follow from it. Pure.

use midplane_model::schema::Interface;
use serde::Serialize;

use crate::lock::GrantSet;

const HOST: &str = "midplane:host/";
const WASI: &str = "wasi:";

/// Imported interfaces by full id.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Imports {
    /// Of the host's own contract.
    pub host: Vec<String>,
    pub wasi: Vec<String>,
    /// Of other plugins: `(interface, functions)`.
    pub plugins: Vec<PluginImport>,
}

#[derive(Debug, Clone, Serialize)]
pub struct PluginImport {
    pub interface: String,
    /// Signatures of the functions that it uses.
    pub functions: Vec<String>,
}

impl Imports {
    #[must_use]
    pub fn of(imports: &[Interface]) -> Self {
        let mut sorted = Self::default();
        for import in imports {
            let id = import.id.to_string();
            if id.starts_with(HOST) {
                sorted.host.push(id);
            } else if id.starts_with(WASI) {
                sorted.wasi.push(id);
            } else if !import.functions.is_empty() {
                // Without functions only types are shared, and nobody has to serve those.
                let functions = import.functions.iter().map(|function| function.signature()).collect();
                sorted.plugins.push(PluginImport { interface: id, functions });
            }
        }
        sorted
    }
}

/// An import that is of use only with a grant.
struct Use {
    /// Beginning of the interface's id, without version.
    interface: &'static str,
    /// One function of it; none for any.
    function: Option<&'static str>,
    kind: &'static str,
    /// Without the grant every use is denied. Else only some are, and what they are shows at run time.
    always: bool,
}

const fn any(interface: &'static str, kind: &'static str, always: bool) -> Use {
    Use { interface, function: None, kind, always }
}

const fn one(interface: &'static str, function: &'static str, kind: &'static str, always: bool) -> Use {
    Use { interface, function: Some(function), kind, always }
}

/// A plugin publishes and subscribes below its own prefix without a grant, and every guest of a WASI toolchain imports files and
/// environment whether its author wants them or not.
const USES: &[Use] = &[
    any("midplane:host/files", "files", true),
    any("midplane:host/watch", "files", true),
    any("midplane:host/terminals", "terminals", true),
    any("midplane:host/attachments", "terminals", true),
    any("midplane:host/shells", "terminals", true),
    any("midplane:host/recordings", "terminals", true),
    any("midplane:host/processes", "processes", true),
    one("midplane:host/services", "call", "methods", true),
    one("midplane:host/events", "publish", "publish", false),
    one("midplane:host/events", "subscribe", "subscribe", false),
    any("wasi:http/outgoing-handler", "http", true),
    any("wasi:filesystem/", "files", false),
    any("wasi:cli/environment", "env", false),
];

impl Use {
    fn is_made_by(&self, import: &Interface) -> bool {
        let id = import.id.split('@').next().unwrap_or_default();
        let same = if self.interface.ends_with('/') { id.starts_with(self.interface) } else { id == self.interface };
        let has = |name: &str| import.functions.iter().any(|function| &*function.name.wit == name);
        same && self.function.is_none_or(has)
    }
}

/// A grant that an import needs and that the manifest does not ask for.
#[derive(Debug, PartialEq, Serialize)]
pub struct Missing {
    pub grant: String,
    pub import: String,
}

/// Grants without which an import is useless, one a kind.
#[must_use]
pub fn missing(imports: &[Interface], asked: &GrantSet) -> Vec<Missing> {
    let mut missing: Vec<Missing> = Vec::new();
    for needed in USES.iter().filter(|needed| needed.always && !asked.has(needed.kind)) {
        if let Some(import) = imports.iter().find(|import| needed.is_made_by(import))
            && !missing.iter().any(|known| known.grant == needed.kind)
        {
            missing.push(Missing { grant: needed.kind.to_owned(), import: import.id.to_string() });
        }
    }
    missing
}

/// Kinds of grants that the manifest asks for and no import could use.
#[must_use]
pub fn unused(imports: &[Interface], asked: &GrantSet) -> Vec<String> {
    let judged = |kind: &&str| USES.iter().any(|needed| needed.kind == *kind);
    let used = |kind: &str| {
        USES.iter().any(|needed| needed.kind == kind && imports.iter().any(|import| needed.is_made_by(import)))
    };
    asked.kinds().filter(judged).filter(|kind| !used(kind)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use midplane_model::schema::{Function, Label};
    use serde_json::json;

    use super::*;

    fn import(id: &str, functions: &[&str]) -> Interface {
        let function = |name: &&str| {
            Function { name: Label::new(name), docs: None, params: Vec::new(), result: None, is_async: false }.into()
        };
        Interface { id: id.into(), name: id.into(), docs: None, functions: functions.iter().map(function).collect() }
    }

    fn grants(imports: &[Interface], asked: serde_json::Value) -> (Vec<String>, Vec<String>) {
        let asked = serde_json::from_value(asked).unwrap();
        (missing(imports, &asked).into_iter().map(|missing| missing.grant).collect(), unused(imports, &asked))
    }

    #[test]
    fn grants_follow_from_imports() {
        let (none, files, methods) = (Vec::<String>::new(), vec!["files".to_owned()], vec!["methods".to_owned()]);
        let call = [import("midplane:host/services@0.2.0", &["call"])];
        let look = [import("midplane:host/services@0.2.0", &["methods"])];
        let read = [import("midplane:host/files@0.2.0", &["read"]), import("midplane:host/watch@0.2.0", &["set"])];
        let publish = [import("midplane:host/events@0.2.0", &["publish"])];
        let wasi = [import("wasi:filesystem/types@0.2.9", &["x"]), import("wasi:cli/environment@0.2.9", &["y"])];
        for (imports, asked, expected) in [
            (&call[..], json!({}), (methods.clone(), none.clone())),
            (&call, json!({"methods": ["a.b"]}), (none.clone(), none.clone())),
            (&look, json!({"methods": ["a.b"]}), (none.clone(), methods)),
            (&read, json!({}), (files.clone(), none.clone())),
            (&publish, json!({}), (none.clone(), none.clone())),
            (&publish, json!({"publish": ["a.b"]}), (none.clone(), none.clone())),
            (&publish, json!({"subscribe": ["a.b"]}), (none.clone(), vec!["subscribe".into()])),
            (&wasi, json!({}), (none.clone(), none.clone())),
            (&wasi, json!({"files": [{}], "env": ["LANG"]}), (none.clone(), none.clone())),
            (&[], json!({"files": [{}], "moon": true}), (none.clone(), files)),
        ] {
            assert_eq!(grants(imports, asked.clone()), expected, "{asked}");
        }
    }
}
