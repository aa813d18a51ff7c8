//! A plugin in the office of the authenticator: it says who comes with a credential that is none of the host's own.
//!
//! It is asked through its mailbox, as by a call that nobody made: what it asks of others meanwhile is its own. The supervisor lets one
//! plugin at a time have the office.

use std::{
    collections::BTreeSet,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use midplane_model::{
    Authenticator, Authenticators, BoxFuture, Credential, ErrorCode, Fault, Principal, Scope, Vouched,
    limits::{AUTHENTICATE_MAX, SUBJECT_BYTES_MAX, TOKEN_SCOPES_MAX},
    schema::Interface,
};

use crate::{
    bindings::{Credential as Shown, Identity},
    log_line::LogLine,
    manifest::Manifest,
    package::LoadError,
    slot::Slot,
    supervisor::Plugins,
};

/// A kind of credential that a manifest asks to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialGrant {
    Bearer,
    Cookie(Arc<str>),
}

const COOKIE_PREFIX: &str = "cookie:";
/// Every cookie of this kind is a host's.
const HOST_COOKIES: &str = "midplane_";

impl CredentialGrant {
    /// # Errors
    /// What is wrong, for a person.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(name) = text.strip_prefix(COOKIE_PREFIX) else {
            return if text == "bearer" {
                Ok(Self::Bearer)
            } else {
                Err(format!("{text:?} is neither \"bearer\" nor \"cookie:<name>\""))
            };
        };
        // A token of RFC 9110, section 5.6.2.
        let is_token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(format!("{name:?} is no name of a cookie"));
        }
        if name.to_ascii_lowercase().starts_with(HOST_COOKIES) {
            return Err(format!("the cookie {name:?} is a host's own"));
        }
        Ok(Self::Cookie(name.into()))
    }
}

impl fmt::Display for CredentialGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bearer => f.write_str("bearer"),
            Self::Cookie(name) => write!(f, "{COOKIE_PREFIX}{name}"),
        }
    }
}

impl serde::Serialize for CredentialGrant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whether what a component exports and what its manifest asks for are about the same.
///
/// # Errors
/// What of the two is missing.
pub fn check(hooks: &[Interface], manifest: &Manifest) -> Result<(), LoadError> {
    let exported = hooks.iter().any(|hook| &*hook.name == "authenticator");
    match (exported, manifest.grants.authenticator.is_empty()) {
        (true, true) => Err(LoadError::Authenticator(
            "nothing is asked for, but the component exports midplane:host/authenticator; say which credentials it is to judge: \"bearer\", \"cookie:<name>\"",
        )),
        (false, false) => Err(LoadError::Authenticator(
            "the component does not export midplane:host/authenticator; leave the grant out",
        )),
        _ => Ok(()),
    }
}

impl Authenticators for Plugins {
    fn current(&self) -> Option<Arc<dyn Authenticator>> {
        let shown = self.authenticator()?;
        let grants = shown.package.manifest.grants.authenticator.clone();
        let cookie = |grant: &CredentialGrant| match grant {
            CredentialGrant::Bearer => None,
            CredentialGrant::Cookie(name) => Some(name.clone()),
        };
        let cookies = grants.iter().filter_map(cookie).collect();
        Some(Arc::new(InOffice { slot: shown.slot.clone(), grants, cookies }))
    }
}

struct InOffice {
    slot: Arc<Slot>,
    grants: Arc<[CredentialGrant]>,
    cookies: Vec<Arc<str>>,
}

impl Authenticator for InOffice {
    fn name(&self) -> &str {
        self.slot.name.as_str()
    }

    fn takes_bearers(&self) -> bool {
        self.grants.contains(&CredentialGrant::Bearer)
    }

    fn cookies(&self) -> &[Arc<str>] {
        &self.cookies
    }

    fn authenticate(&self, credential: Credential) -> BoxFuture<'static, Result<Option<Vouched>, Fault>> {
        let slot = self.slot.clone();
        let shown = match credential {
            Credential::Bearer(token) => Shown::Bearer(token.as_ref().to_owned()),
            Credential::Cookie { name, value } => Shown::Cookie((name.as_ref().to_owned(), value.as_ref().to_owned())),
        };
        Box::pin(async move {
            let said = slot.authenticate(shown, AUTHENTICATE_MAX).await;
            let said = said.and_then(|identity| identity.map(|identity| vouched(&slot, identity)).transpose());
            said.inspect_err(|fault| {
                slot.guest_line(LogLine::new("warn", &format!("authenticate: {}", fault.message), Vec::new()));
            })
        })
    }
}

/// # Errors
/// `plugin_failed`: what was said means nothing.
fn vouched(slot: &Slot, identity: Identity) -> Result<Vouched, Fault> {
    let failed = |what: String| {
        let message = format!("{} answered with {what}", slot.name);
        Fault::new(ErrorCode::PluginFailed, message).with("plugin", slot.name.as_str())
    };
    let Identity { subject, scopes, expires_at_ms } = identity;
    let good = |c: u8| c.is_ascii_alphanumeric() || b"._-+@".contains(&c);
    if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX || !subject.bytes().all(good) {
        return Err(failed(format!(
            "a subject that is not 1 to {SUBJECT_BYTES_MAX} of letters, digits, '.', '_', '-', '+', '@'"
        )));
    }
    if scopes.is_empty() || scopes.len() > TOKEN_SCOPES_MAX {
        return Err(failed(format!("{} scopes, where 1 to {TOKEN_SCOPES_MAX} are expected", scopes.len())));
    }
    let scopes: Result<BTreeSet<Scope>, Fault> = scopes.iter().map(|scope| Scope::parse(scope)).collect();
    let scopes = scopes.map_err(|fault| failed(format!("a scope that is none: {}", fault.message)))?;
    // A time that no clock reaches is as good as none.
    let expires_at = expires_at_ms.and_then(|ms| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)));
    Ok(Vouched { principal: Principal { name: format!("{}:{subject}", slot.name).into(), scopes }, expires_at })
}
