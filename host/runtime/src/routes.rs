//! The REST routes that a manifest declares: `[[routes]]`.

use midplane_model::{
    PluginName,
    schema::{Function, Interface},
};
use midplane_router::{Route, Template, Verb};
use serde::Deserialize;

use crate::{
    manifest::{ManifestError, wrong},
    meant,
};

/// One way to a function.
#[derive(Debug, Clone)]
pub struct DeclaredRoute {
    pub route: Route,
    /// A function in snake_case; `interface.function` where two interfaces have one of that name.
    call: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRoute {
    method: String,
    path: String,
    call: String,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    raw: bool,
}

fn ok() -> u16 {
    200
}

/// Checks what can be checked without the component: paths below the plugin's own name, none of them twice.
pub fn parse(raw: Vec<RawRoute>, plugin: &PluginName) -> Result<Vec<DeclaredRoute>, ManifestError> {
    let mut routes: Vec<DeclaredRoute> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let at = |key: &str| format!("routes[{index}].{key}");
        let verb =
            Verb::parse(&raw.method).ok_or_else(|| wrong(&at("method"), "must be GET, POST, PUT, PATCH or DELETE"))?;
        let template = Template::parse(&raw.path).map_err(|problem| wrong(&at("path"), problem))?;
        if template.owner() != Some(plugin.as_str()) {
            return Err(wrong(&at("path"), format!("must begin with \"/{plugin}\", the plugin's own name")));
        }
        let twice = |other: &&DeclaredRoute| other.route.verb == verb && other.route.template.same_shape(&template);
        if let Some(other) = routes.iter().find(twice) {
            return Err(wrong(&at("path"), format!("is the path of {} already", other.call)));
        }
        if !(200..=299).contains(&raw.status) {
            return Err(wrong(&at("status"), "must be 200 to 299"));
        }
        routes
            .push(DeclaredRoute { route: Route { verb, template, status: raw.status, raw: raw.raw }, call: raw.call });
    }
    Ok(routes)
}

/// The routes of one function.
pub fn of(routes: &[DeclaredRoute], interface: &Interface, function: &Function) -> Vec<Route> {
    routes.iter().filter(|route| meant::is(&route.call, interface, function)).map(|route| route.route.clone()).collect()
}

/// Checks the routes against what the component exports.
pub fn check(routes: &[DeclaredRoute], services: &[Interface]) -> Result<(), ManifestError> {
    for (index, route) in routes.iter().enumerate() {
        let at = |key: &str| format!("routes[{index}].{key}");
        let (_, function) = meant::one(&route.call, services).map_err(|problem| wrong(&at("call"), problem))?;
        route.route.check(function).map_err(|problem| wrong(&at("path"), problem))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(method: &str, path: &str, status: u16) -> Result<Vec<DeclaredRoute>, String> {
        let raw = || RawRoute { method: method.into(), path: path.into(), call: "check".into(), status, raw: false };
        let plugin = PluginName::parse("spell").unwrap();
        parse(vec![raw()], &plugin).map_err(|error| error.to_string())
    }

    #[test]
    fn a_route_lies_below_the_plugins_own_name() {
        assert!(parsed("POST", "/spell/check", 200).is_ok());
        assert!(parsed("POST", "/files/check", 200).unwrap_err().contains("\"/spell\""));
        assert!(parsed("POST", "/{name}/check", 200).unwrap_err().contains("routes[0].path"));
        assert!(parsed("FETCH", "/spell/check", 200).unwrap_err().contains("routes[0].method"));
        assert!(parsed("POST", "/spell/check", 404).unwrap_err().contains("routes[0].status"));
    }
}
