//! Authenticators: who comes with a credential that is none of the host's own. How the door asks a plugin without knowing what plugins
//! are made of.

use std::{sync::Arc, time::SystemTime};

use crate::{BoxFuture, fault::Fault, principal::Principal};

/// What a request shows. No `Debug`: it is a secret, and belongs in no log.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    Bearer(Arc<str>),
    Cookie { name: Arc<str>, value: Arc<str> },
}

/// What an authenticator said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    pub principal: Principal,
    pub expires_at: Option<SystemTime>,
}

/// Where the authenticator is found.
pub trait Authenticators: Send + Sync {
    /// The one that has the office now, whether it can answer or not; none where only the host's own credentials count.
    fn current(&self) -> Option<Arc<dyn Authenticator>>;
}

/// One plugin in the office.
pub trait Authenticator: Send + Sync {
    fn name(&self) -> &str;

    /// Whether it is asked about bearer tokens.
    fn takes_bearers(&self) -> bool;

    /// The cookies that it is asked about, by name.
    fn cookies(&self) -> &[Arc<str>];

    /// Who comes with a credential; none is nobody. Dropping the future gives the question up.
    ///
    /// # Errors
    /// Whatever keeps it from being answered: `plugin_unavailable`, `unavailable`, `timeout`, `plugin_failed`.
    fn authenticate(&self, credential: Credential) -> BoxFuture<'static, Result<Option<Vouched>, Fault>>;
}
