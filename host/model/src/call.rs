//! A call on its way: what is asked, by whom, until when, and through which plugins it came.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, value::RawValue};
use tokio_util::sync::CancellationToken;

use crate::{
    bulk::Exchange,
    channel::Peer,
    effects::Effects,
    fault::{ErrorCode, Fault},
    limits::CALL_CHAIN_MAX,
    name::PluginName,
    principal::Principal,
    progress::Progress,
};

/// The moment after which nobody waits for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    at: Instant,
    /// What was granted in the beginning, for the error message.
    pub granted: Duration,
}

impl Deadline {
    #[must_use]
    pub fn after(granted: Duration) -> Self {
        Self { at: Instant::now() + granted, granted }
    }

    #[must_use]
    pub fn at(&self) -> Instant {
        self.at
    }

    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// The earlier of this deadline and `limit` from now.
    #[must_use]
    pub fn capped(self, limit: Duration) -> Self {
        let other = Self::after(limit);
        if other.at < self.at { other } else { self }
    }

    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::timeout(u64::try_from(self.granted.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Everything that travels with a call beside its method and parameters.
#[derive(Clone)]
pub struct CallContext {
    pub request_id: Arc<str>,
    pub principal: Arc<Principal>,
    pub deadline: Deadline,
    /// The plugins this call has passed, outermost first. A plugin that is on it may not be entered again.
    pub chain: Arc<[PluginName]>,
    /// The plugin whose page asked, where the call began in one: nobody waits inside that plugin, so the chain lacks it.
    pub page: Option<PluginName>,
    /// The connection it came from, where there is one: what `terminals.attach` opens its channel on.
    pub peer: Option<Arc<dyn Peer>>,
    /// The HTTP request it came with, where bytes can pass around a component.
    pub exchange: Option<Arc<dyn Exchange>>,
    /// Where the client is told how far the call is, if it asked for that.
    pub progress: Option<Progress>,
    /// Where the events stand that this call causes.
    pub effects: Effects,
    /// Set when the caller gave up. Work that can stop early should.
    pub cancel: CancellationToken,
}

impl CallContext {
    /// A call of the host's own, or of a client without a connection.
    #[must_use]
    pub fn new(request_id: impl Into<Arc<str>>, principal: Arc<Principal>, timeout: Duration) -> Self {
        Self {
            request_id: request_id.into(),
            principal,
            deadline: Deadline::after(timeout),
            chain: Arc::from([]),
            page: None,
            peer: None,
            exchange: None,
            progress: None,
            effects: Effects::default(),
            cancel: CancellationToken::new(),
        }
    }

    /// The plugin that makes this call; none for a client or the host itself.
    #[must_use]
    pub fn caller(&self) -> Option<&PluginName> {
        self.chain.last().or(self.page.as_ref())
    }

    /// The context of a call on its way into the plugin `callee`. Only the plugin that a client has called tells that client how
    /// far it is: what those behind it would tell is in no form that the client knows.
    ///
    /// # Errors
    /// `cycle` when `callee` is already being entered, or when the chain is too long.
    pub fn enter(&self, callee: &PluginName) -> Result<Self, Fault> {
        let again = self.chain.contains(callee);
        if again || self.chain.len() >= CALL_CHAIN_MAX {
            let chain: Vec<&str> = self.chain.iter().map(PluginName::as_str).chain([callee.as_str()]).collect();
            let what = if again { "already waits for this call" } else { "would make the chain of plugins too long" };
            let message = format!("{callee} {what}: {}", chain.join(" → "));
            return Err(Fault::new(ErrorCode::Cycle, message).with("chain", chain));
        }
        let chain = self.chain.iter().cloned().chain([callee.clone()]).collect();
        let progress = self.progress.clone().filter(|_| self.chain.is_empty());
        Ok(Self { chain, progress, ..self.clone() })
    }
}

impl fmt::Debug for CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallContext")
            .field("request_id", &self.request_id)
            .field("principal", &self.principal.name)
            .field("chain", &self.chain)
            .finish_non_exhaustive()
    }
}

/// One call of a method by name.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: Arc<str>,
    /// An object by parameter name, an array by position, or null for none.
    pub params: Value,
    pub context: CallContext,
}

/// The result of a call, already JSON, spliced into whatever envelope carries it.
#[derive(Debug, Clone)]
pub struct Reply {
    pub result: Box<RawValue>,
}

impl Reply {
    /// A reply from a value that serialises (native services).
    pub fn of(value: &impl serde::Serialize) -> Result<Self, Fault> {
        serde_json::value::to_raw_value(value).map(|result| Self { result }).map_err(|_| Fault::internal())
    }
}
