//! Which sessions there are: how many, and which has to go.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use midplane_model::{
    ErrorCode, Fault, Principal,
    limits::{SESSIONS_MAX, SESSIONS_PER_PRINCIPAL_MAX},
};

use super::{presence::Change, session::Session};

#[derive(Default)]
pub(super) struct Table(HashMap<Arc<str>, Session>);

impl Table {
    pub fn get_mut(&mut self, id: &str) -> Option<&mut Session> {
        self.0.get_mut(id)
    }

    pub fn insert(&mut self, session: Session) {
        self.0.insert(session.id.clone(), session);
    }

    pub fn remove(&mut self, id: &str) -> Option<Session> {
        self.0.remove(id)
    }

    pub fn all(&self) -> impl Iterator<Item = &Session> {
        self.0.values()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets what has waited longer than `grace`, and what waits for a credential that has ended.
    pub fn forget(&mut self, grace: Duration, now: Instant) -> impl Iterator<Item = Change> {
        let over = move |session: &Session| {
            let waits = session.away_since().map(|since| now.saturating_duration_since(since));
            waits.is_some_and(|waited| waited >= grace || session.identity.is_over()) || session.is_lost()
        };
        self.0.extract_if(move |_, session| over(session)).map(|(_, session)| Change::of("closed", &session))
    }

    /// Makes room for one more session of a principal: what has waited longest goes.
    ///
    /// # Errors
    /// `quota_exceeded` where nothing waits.
    pub fn make_room(&mut self, principal: &Principal) -> Result<Option<Change>, Fault> {
        let own = |session: &&Session| *session.identity.principal == *principal;
        let (own_full, full) =
            (self.all().filter(own).count() >= SESSIONS_PER_PRINCIPAL_MAX, self.len() >= SESSIONS_MAX);
        if !own_full && !full {
            return Ok(None);
        }
        let candidates = self.all().filter(|session| !own_full || own(session));
        let longest = candidates.filter_map(|session| Some((session.away_since()?, session.id.clone()))).min();
        let Some(session) = longest.and_then(|(_, id)| self.remove(&id)) else {
            let limit = if own_full { SESSIONS_PER_PRINCIPAL_MAX } else { SESSIONS_MAX };
            let message = format!("there are {limit} sessions with a connection each; close one");
            return Err(Fault::new(ErrorCode::QuotaExceeded, message).with("limit", limit));
        };
        Ok(Some(Change::of("closed", &session)))
    }
}
