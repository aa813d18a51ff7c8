//! The audit log: who came in, who was refused, who changed what. Facts go to a sink that the program gives; a secret is never
//! among them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use midplane_model::{CallContext, ErrorCode, event::rfc3339, limits::AUDIT_REFUSALS_PER_SECOND_MAX};
use midplane_router::Witness;
use serde::Serialize;

use crate::tokens::Identity;

/// One line of the audit log.
#[derive(Debug, Serialize)]
pub struct AuditEntry {
    /// RFC 3339, UTC.
    pub time: String,
    /// `token_used`, `refused`, `token_created`, `token_revoked`, `administered`.
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<Arc<str>>,
    /// The plugin that acted in the principal's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<Arc<str>>,
    /// Id of the token, or of the one that was created or revoked; `authenticator:<plugin>` where a plugin vouched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Arc<str>>,
    /// Path of a request, or name of a method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Arc<str>>,
    /// `ok` or the code of the error.
    pub outcome: &'static str,
    /// How many of the kind this line stands for, where it is more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// Takes entries. Must not block.
pub trait AuditSink: Send + Sync {
    fn record(&self, entry: AuditEntry);
}

pub(crate) struct Audit {
    sink: Option<Arc<dyn AuditSink>>,
    refusals: Mutex<Refusals>,
}

/// Refusals of one second: whoever hammers the door fills no disk.
struct Refusals {
    since: Instant,
    count: u32,
}

impl Refusals {
    /// Another second begins; how many of the former one were not named.
    fn turn(&mut self) -> u32 {
        let missed = self.count.saturating_sub(AUDIT_REFUSALS_PER_SECOND_MAX);
        *self = Self { since: Instant::now(), count: 0 };
        missed
    }
}

impl Audit {
    pub fn new(sink: Option<Arc<dyn AuditSink>>) -> Self {
        Self { sink, refusals: Mutex::new(Refusals { since: Instant::now(), count: 0 }) }
    }

    /// A token came in; called for each request, written at most once a minute for each token.
    pub fn used(&self, identity: &Identity, path: &str) {
        if self.sink.is_some() && identity.touch() {
            let (principal, token) = (identity.principal.name.clone(), identity.token.clone());
            let entry = AuditEntry { principal: Some(principal), token: Some(token), ..entry("token_used", "ok") };
            self.send(AuditEntry { what: Some(path.to_owned()), ..entry });
        }
    }

    /// A request without a valid credential, or with one that could not be judged.
    pub fn refused(&self, path: &str, code: ErrorCode) {
        let (missed, written) = {
            let mut refusals = self.lock_refusals();
            let over = refusals.since.elapsed() >= Duration::from_secs(1);
            let missed = if over { refusals.turn() } else { 0 };
            refusals.count = refusals.count.saturating_add(1);
            (missed, refusals.count <= AUDIT_REFUSALS_PER_SECOND_MAX)
        };
        self.missed(missed);
        if written {
            self.send(AuditEntry { what: Some(path.to_owned()), ..entry("refused", code.as_str()) });
        }
    }

    /// Tells of refusals that were not named, also where none has followed them. Every now and then, and at the end.
    pub fn settle(&self) {
        let missed = self.lock_refusals().turn();
        self.missed(missed);
    }

    fn missed(&self, count: u32) {
        if count > 0 {
            self.send(AuditEntry { count: Some(count), ..entry("refused", "unauthenticated") });
        }
    }

    fn lock_refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token was made or ended by `by`.
    pub fn token(&self, kind: &'static str, token: Arc<str>, by: &Arc<str>, request_id: &Arc<str>) {
        let entry = AuditEntry { token: Some(token), ..entry(kind, "ok") };
        self.send(AuditEntry { principal: Some(by.clone()), request_id: Some(request_id.clone()), ..entry });
    }

    fn send(&self, entry: AuditEntry) {
        if let Some(sink) = &self.sink {
            sink.record(entry);
        }
    }
}

impl Witness for Audit {
    fn administered(&self, method: &str, context: &CallContext, outcome: Result<(), ErrorCode>) {
        let outcome = outcome.map_or_else(ErrorCode::as_str, |()| "ok");
        self.send(AuditEntry {
            principal: Some(context.principal.name.clone()),
            plugin: context.caller().map(|plugin| plugin.as_str().into()),
            what: Some(method.to_owned()),
            request_id: Some(context.request_id.clone()),
            ..entry("administered", outcome)
        });
    }
}

fn entry(kind: &'static str, outcome: &'static str) -> AuditEntry {
    let time = rfc3339(SystemTime::now());
    AuditEntry {
        time,
        kind,
        principal: None,
        plugin: None,
        token: None,
        what: None,
        request_id: None,
        outcome,
        count: None,
    }
}
