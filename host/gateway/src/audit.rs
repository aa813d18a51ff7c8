//! The audit log: who came in, who was refused, who changed what. Facts go to a sink that the program gives; a secret is never
//! among them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use midplane_model::{ErrorCode, Fault, event::rfc3339, limits::AUDIT_REFUSALS_PER_SECOND_MAX};
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
        let (written, missed) = {
            let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            let mut missed = 0;
            if refusals.since.elapsed() >= Duration::from_secs(1) {
                missed = refusals.count.saturating_sub(AUDIT_REFUSALS_PER_SECOND_MAX);
                *refusals = Refusals { since: Instant::now(), count: 0 };
            }
            refusals.count = refusals.count.saturating_add(1);
            (refusals.count <= AUDIT_REFUSALS_PER_SECOND_MAX, missed)
        };
        if missed > 0 {
            self.send(AuditEntry { count: Some(missed), ..entry("refused", "unauthenticated") });
        }
        if written {
            self.send(AuditEntry { what: Some(path.to_owned()), ..entry("refused", code.as_str()) });
        }
    }

    /// A token was made or ended by `by`.
    pub fn token(&self, kind: &'static str, token: Arc<str>, by: &Arc<str>, request_id: &Arc<str>) {
        let entry = AuditEntry { token: Some(token), ..entry(kind, "ok") };
        self.send(AuditEntry { principal: Some(by.clone()), request_id: Some(request_id.clone()), ..entry });
    }

    /// A call of a method that needs `admin`.
    pub fn administered<T>(&self, by: &Arc<str>, method: &str, request_id: &Arc<str>, outcome: &Result<T, Fault>) {
        let outcome = outcome.as_ref().map_or_else(|fault| fault.code.as_str(), |_| "ok");
        let entry = AuditEntry { principal: Some(by.clone()), ..entry("administered", outcome) };
        self.send(AuditEntry { what: Some(method.to_owned()), request_id: Some(request_id.clone()), ..entry });
    }

    fn send(&self, entry: AuditEntry) {
        if let Some(sink) = &self.sink {
            sink.record(entry);
        }
    }
}

fn entry(kind: &'static str, outcome: &'static str) -> AuditEntry {
    let time = rfc3339(SystemTime::now());
    AuditEntry { time, kind, principal: None, token: None, what: None, request_id: None, outcome, count: None }
}
