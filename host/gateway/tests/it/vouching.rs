//! What the door does with the word of an authenticator, and without one.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use midplane_gateway::TokenPolicy;
use midplane_model::{
    Authenticator, Authenticators, BoxFuture, Credential, ErrorCode, Fault, Principal, Scope, Vouched,
    limits::STRANGERS_MAX,
};
use serde_json::json;

use crate::{
    http_client::send,
    support::{BEARER, Host, start_with},
};

/// Knows `alice`, as long as it answers at all; never answers `slow`.
#[derive(Clone, Default)]
struct Office {
    silent: Arc<AtomicBool>,
}

impl Authenticators for Office {
    fn current(&self) -> Option<Arc<dyn Authenticator>> {
        Some(Arc::new(self.clone()))
    }
}

impl Authenticator for Office {
    fn name(&self) -> &str {
        "office"
    }

    fn takes_bearers(&self) -> bool {
        true
    }

    fn cookies(&self) -> &[Arc<str>] {
        &[]
    }

    fn authenticate(&self, credential: Credential) -> BoxFuture<'static, Result<Option<Vouched>, Fault>> {
        let answer = match credential {
            _ if self.silent.load(Ordering::Relaxed) => Err(Fault::new(ErrorCode::PluginUnavailable, "is starting")),
            Credential::Bearer(token) if &*token == "slow" => return Box::pin(std::future::pending()),
            Credential::Bearer(token) if &*token == "alice" => {
                let principal = Principal { name: "office:alice".into(), scopes: [Scope::Read].into() };
                Ok(Some(Vouched { principal, expires_at: None }))
            }
            _ => Ok(None),
        };
        Box::pin(async { answer })
    }
}

const ALICE: (&str, &str) = ("authorization", "Bearer alice");

async fn start() -> (Host, Office) {
    let office = Office::default();
    let asked: Arc<dyn Authenticators> = Arc::new(office.clone());
    (start_with(|config| config.authenticators = Some(asked)).await, office)
}

#[tokio::test]
async fn a_connection_that_nobody_can_confirm_is_told_to_come_back() {
    let (host, office) = start().await;
    let mut alice = host.try_socket("/ws", &[ALICE]).await.unwrap();
    let me = alice.call("auth.whoami", json!({})).await;
    assert_eq!(me["result"]["principal"], "office:alice");
    office.silent.store(true, Ordering::Relaxed);
    assert_eq!(alice.closed().await.map(|(code, _)| code), Some(4012));
    assert_eq!(host.try_socket("/ws", &[ALICE]).await.err(), Some(503));
    let mut owner = host.try_socket("/ws", &[BEARER]).await.unwrap();
    assert_eq!(owner.call("auth.whoami", json!({})).await["result"]["principal"], "owner");
}

#[tokio::test]
async fn strangers_without_number_leave_room_for_who_is_known() {
    let (host, _office) = start().await;
    assert!(host.try_socket("/ws", &[ALICE]).await.is_ok());
    let slow = ("authorization", "Bearer slow");
    let waiting: Vec<_> = (0..STRANGERS_MAX)
        .map(|_| {
            tokio::spawn({
                let addr = host.addr;
                async move { send(addr, "GET", "/readyz", &[slow], "").await.status }
            })
        })
        .collect();
    // One that finds no place is answered at once; until all are inside, each of these is refused for another reason.
    while send(host.addr, "GET", "/readyz", &[("authorization", "Bearer unknown")], "").await.status == 401 {}
    assert_eq!(send(host.addr, "GET", "/readyz", &[ALICE], "").await.status, 200);
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn where_everybody_may_come_nobody_is_asked() {
    let office = Office::default();
    office.silent.store(true, Ordering::Relaxed);
    let asked: Arc<dyn Authenticators> = Arc::new(office);
    let host = start_with(|config| {
        config.authenticators = Some(asked);
        config.token = TokenPolicy::Open;
    })
    .await;
    assert_eq!(send(host.addr, "GET", "/readyz", &[ALICE], "").await.status, 200);
}
