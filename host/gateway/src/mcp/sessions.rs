//! Sessions of agents that speak a revision before 2026-07-28: whose they are, how many, until when. The SDK carries their messages.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use futures_util::Stream;
use midplane_model::{
    Fault, Principal,
    limits::{AGENT_SESSION_IDLE_MAX, AGENT_SESSIONS_PER_PRINCIPAL_MAX},
};
use rmcp::{
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::streamable_http_server::session::{
        ServerSseMessage, SessionId, SessionManager,
        local::{LocalSessionManager, LocalSessionManagerError},
    },
};
use tokio_util::sync::CancellationToken;

use crate::{shared::Shared, socket::Slot, tokens::Identity};

/// The sessions. Each counts as a connection of its principal. It ends when its client says so, after `AGENT_SESSION_IDLE_MAX`
/// without a message, with the credential that opened it, and with the host; beyond `AGENT_SESSIONS_PER_PRINCIPAL_MAX` a new one ends the
/// principal's one that was quiet for longest, because an agent that was killed says nothing.
pub(crate) struct AgentSessions {
    carried: LocalSessionManager,
    held: Mutex<HashMap<SessionId, Held>>,
}

struct Held {
    principal: Arc<Principal>,
    used: Instant,
    ended: CancellationToken,
    _place: Slot,
}

impl AgentSessions {
    pub(crate) fn new() -> Self {
        let mut carried = LocalSessionManager::default();
        carried.session_config.keep_alive = Some(AGENT_SESSION_IDLE_MAX);
        Self { carried, held: Mutex::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether somebody may speak in a session. One that is not known is the SDK's to refuse.
    pub(super) fn is_open_to(&self, id: &SessionId, identity: &Arc<Identity>) -> bool {
        let mut all = self.lock();
        let Some(held) = all.get_mut(id) else { return true };
        held.used = Instant::now();
        Arc::ptr_eq(&held.principal, &identity.principal)
    }

    /// A place for one more session.
    ///
    /// # Errors
    /// `unavailable` and `quota_exceeded`, as for a connection.
    pub(super) async fn make_room(&self, shared: &Shared, identity: &Arc<Identity>) -> Result<Slot, Fault> {
        let quietest = {
            let all = self.lock();
            let own = all.iter().filter(|(_, held)| Arc::ptr_eq(&held.principal, &identity.principal));
            let full = own.clone().count() >= AGENT_SESSIONS_PER_PRINCIPAL_MAX;
            own.min_by_key(|(_, held)| held.used).filter(|_| full).map(|(id, _)| id.clone())
        };
        if let Some(id) = quietest {
            self.end(&id).await;
        }
        shared.connections.reserve(&identity.principal)
    }

    /// Remembers whose session it is, and ends it with its credential or with the host.
    pub(super) fn hold(self: &Arc<Self>, shared: &Shared, id: SessionId, identity: Arc<Identity>, place: Slot) {
        let (sessions, stop, ended) = (self.clone(), shared.shutdown.clone(), CancellationToken::new());
        let held =
            Held { principal: identity.principal.clone(), used: Instant::now(), ended: ended.clone(), _place: place };
        self.lock().insert(id.clone(), held);
        shared.sockets.spawn(async move {
            tokio::select! {
                biased;
                () = ended.cancelled() => return,
                () = stop.cancelled() => {}
                _ = identity.ended() => {}
                () = sessions.gone(&id) => {}
            }
            sessions.end(&id).await;
        });
    }

    /// Resolves at once if the SDK has no such session: it may have ended before it was held.
    async fn gone(&self, id: &SessionId) {
        if self.carried.has_session(id).await.unwrap_or(false) {
            std::future::pending::<()>().await;
        }
    }

    async fn end(&self, id: &SessionId) {
        if let Err(error) = self.close_session(id).await {
            tracing::debug!(%error, "a session of an agent was not closed");
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionManager for AgentSessions {
    type Error = LocalSessionManagerError;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        self.carried.create_session().await
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        self.carried.initialize_session(id, message).await
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        self.carried.has_session(id).await
    }

    /// Called by the SDK however a session ends.
    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        if let Some(held) = self.lock().remove(id) {
            held.ended.cancel();
        }
        self.carried.close_session(id).await
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.carried.create_stream(id, message).await
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), Self::Error> {
        self.carried.accept_message(id, message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.carried.create_standalone_stream(id).await
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.carried.resume(id, last_event_id).await
    }
}
