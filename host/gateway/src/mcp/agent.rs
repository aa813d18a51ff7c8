//! What one agent is answered: who we are, which tools there are, calls of them, and that they have changed.

use std::sync::Arc;

use midplane_model::Principal;
use midplane_router::tool_name;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, Implementation, ListToolsResult, PaginatedRequestParams,
        ServerCapabilities, ServerConfig, SubscriptionFilter, Tool,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};
use tokio::sync::watch;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::task_tracker::TaskTrackerToken,
};

use super::call;
use crate::{shared::Shared, tokens::Identity};

/// Read by the model before anything else.
const INSTRUCTIONS: &str = "These tools work on a project directory that people and programs share with you live. Paths are \
    relative to its root, with / between segments. Reading and writing tell a version: give it as if_version when you change \
    what you have read, so that nobody's work is overwritten; on precondition_failed read again. A failed call says its code and \
    what to do next. Plugins can be loaded and replaced at any time, and the tools with them.";

/// One session of an agent, or one request where there are none.
pub(super) struct Agent {
    pub shared: Arc<Shared>,
    pub identity: Arc<Identity>,
    /// Cancelled when nobody speaks with this agent any more.
    gone: CancellationToken,
    _gone: DropGuard,
    /// The host waits for it when it stops.
    _task: TaskTrackerToken,
}

impl Agent {
    pub fn new(shared: Arc<Shared>, identity: Arc<Identity>) -> Self {
        let gone = CancellationToken::new();
        Self { _task: shared.sockets.token(), _gone: gone.clone().drop_guard(), gone, shared, identity }
    }

    fn tools(&self) -> Vec<Tool> {
        self.shared.catalogue().of_principal(&self.identity.principal)
    }

    fn watched_tools(&self) -> WatchedTools {
        let (shared, principal) = (self.shared.clone(), self.identity.principal.clone());
        WatchedTools { changes: shared.router.changes(), known: self.tools(), shared, principal }
    }
}

/// What one principal may call, from one change to the next.
struct WatchedTools {
    shared: Arc<Shared>,
    principal: Arc<Principal>,
    changes: watch::Receiver<u64>,
    known: Vec<Tool>,
}

impl WatchedTools {
    /// Resolves when these tools are others than before; `false` when there will be no change any more. Cancel safe.
    async fn changed(&mut self) -> bool {
        while self.changes.changed().await.is_ok() {
            let tools = self.shared.catalogue().of_principal(&self.principal);
            if tools != self.known {
                self.known = tools;
                return true;
            }
        }
        false
    }
}

impl ServerHandler for Agent {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("midplane", &*self.shared.config.version))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        if request.is_some_and(|request| request.cursor.is_some()) {
            return Err(ErrorData::invalid_params("all tools are in one page, there is no cursor; leave it out", None));
        }
        Ok(ListToolsResult::with_all_items(self.tools()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let catalogue = self.shared.catalogue();
        let Some(method) = catalogue.method(&request.name) else {
            let hint = match self.shared.router.find(&request.name) {
                Ok(method) if method.tool.is_some() => format!("its name is {:?}", tool_name(&method.name)),
                Ok(_) => "this method is not offered as a tool".to_owned(),
                Err(_) => "tools/list names those there are".to_owned(),
            };
            let message = format!("there is no tool {:?}; {hint}", request.name);
            return Err(ErrorData::invalid_params(message, None));
        };
        let result = Box::pin(call::run(self, method, request.arguments, context)).await;
        Ok(result.into())
    }

    /// Tells a session when its tools have changed, on the stream that the client keeps open for news.
    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let (gone, mut tools) = (self.gone.clone(), self.watched_tools());
        self.shared.sockets.spawn(async move {
            loop {
                let changed = tokio::select! {
                    biased;
                    () = gone.cancelled() => return,
                    changed = tools.changed() => changed,
                };
                if !changed || context.peer.notify_tool_list_changed().await.is_err() {
                    return;
                }
            }
        });
    }

    fn accepted_subscription_filter(&self, _: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(SubscriptionFilter::builder().tools_list_changed().build())
    }

    /// The same for a request that listens. It counts as a connection.
    async fn listen(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        let _place = self.shared.connections.reserve(&self.identity.principal);
        let _place = _place.map_err(|fault| ErrorData::internal_error(fault.message, None))?;
        let mut tools = self.watched_tools();
        loop {
            let changed = tokio::select! {
                biased;
                () = subscription.cancelled() => return Ok(()),
                () = self.shared.shutdown.cancelled() => return Ok(()),
                changed = tools.changed() => changed,
            };
            if !changed || subscription.sink().notify_tool_list_changed().await.is_err() {
                return Ok(());
            }
        }
    }
}
