//! Pages: HTTP that a plugin answers itself. How a request reaches a plugin without the door knowing what plugins are made of.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

use crate::{BoxFuture, call::CallContext, fault::Fault, name::PluginName, principal::Scope};

/// Why a body ended before its end.
pub type PageError = Box<dyn std::error::Error + Send + Sync>;

/// A body that is drawn piece by piece: whoever reads slowly slows down whoever writes, and nothing is kept whole.
pub type PageBody = UnsyncBoxBody<Bytes, PageError>;

/// Where pages are found.
pub trait Pages: Send + Sync {
    /// The pages that a plugin serves now.
    ///
    /// # Errors
    /// `not_found` for a plugin that is not there or has no pages; `plugin_unavailable` with its state while it does not run.
    fn find(&self, plugin: &PluginName) -> Result<Arc<dyn Page>, Fault>;
}

/// The pages of one package: a request is served by the package whose rules let it in, whatever is loaded meanwhile.
pub trait Page: Send + Sync {
    fn rules(&self) -> &PageRules;

    /// Answers a request, whose URI is absolute and has the path as the plugin sees it. Resolves when the head of the answer is
    /// there. Dropping the future, or the body of the answer before its end, ends the guest's work.
    ///
    /// # Errors
    /// `unavailable` with `retry_after_ms` when too many requests are inside, `timeout`, `plugin_failed`.
    fn serve(
        &self,
        request: http::Request<PageBody>,
        context: CallContext,
    ) -> BoxFuture<'static, Result<http::Response<PageBody>, Fault>>;
}

/// What a plugin's manifest says about its pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRules {
    pub access: PageAccess,
    /// Its documents share the host's origin, and with it everything that a browser keeps for the host.
    pub same_origin: bool,
}

/// Who may see pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PageAccess {
    /// `read` for methods that change nothing, `write` for the others.
    #[default]
    ByMethod,
    /// One scope for every method.
    Scope(Scope),
    /// Everybody who reaches the host.
    Public,
}

impl PageAccess {
    /// The scope that a request needs; none if it needs no credential.
    #[must_use]
    pub fn scope(&self, method: &http::Method) -> Option<Scope> {
        match self {
            Self::ByMethod if matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS") => Some(Scope::Read),
            Self::ByMethod => Some(Scope::Write),
            Self::Scope(scope) => Some(scope.clone()),
            Self::Public => None,
        }
    }
}
