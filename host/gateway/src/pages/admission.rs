//! Who sees which pages.

use std::{collections::BTreeSet, sync::Arc};

use axum::http::{HeaderMap, Method, Uri};
use midplane_model::{ErrorCode, Fault, Page, PageAccess, PluginName, Principal};

use crate::{auth, problem::Problem, shared::Shared, tokens::Identity};

pub(crate) const PREFIX: &str = "/p/";

/// Somebody who has been let in.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub page: Arc<dyn Page>,
    /// `/p/{plugin}`, where its root is.
    pub prefix: Arc<str>,
    pub principal: Arc<Principal>,
    /// The credential, if one was shown: the visit ends with it.
    pub identity: Option<Arc<Identity>>,
}

/// The plugin's name and the path below it, as they were sent: what is encoded stays encoded.
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix(PREFIX)?;
    Some(rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash)))
}

/// Lets a request in by the rules of the plugin it is for.
///
/// # Errors
/// `unauthenticated`, or `unavailable` where nobody can say who it is, before anything else, so that a stranger does not learn which plugins there are; then `not_found`,
/// `plugin_unavailable`, and `forbidden` with the scope.
pub(crate) async fn admit(
    shared: &Shared,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Visitor, Problem> {
    let name = split(uri.path()).map(|(name, _)| name).unwrap_or_default();
    let found = find(shared, name);
    let shown = auth::identity(shared, uri, headers).await;
    let public = found.as_ref().is_ok_and(|page| page.rules().access == PageAccess::Public);
    let (identity, principal) = match shown {
        Ok(Some(identity)) => {
            shared.audit.used(&identity, uri.path());
            (Some(identity.clone()), identity.principal.clone())
        }
        Ok(None) | Err(_) if public => {
            (None, Arc::new(Principal { name: "anonymous".into(), scopes: BTreeSet::new() }))
        }
        Ok(None) => return Err(auth::unauthenticated(shared, uri)),
        Err(fault) => return Err(auth::refused(shared, uri, fault)),
    };
    let page = found?;
    if let Some(scope) = page.rules().access.scope(method).filter(|scope| !principal.may(scope)) {
        let scope = scope.to_string();
        let message = format!("{method} here needs the scope {scope:?}, which {:?} does not have", principal.name);
        return Err(Fault::new(ErrorCode::Forbidden, message).with("scope", scope).into());
    }
    Ok(Visitor { page, prefix: format!("{PREFIX}{name}").into(), principal, identity })
}

fn find(shared: &Shared, name: &str) -> Result<Arc<dyn Page>, Fault> {
    let unknown = || Fault::not_found(format!("there is no plugin {name:?}; plugin.list names those there are"));
    let plugin = PluginName::parse(name).map_err(|_| unknown())?;
    shared.config.pages.as_ref().ok_or_else(unknown)?.find(&plugin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_is_the_segment_behind_the_prefix_as_it_was_sent() {
        assert_eq!(split("/p/spell"), Some(("spell", "")));
        assert_eq!(split("/p/spell/"), Some(("spell", "/")));
        assert_eq!(split("/p/spell//a/../b%2f"), Some(("spell", "//a/../b%2f")));
        assert_eq!(split("/p/%73pell/a"), Some(("%73pell", "/a")));
        assert_eq!(split("/q/spell/"), None);
    }
}
