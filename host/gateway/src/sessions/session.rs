//! One session.

use std::{
    sync::{Arc, Weak},
    time::{Instant, SystemTime},
};

use midplane_model::{
    Fault, PeerId,
    event::rfc3339,
    limits::{CLIENT_INFO_BYTES_MAX, SESSION_TOKENS_EARLIER_MAX},
};
use serde::{Deserialize, Serialize};

use crate::{
    socket::{Away, CloseReason, Connection},
    tokens::{Digest, Identity, digest},
};

/// What a client says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Client {
    pub name: String,
    pub version: Option<String>,
}

impl Client {
    /// # Errors
    /// `invalid_params` for more than `CLIENT_INFO_BYTES_MAX`.
    pub fn checked(self) -> Result<Self, Fault> {
        let bytes = self.name.len() + self.version.as_ref().map_or(0, String::len);
        if bytes > CLIENT_INFO_BYTES_MAX {
            let message = format!("params.client: name and version have at most {CLIENT_INFO_BYTES_MAX} bytes");
            return Err(Fault::invalid_params("params.client", message));
        }
        Ok(self)
    }
}

/// A session as others see it.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub session_id: Arc<str>,
    principal: Arc<str>,
    client: Option<Client>,
    opened_at: String,
    away_since: Option<String>,
    subscriptions: usize,
}

pub(super) struct Session {
    pub id: Arc<str>,
    pub identity: Arc<Identity>,
    pub client: Option<Client>,
    opened_at: SystemTime,
    /// SHA-256 of the secret that resumes it.
    token: Digest,
    /// Those before that its client may still hold, the newest last, until it shows that it has the new one.
    earlier: Vec<Digest>,
    /// Under which its events are published, whatever the connection.
    pub voice: PeerId,
    pub place: Place,
}

/// Where the client is.
pub(super) enum Place {
    On(Weak<Connection>),
    Away { since: Instant, at: SystemTime, left: Away },
}

impl Place {
    pub fn away(left: Away) -> Self {
        Self::Away { since: Instant::now(), at: SystemTime::now(), left }
    }
}

impl Session {
    pub fn new(id: Arc<str>, connection: &Arc<Connection>, client: Option<Client>, token: Digest) -> Self {
        Self {
            id,
            identity: connection.identity.clone(),
            client,
            opened_at: SystemTime::now(),
            token,
            earlier: Vec::new(),
            voice: connection.voice(),
            place: Place::On(Arc::downgrade(connection)),
        }
    }

    /// Whether this secret, shown by this credential, resumes the session. Compared by hashes, which tell nothing of the secret.
    pub fn admits(&self, identity: &Arc<Identity>, token: &str) -> bool {
        let shown = digest(token);
        let known = shown == self.token || self.earlier.contains(&shown);
        known && Arc::ptr_eq(&self.identity.principal, &identity.principal)
    }

    /// Takes what the former connection leaves, ends that if it is still there, and goes on here with another secret. The one
    /// that was shown stays good until the client shows that it has the other: any number of answers may get lost. Where an earlier
    /// one is shown, the client may have the present one all the same: a request that was delayed on a broken connection comes
    /// after the one that was sent later on another, and takes the session from it. So that stays good, too.
    pub fn move_to(&mut self, connection: &Arc<Connection>, shown: &str, token: Digest) -> Away {
        let here = Place::On(Arc::downgrade(connection));
        let away = match std::mem::replace(&mut self.place, here) {
            Place::Away { left, .. } => left,
            Place::On(former) => former.upgrade().map_or_else(Away::default, |former| {
                former.closing.request(CloseReason::Superseded);
                former.subscriptions.take()
            }),
        };
        // The same principal, perhaps by another credential.
        self.identity = connection.identity.clone();
        let (shown, present) = (digest(shown), std::mem::replace(&mut self.token, token));
        if shown == present {
            self.earlier.clear();
        } else {
            self.earlier.retain(|earlier| *earlier != shown);
            self.earlier.push(present);
        }
        self.earlier.push(shown);
        let excess = self.earlier.len().saturating_sub(SESSION_TOKENS_EARLIER_MAX);
        self.earlier.drain(..excess);
        away
    }

    /// The client has the present secret: all earlier ones are worthless.
    pub fn confirm(&mut self) {
        self.earlier.clear();
    }

    pub fn connection(&self) -> Option<Arc<Connection>> {
        match &self.place {
            Place::On(connection) => connection.upgrade(),
            Place::Away { .. } => None,
        }
    }

    pub fn is_on(&self, connection: &Connection) -> bool {
        matches!(&self.place, Place::On(own) if std::ptr::eq(own.as_ptr(), connection))
    }

    pub fn away_since(&self) -> Option<Instant> {
        match &self.place {
            Place::On(_) => None,
            Place::Away { since, .. } => Some(*since),
        }
    }

    /// Its connection is gone and has not said so: the task of the connection panicked.
    pub fn is_lost(&self) -> bool {
        matches!(&self.place, Place::On(connection) if connection.strong_count() == 0)
    }

    pub fn summary(&self) -> Summary {
        let (away_since, subscriptions) = match &self.place {
            Place::On(connection) => (None, connection.upgrade().map_or(0, |on| on.subscriptions.len())),
            Place::Away { at, left, .. } => (Some(rfc3339(*at)), left.len()),
        };
        Summary {
            session_id: self.id.clone(),
            principal: self.identity.principal.name.clone(),
            client: self.client.clone(),
            opened_at: rfc3339(self.opened_at),
            away_since,
            subscriptions,
        }
    }
}
