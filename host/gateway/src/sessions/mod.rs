//! Sessions: what a client finds again on another connection.
//!
//! A session is an id, a secret that changes with every use, and the places of its subscriptions; no event is stored for it. While
//! its client is away it waits `SESSION_GRACE`; the log of the broker is what it catches up from. It belongs to the credential
//! that opened it and ends with that. All of it is in memory: a client of a host that was started again opens a new one and
//! subscribes with the positions that it has.

mod presence;
mod session;
mod table;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use midplane_broker::Broker;
use midplane_model::{Fault, Principal, Scope};

use crate::{
    socket::{Away, CloseReason, Connection},
    tokens::{digest, random},
};
use presence::Change;
use session::{Place, Session};
use table::Table;

pub(crate) use session::{Client, Summary};

/// All sessions of the gateway.
pub(crate) struct Sessions {
    table: Mutex<Table>,
    broker: Arc<Broker>,
    grace: Duration,
}

/// A session on its new connection.
pub(crate) struct Opened {
    pub id: Arc<str>,
    /// Shown once.
    pub token: String,
    /// What the former connection has left; none for a new session.
    pub resumed: Option<Away>,
}

impl Sessions {
    pub(crate) fn new(broker: &Arc<Broker>, grace: Duration) -> Self {
        Self { table: Mutex::default(), broker: broker.clone(), grace }
    }

    /// Begins a session on a connection that has none.
    ///
    /// # Errors
    /// `conflict`, `quota_exceeded`; `internal` without random bytes.
    pub(crate) fn open(&self, connection: &Arc<Connection>, client: Option<Client>) -> Result<Opened, Fault> {
        let (id, token): (Arc<str>, String) =
            (format!("s-{}", random::<8>("a session")?).into(), random::<32>("a token")?);
        let session = Session::new(id.clone(), connection, client, digest(&token));
        let mut changes = Vec::new();
        {
            let mut table = self.lock();
            changes.extend(table.forget(self.grace, Instant::now()));
            changes.extend(table.make_room(&connection.principal)?);
            connection.begin_session(&id)?;
            changes.push(Change::of("opened", &session));
            table.insert(session);
        }
        self.tell(changes);
        Ok(Opened { id, token, resumed: None })
    }

    /// Goes on with a session on another connection; none where there is no such session for this token and credential. Whoever
    /// had it is superseded.
    ///
    /// # Errors
    /// `conflict`; `internal` without random bytes.
    pub(crate) fn resume(
        &self,
        connection: &Arc<Connection>,
        id: &str,
        token: &str,
        client: Option<Client>,
    ) -> Result<Option<Opened>, Fault> {
        let next = random::<32>("a token")?;
        let mut changes = Vec::new();
        let opened = {
            let mut table = self.lock();
            changes.extend(table.forget(self.grace, Instant::now()));
            match table.get_mut(id).filter(|session| session.admits(&connection.identity, token)) {
                None => None,
                Some(session) => {
                    connection.begin_session(&session.id)?;
                    let away = session.move_to(connection, token, digest(&next));
                    session.client = client.or_else(|| session.client.take());
                    connection.speak_as(session.voice);
                    changes.push(Change::of("resumed", session));
                    Some(Opened { id: session.id.clone(), token: next, resumed: Some(away) })
                }
            }
        };
        self.tell(changes);
        Ok(opened)
    }

    /// The client has the new token: those before are worthless from now on.
    pub(crate) fn heard(&self, connection: &Connection) {
        if let Some(id) = connection.session()
            && let Some(session) = self.lock().get_mut(&id)
            && session.is_on(connection)
        {
            session.confirm();
        }
    }

    /// The connection has ended; its session waits.
    pub(crate) fn leave(&self, connection: &Connection) {
        let Some(id) = connection.session() else { return };
        let change = {
            let mut table = self.lock();
            let session = table.get_mut(&id).filter(|session| session.is_on(connection));
            session.map(|session| {
                session.place = Place::away(connection.subscriptions.take());
                Change::of("away", session)
            })
        };
        self.tell(change);
    }

    /// Ends a session that `by` may end. Whether there was one.
    pub(crate) fn close(&self, id: &str, by: &Principal, own: Option<&Connection>) -> bool {
        let closed = {
            let mut table = self.lock();
            let may = table.get_mut(id).is_some_and(|session| session.is_seen_by(by));
            if may { table.remove(id) } else { None }
        };
        let Some(session) = closed else { return false };
        match session.connection() {
            Some(connection) if own.is_some_and(|own| own.id == connection.id) => connection.end_session(),
            Some(connection) => connection.closing.request(CloseReason::SessionClosed),
            None => {}
        }
        self.tell([Change::of("closed", &session)]);
        true
    }

    /// What `by` may see, by id.
    pub(crate) fn list(&self, by: &Principal) -> Vec<Summary> {
        let mut table = self.lock();
        let forgotten: Vec<Change> = table.forget(self.grace, Instant::now()).collect();
        let mut all: Vec<Summary> =
            table.all().filter(|session| session.is_seen_by(by)).map(Session::summary).collect();
        drop(table);
        self.tell(forgotten);
        all.sort_unstable_by(|a, b| a.session_id.cmp(&b.session_id));
        all
    }

    pub(crate) fn client_of(&self, id: &str) -> Option<Client> {
        self.lock().get_mut(id).and_then(|session| session.client.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Ends the sessions that have waited too long, or whose credential has ended.
    pub(crate) fn sweep(&self) {
        let forgotten: Vec<Change> = self.lock().forget(self.grace, Instant::now()).collect();
        self.tell(forgotten);
    }

    /// After the table is free again: publishing takes locks of its own.
    fn tell(&self, changes: impl IntoIterator<Item = Change>) {
        changes.into_iter().for_each(|change| change.publish(&self.broker));
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn is_seen_by(&self, principal: &Principal) -> bool {
        *self.identity.principal == *principal || principal.may(&Scope::Admin)
    }
}
