//! REST routes of the host's own services; plugins declare theirs in their manifests.

use midplane_router::{Route, Router, Template, Verb};

/// Method, verb, path below the prefix, status of a success. What needs a connection has no route.
const ROUTES: &[(&str, Verb, &str, u16)] = &[
    ("auth.create_token", Verb::Post, "/tokens", 201),
    ("auth.list_tokens", Verb::Get, "/tokens", 200),
    ("auth.revoke_token", Verb::Delete, "/tokens/{id}", 200),
    ("auth.whoami", Verb::Get, "/whoami", 200),
    ("event.history", Verb::Get, "/events", 200),
    ("event.publish", Verb::Post, "/events", 201),
    ("plugin.disable", Verb::Post, "/plugins/{name}/disable", 200),
    ("plugin.enable", Verb::Post, "/plugins/{name}/enable", 200),
    ("plugin.get", Verb::Get, "/plugins/{name}", 200),
    ("plugin.list", Verb::Get, "/plugins", 200),
    ("plugin.logs", Verb::Get, "/plugins/{name}/logs", 200),
    ("plugin.reload", Verb::Post, "/plugins/{name}/reload", 200),
    ("system.methods", Verb::Get, "/methods", 200),
    ("system.status", Verb::Get, "/status", 200),
];

/// Gives the native methods that are registered by now their routes.
///
/// # Errors
/// The route that does not fit its method, which the tests exclude.
pub(crate) fn add_routes(router: &Router) -> Result<(), String> {
    for (method, verb, path, status) in ROUTES {
        let route = Route { verb: *verb, template: Template::parse(path)?, status: *status, raw: false };
        router.add_route(method, route)?;
    }
    Ok(())
}
