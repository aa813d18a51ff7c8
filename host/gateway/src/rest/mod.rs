//! REST: methods under paths of their own, `application/json` in and out, problem documents for errors.
//!
//! Which paths there are is the registry's affair. Parameters come from the path, the query and, for verbs that have one, a
//! JSON body; text becomes values by the type of the parameter it is for ([`params`]). Every method has the path
//! `POST /api/v1/methods/{method}` besides, with its parameters as the body. On a raw route the bodies are bytes that pass around the
//! component ([`raw`]), a whole file as an answer ([`download`]). Clients that upload by tus say and hear the same in headers ([`tus`]).

mod answer;
mod conditions;
mod download;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod made;
pub(crate) mod native;
mod params;
mod range;
mod raw;
mod text;
mod tus;

use std::sync::Arc;

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{FromRequest as _, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use http_body::Body as _;
use midplane_model::{CallContext, ErrorCode, Fault, Principal};
use midplane_protocol::{Invocation, Meta};
use midplane_router::{Found, REST_PREFIX, Verb, Wanted};
use percent_encoding::percent_decode_str;

use tus::Tus;

use crate::{call::Success, headers, problem::Problem, shared::Shared, tokens::Identity};

/// The first segment of the path that every method has.
const METHODS: &str = "methods";

/// Serves everything below the prefix.
pub(crate) async fn serve(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Arc<Principal>>,
    Extension(identity): Extension<Arc<Identity>>,
    request: axum::extract::Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let tus = match Tus::asked(&parts.headers) {
        Ok(tus) => tus,
        Err(other) => return other.into_response(),
    };
    let method = tus.map_or_else(|| parts.method.clone(), |_| Tus::method(&parts.headers, &parts.method));
    let request = Request { parts: &parts, method: &method, uri: &parts.uri, headers: &parts.headers, tus, body };
    let response = match request.answer(&shared, &principal, identity).await {
        Ok(response) => response,
        Err(refusal) => {
            shared.metrics.error(refusal.code());
            refusal.into_response()
        }
    };
    match tus {
        Some(tus) => tus.dress(response, &method, parts.uri.path()).await,
        None => response,
    }
}

struct Request<'a> {
    parts: &'a Parts,
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    tus: Option<Tus>,
    body: Body,
}

/// What never became a call.
enum Refusal {
    Problem(Problem),
    /// 405 with what is allowed.
    OtherVerb(Vec<Verb>),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Problem(fault.into())
    }
}

impl Refusal {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Problem(problem) => problem.code(),
            Self::OtherVerb(_) => ErrorCode::InvalidRequest,
        }
    }

    fn into_response(self) -> Response {
        let verbs = match self {
            Self::Problem(problem) => return problem.into_response(),
            Self::OtherVerb(verbs) => verbs,
        };
        let detail = format!("this path takes {}", allowed(&verbs));
        let problem = Problem::with_status(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::InvalidRequest, detail);
        let mut response = problem.into_response();
        allow(&mut response, &verbs);
        response
    }
}

fn allowed(verbs: &[Verb]) -> String {
    let mut allowed: Vec<&str> = verbs.iter().map(|verb| verb.as_str()).collect();
    if verbs.contains(&Verb::Get) {
        allowed.push("HEAD");
    }
    allowed.push("OPTIONS");
    allowed.join(", ")
}

fn allow(response: &mut Response, verbs: &[Verb]) {
    if let Ok(allowed) = HeaderValue::from_str(&allowed(verbs)) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
}

impl Request<'_> {
    async fn answer(
        self,
        shared: &Arc<Shared>,
        principal: &Arc<Principal>,
        identity: Arc<Identity>,
    ) -> Result<Response, Refusal> {
        let meta = headers::meta(self.headers)?;
        if self.method == Method::OPTIONS {
            return self.options(shared);
        }
        let found = self.find(shared)?;
        let function = &found.method.function;
        let mut given = params::Given::default();
        given.path(function, &found.parameters)?;
        given.query(function, self.uri.query().unwrap_or_default())?;
        // A file that is read judges its conditions itself.
        if !found.raw || found.verb.has_body() {
            given.if_match(function, self.headers)?;
        }
        if let Some(tus) = self.tus {
            tus.fill(&mut given, function, found.verb, self.headers).map_err(Refusal::Problem)?;
        }
        if found.raw {
            return self.pass(shared, principal, identity, found, given, meta).await;
        }
        let limited = axum::extract::Request::from_parts(self.parts.clone(), self.body);
        let body = Bytes::from_request(limited, &()).await.map_err(|rejection| shared.unread("body", &rejection))?;
        if found.verb.has_body() {
            given.body(self.headers, &body).map_err(Refusal::Problem)?;
        } else if !body.is_empty() {
            return Err(no_body(found.verb).into());
        }
        let invocation = Invocation { method: found.method.name.clone(), params: given.into_params(), meta };
        let cancel = shared.abort.child_token();
        // Dropped with this future when the client goes away.
        let _gone = cancel.clone().drop_guard();
        let context = shared.context(principal, None, &invocation.meta, cancel);
        let request_id = context.request_id.clone();
        let response = match shared.run(invocation, context).await {
            Ok(Success { reply, at }) => {
                let response = answer::success(&reply, found.status, self.method, self.headers);
                answer::placed(response, &at)
            }
            Err(fault) => answer::failure(fault),
        };
        Ok(answer::identified(response, &request_id))
    }

    /// A call whose bytes pass around its component.
    async fn pass(
        self,
        shared: &Arc<Shared>,
        principal: &Arc<Principal>,
        identity: Arc<Identity>,
        found: Found,
        mut given: params::Given,
        meta: Meta,
    ) -> Result<Response, Refusal> {
        let has_body = found.verb.has_body();
        if has_body {
            raw::check_body(self.headers).map_err(Refusal::Problem)?;
            given.if_none_match(&found.method.function, self.headers)?;
        } else if !self.body.is_end_stream() {
            return Err(no_body(found.verb).into());
        }
        if meta.idempotency_key.is_some() {
            let message = "bytes have no idempotency key; ask for a version with If-Match or If-None-Match";
            return Err(Fault::new(ErrorCode::NotSupported, message).into());
        }
        let invocation = Invocation { method: found.method.name.clone(), params: given.into_params(), meta };
        let cancel = shared.abort.child_token();
        // Dropped with this future when the client goes away.
        let _gone = cancel.clone().drop_guard();
        let passing = raw::Passing::new(has_body);
        let context = shared.context(principal, None, &invocation.meta, cancel.clone());
        let context = CallContext { exchange: Some(passing.clone()), ..context };
        let request_id = context.request_id.clone();
        let effects = context.effects.clone();
        let result = shared.run(invocation, context).await;
        let raw::Handed { download, made, upload } = passing.take();
        let result = match (result, upload) {
            (Ok(_), Some(upload)) => raw::receive(self.body, upload, &cancel).await,
            (result, _) => result.map(|success| success.reply),
        };
        let response = match (result, download) {
            (Err(fault), _) => answer::failure(params::as_condition(fault, self.headers)),
            (Ok(_), Some(download)) => {
                let stop = shared.streams.clone();
                let asking = download::Asking { method: self.method, headers: self.headers, identity, stop };
                download::respond(asking, download)
            }
            (Ok(reply), None) => match made {
                Some(made) => made::respond(self.method, made, identity, shared.streams.clone()),
                None => answer::success(&reply, found.status, self.method, self.headers),
            },
        };
        Ok(answer::identified(answer::placed(response, &effects.positions()), &request_id))
    }

    /// What may be asked of the path.
    fn options(&self, shared: &Shared) -> Result<Response, Refusal> {
        let segments = segments(self.uri.path())?;
        let verbs = match (shared.router.route(None, &segments), self.find(shared)) {
            // The path that every method has.
            (Wanted::OtherVerb(verbs), _) | (_, Err(Refusal::OtherVerb(verbs))) => verbs,
            (_, found) => return found.map(|_| StatusCode::NO_CONTENT.into_response()),
        };
        let mut response = StatusCode::NO_CONTENT.into_response();
        allow(&mut response, &verbs);
        if let Wanted::Found(found) = shared.router.route(Some(Verb::Post), &segments)
            && tus::tells_of_uploads(&found.method.function)
        {
            tus::describe(&mut response);
        }
        Ok(response)
    }

    fn find(&self, shared: &Shared) -> Result<Found, Refusal> {
        let segments = segments(self.uri.path())?;
        if let [methods, method] = &segments[..]
            && methods == METHODS
        {
            if self.method != Method::POST {
                return Err(Refusal::OtherVerb(vec![Verb::Post]));
            }
            let method = shared.router.find(method)?;
            return Ok(Found { method, verb: Verb::Post, status: 200, raw: false, parameters: Vec::new() });
        }
        let asked = if self.method == Method::HEAD { "GET" } else { self.method.as_str() };
        match shared.router.route(Verb::parse(asked), &segments) {
            Wanted::Found(found) => Ok(found),
            Wanted::OtherVerb(verbs) => Err(Refusal::OtherVerb(verbs)),
            Wanted::Nothing => {
                let detail = "there is nothing at this path; /openapi.json lists what there is";
                Err(Fault::new(ErrorCode::NotFound, detail).into())
            }
        }
    }
}

fn no_body(verb: Verb) -> Fault {
    let verb = verb.as_str();
    Fault::new(ErrorCode::InvalidRequest, format!("{verb} takes no body here; parameters are in the query"))
}

/// The segments below the prefix. Each is decoded on its own, so an encoded slash is part of a name.
fn segments(path: &str) -> Result<Vec<String>, Fault> {
    let below = path.strip_prefix(REST_PREFIX).unwrap_or_default();
    let decode = |segment: &str| {
        let text = percent_decode_str(segment).decode_utf8();
        text.map(Into::into).map_err(|_| Fault::new(ErrorCode::InvalidRequest, "the path is not UTF-8"))
    };
    below.split('/').map(decode).collect()
}
