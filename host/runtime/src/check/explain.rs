//! From the files of a plugin to what can be said about it.

use midplane_model::{PluginName, schema::Interface};
use midplane_router::{interface_methods, interfaces_of_component};

use super::{
    imports::{Imports, missing, unused},
    report::{FunctionReport, GrantReport, Report, ServiceReport},
    types::{definition, named},
};
use crate::{
    authenticating,
    install::PluginFiles,
    lock::GrantSet,
    manifest::Manifest,
    package::{self, document, is_hook},
    routes, tools,
};

/// A report, and the services for comparing them.
pub fn explain(files: &PluginFiles) -> (Report, Vec<Interface>) {
    let (manifest, package) = (&files.manifest, files.package());
    let mut problems = Vec::new();
    let (imports, exports) = match interfaces_of_component(&package.wasm) {
        Ok(read) => (read.imports, read.exports),
        Err(error) => {
            problems.push(format!("{}: {error}", manifest.component));
            (Vec::new(), Vec::new())
        }
    };
    let (hooks, services): (Vec<_>, Vec<_>) = exports.into_iter().partition(is_hook);
    let services = document(services, &package.wit, manifest);
    let links = problems.is_empty()
        && package::links(&package.wasm, imports.clone(), &hooks)
            .map_err(|error| problems.push(error.to_string()))
            .is_ok();
    if links && services.is_empty() && hooks.is_empty() {
        problems.push("it exports nothing that the host could serve or call".to_owned());
    }
    if links {
        problems.extend(authenticating::check(&hooks, manifest).err().map(|error| error.to_string()));
    }
    problems.extend(routes::check(&manifest.routes, &services).err().map(|error| error.to_string()));
    problems.extend(tools::check(&manifest.tools, &manifest.name, &services).err().map(|error| error.to_string()));
    problems.extend(unknown_scopes(manifest, &services));
    let asks = GrantSet::of(&manifest.grants);
    let report = Report {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        description: manifest.description.clone(),
        sha256: package.digest(),
        component: manifest.component.clone(),
        component_bytes: package.wasm.len(),
        services: services.iter().map(|interface| service(&manifest.name, interface)).collect(),
        hooks: hooks.iter().map(|hook| hook.id.to_string()).collect(),
        dependencies: manifest.dependencies.iter().map(|(name, range)| (name.to_string(), range.to_string())).collect(),
        grants: GrantReport { missing: missing(&imports, &asks), unused: unused(&imports, &asks), asks },
        config: manifest.config.settings(),
        imports: Imports::of(&imports),
        links,
        problems,
        against: None,
    };
    (report, services)
}

fn service(plugin: &PluginName, interface: &Interface) -> ServiceReport {
    let functions = interface_methods(&plugin.prefix(), interface).into_iter().map(|(method, function)| {
        FunctionReport { method: method.to_string(), signature: function.signature(), docs: function.docs.clone() }
    });
    ServiceReport {
        interface: interface.id.to_string(),
        docs: interface.docs.clone(),
        types: named(interface).values().map(definition).collect(),
        functions: functions.collect(),
    }
}

/// Scopes of functions that nobody could call.
fn unknown_scopes(manifest: &Manifest, services: &[Interface]) -> Vec<String> {
    let known = |name: &str| services.iter().any(|service| service.functions.iter().any(|f| &*f.name.json == name));
    let unknown = manifest.scopes.keys().filter(|name| !known(name));
    unknown.map(|name| format!("plugin.toml: scopes.{name}: no service has a function of this name")).collect()
}
