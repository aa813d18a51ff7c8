//! Who a request comes from (contract, section 5): one layer before every route, so that a new route cannot be forgotten.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use midplane_model::{Credential, ErrorCode, Fault, limits::REVOKED_ANSWER_MAX};
use serde_json::json;

use crate::{
    guard,
    listeners::Local,
    pages,
    problem::Problem,
    routes::{Access, SOCKET_PATH, access},
    shared::Shared,
    terminal_socket,
    tokens::{Identity, digest},
};

/// The prefix of a subprotocol that carries the token: browsers can set no header on a WebSocket.
const BEARER_PROTOCOL: &str = "midplane.bearer.";

/// What the gateway knows of the first token: its SHA-256. The token itself is nowhere in its memory after the start.
#[derive(Clone)]
pub struct Credentials {
    pub(crate) digest: [u8; 32],
}

impl Credentials {
    #[must_use]
    pub fn of_token(token: &str) -> Self {
        Self { digest: digest(token) }
    }
}

/// The layer: host and origin first, then who it is; handlers find identity and principal as extensions.
pub(crate) async fn gate(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let checked = match request.extensions().get::<Local>() {
        Some(Local) => guard::check_local(request.headers()),
        None => shared.guard.check(request.method(), request.uri(), request.headers()),
    };
    if let Err(problem) = checked {
        return problem.into_response();
    }
    let identity = match access(request.uri().path()) {
        Access::Public => None,
        Access::Authenticated => {
            let identity = match identity(&shared, request.uri(), request.headers()).await {
                Ok(Some(identity)) => identity,
                Ok(None) => return unauthenticated(&shared, request.uri()).into_response(),
                Err(fault) => return refused(&shared, request.uri(), fault).into_response(),
            };
            shared.audit.used(&identity, request.uri().path());
            request.extensions_mut().insert(identity.principal.clone());
            request.extensions_mut().insert(identity.clone());
            Some(identity)
        }
        Access::ByPlugin => match pages::admit(&shared, request.method(), request.uri(), request.headers()).await {
            Ok(visitor) => {
                let identity = visitor.identity.clone();
                request.extensions_mut().insert(visitor);
                identity
            }
            Err(problem) => return problem.into_response(),
        },
    };
    match identity {
        None => next.run(request).await,
        Some(identity) => while_valid(&shared, &identity, request, next).await,
    }
}

/// A request ends with its credential, as a socket does, up to the head of its answer; who makes a body that lasts looks after that.
/// An answer that is about to come still does: who ends its own token hears of it.
async fn while_valid(shared: &Shared, identity: &Identity, request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let mut answer = std::pin::pin!(next.run(request));
    let end = tokio::select! {
        biased;
        response = &mut answer => return response,
        end = identity.ended() => end,
    };
    let last = tokio::time::timeout(REVOKED_ANSWER_MAX, answer).await;
    last.unwrap_or_else(|_| refused(shared, &uri, end.fault()).into_response())
}

pub(crate) fn unauthenticated(shared: &Shared, uri: &Uri) -> Problem {
    shared.metrics.refused();
    shared.audit.refused(uri.path(), ErrorCode::Unauthenticated);
    let detail = "send the token as \"Authorization: Bearer …\"; the host printed its place when it started";
    Problem::new(ErrorCode::Unauthenticated, detail)
}

/// Nobody could say who it is: then it is nobody. Or the credential has ended meanwhile.
pub(crate) fn refused(shared: &Shared, uri: &Uri, fault: Fault) -> Problem {
    shared.metrics.refused();
    shared.audit.refused(uri.path(), fault.code);
    fault.into()
}

/// Whether `Authorization` holds a credential for the host, its own or one that is vouched for, or could hold one.
pub(crate) fn is_ours(shared: &Shared, headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| value.to_str().ok());
    let mut tokens = values.filter_map(|value| value.split_once(' ')).filter(|(kind, _)| is_bearer(kind));
    // Without authentication the host does not know its first token. A client may, and send it out of habit.
    tokens.any(|(_, token)| {
        shared.tokens.anybody().is_some()
            || shared.tokens.find(token.trim()).is_some()
            || shared.vouching.knows(&Credential::Bearer(token.trim().into()))
    })
}

fn is_bearer(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("bearer")
}

/// What a request shows. The first kind of credential that is there decides; a wrong one is not made good by another.
enum Shown {
    Nothing,
    Ours(Arc<Identity>),
    /// None of the host's.
    Foreign(Credential),
}

/// Whose request this is.
///
/// # Errors
/// `unavailable` when an authenticator would know and gives no answer.
pub(crate) async fn identity(shared: &Shared, uri: &Uri, headers: &HeaderMap) -> Result<Option<Arc<Identity>>, Fault> {
    match shown(shared, uri, headers) {
        Shown::Nothing => Ok(None),
        // A cookie or a ticket may stand for one who is vouched for.
        Shown::Ours(identity) => Ok(identity.confirm().await?.then_some(identity)),
        Shown::Foreign(credential) => shared.vouching.identify(credential).await,
    }
}

fn shown(shared: &Shared, uri: &Uri, headers: &HeaderMap) -> Shown {
    if let Some(anybody) = shared.tokens.anybody() {
        return Shown::Ours(anybody);
    }
    let bearer = |token: &str| match shared.tokens.find(token) {
        Some(identity) => Shown::Ours(identity),
        None => Shown::Foreign(Credential::Bearer(token.into())),
    };
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let value = value.to_str().ok().and_then(|value| value.split_once(' '));
        return value.filter(|(kind, _)| is_bearer(kind)).map_or(Shown::Nothing, |(_, token)| bearer(token.trim()));
    }
    if uri.path() == SOCKET_PATH || uri.path().starts_with(terminal_socket::PREFIX) {
        if let Some(encoded) = offered_bearer(headers) {
            let token = URL_SAFE_NO_PAD.decode(encoded).ok().and_then(|token| String::from_utf8(token).ok());
            return token.map_or(Shown::Nothing, |token| bearer(&token));
        }
        if let Some(ticket) = query_value(uri, "ticket") {
            return shared.tickets.redeem(ticket).map_or(Shown::Nothing, Shown::Ours);
        }
    }
    let own = cookie_value(headers, &shared.cookie_name()).and_then(|secret| shared.cookies.find(secret));
    // A cookie of ours that a restart has ended does not keep out whom another one lets in.
    own.map(Shown::Ours).or_else(|| foreign_cookie(shared, headers)).unwrap_or(Shown::Nothing)
}

/// The first cookie that the authenticator judges. Not every such cookie is `SameSite=Strict` as ours is, so what another site makes a
/// browser send is not looked at.
fn foreign_cookie(shared: &Shared, headers: &HeaderMap) -> Option<Shown> {
    if guard::is_cross_site(headers) {
        return None;
    }
    let authenticator = shared.vouching.current()?;
    let found = authenticator.cookies().iter().find_map(|name| Some((name, cookie_value(headers, name)?)));
    found.map(|(name, value)| Shown::Foreign(Credential::Cookie { name: name.clone(), value: value.into() }))
}

fn offered_bearer(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).find_map(|protocol| protocol.trim().strip_prefix(BEARER_PROTOCOL))
}

fn query_value<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value))
}

fn cookie_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value))
}

/// `POST /auth/exchange`: a browser's token becomes a cookie that no script can read.
pub(crate) async fn exchange(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Arc<Identity>>,
) -> Result<Response, Problem> {
    let secret = shared.cookies.issue(identity)?;
    let secure = if shared.config.behind_tls { "; Secure" } else { "" };
    let (name, age) = (shared.cookie_name(), shared.cookies.age_max().as_secs());
    let cookie = format!("{name}={secret}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}");
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// `POST /auth/ticket`: a secret for one WebSocket, soon, as `?ticket=`.
pub(crate) async fn ticket(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Arc<Identity>>,
) -> Result<Response, Problem> {
    let ticket = shared.tickets.issue(identity)?;
    let expires_in_ms = u64::try_from(shared.tickets.age_max().as_millis()).unwrap_or(u64::MAX);
    let body = json!({"ticket": ticket, "expires_in_ms": expires_in_ms});
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response())
}
