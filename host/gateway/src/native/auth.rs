//! `auth.*`: tokens are issued, listed and revoked.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use midplane_model::{
    BoxFuture, CallContext, ErrorCode, Fault, Scope, ToolTraits,
    event::rfc3339,
    limits::{TOKEN_AGE_MAX, TOKEN_NAME_BYTES_MAX, TOKEN_SCOPES_MAX},
    schema::Interface,
};
use midplane_router::{Params, register_native};
use serde_json::{Value, json};

use crate::{
    audit::Audit,
    shared::Shared,
    tokens::{TokenRecord, Tokens},
    vouching::Vouching,
};

struct AuthService {
    tokens: Arc<Tokens>,
    vouching: Arc<Vouching>,
    audit: Arc<Audit>,
}

pub(crate) fn register(interface: Interface, shared: &Shared) {
    let Shared { router, tokens, vouching, audit, .. } = shared;
    let (tokens, vouching, audit) = (tokens.clone(), vouching.clone(), audit.clone());
    let service = Arc::new(AuthService { tokens, vouching, audit });
    let handler = move |function: &str, params: Params, context: CallContext| -> BoxFuture<'static, _> {
        let (service, function) = (service.clone(), function.to_owned());
        // The store writes to a disk.
        let answer = tokio::task::spawn_blocking(move || service.serve(&function, params, &context));
        Box::pin(async { answer.await.unwrap_or_else(|_| Err(Fault::internal())) })
    };
    let scopes = ["create_token", "list_tokens", "revoke_token"].map(|function| (function, Scope::Admin));
    register_native(router, interface, &scopes, &[("whoami", ToolTraits::READS)], Arc::new(handler));
}

impl AuthService {
    fn serve(&self, function: &str, params: Params, context: &CallContext) -> Result<Value, Fault> {
        match function {
            "create_token" => self.create(params, context),
            "list_tokens" => Ok(self.list()),
            "revoke_token" => self.revoke(params, context),
            "whoami" => self.whoami(context),
            _ => Err(Fault::internal()),
        }
    }

    fn create(&self, mut params: Params, context: &CallContext) -> Result<Value, Fault> {
        let name: String = params.take("name")?;
        check_name(&name)?;
        let scopes = scopes(&params.take::<Vec<String>>("scopes")?, context)?;
        let expires_in = params.take::<Option<u64>>("expires_in_s")?.map(Duration::from_secs);
        if expires_in.is_some_and(|life| life.is_zero() || life > TOKEN_AGE_MAX) {
            let message = format!("params.expires_in_s: expected 1 to {}", TOKEN_AGE_MAX.as_secs());
            return Err(Fault::invalid_params("params.expires_in_s", message));
        }
        let made = self.tokens.create(&name, scopes, expires_in)?;
        self.audit.token("token_created", made.record.id.clone(), &context.principal.name, &context.request_id);
        let expires_at = made.record.expires_at().map(rfc3339);
        Ok(json!({ "id": made.record.id, "token": made.secret, "expires_at": expires_at }))
    }

    fn list(&self) -> Value {
        let describe = |(record, last_used): (TokenRecord, Option<SystemTime>)| {
            let mut token = record.describe();
            token["last_used_at"] = last_used.map(rfc3339).into();
            token
        };
        self.tokens.list().into_iter().map(describe).collect()
    }

    fn revoke(&self, mut params: Params, context: &CallContext) -> Result<Value, Fault> {
        let id: String = params.take("id")?;
        if id == "owner" {
            let message = "the owner's token is a file of the host; to change it, stop the host and delete the file";
            return Err(Fault::new(ErrorCode::NotSupported, message));
        }
        if !self.tokens.revoke(&id)? {
            return Err(Fault::not_found(format!("there is no token {id:?}; auth.list_tokens names those there are")));
        }
        self.audit.token("token_revoked", id.as_str().into(), &context.principal.name, &context.request_id);
        Ok(json!({ "id": id }))
    }

    fn whoami(&self, context: &CallContext) -> Result<Value, Fault> {
        let principal = &context.principal;
        let identity = self.tokens.of(principal).or_else(|| self.vouching.of(principal)).ok_or_else(|| {
            Fault::new(ErrorCode::Unauthenticated, format!("the token of {:?} is no longer valid", principal.name))
        })?;
        let scopes: Vec<String> = principal.scopes.iter().map(ToString::to_string).collect();
        let expires_at = identity.expires_at().map(rfc3339);
        Ok(
            json!({ "principal": principal.name, "token_id": identity.token, "scopes": scopes, "expires_at": expires_at }),
        )
    }
}

/// Letters that need no quoting anywhere. A colon is none of them, so no token is named like a plugin's own principal.
fn check_name(name: &str) -> Result<(), Fault> {
    let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c);
    if !name.is_empty() && name.len() <= TOKEN_NAME_BYTES_MAX && name.bytes().all(good) {
        return Ok(());
    }
    let message = format!("params.name: expected 1 to {TOKEN_NAME_BYTES_MAX} of a-z, 0-9, '.', '_', '-', got {name:?}");
    Err(Fault::invalid_params("params.name", message))
}

/// The scopes as asked for, none of them wider than the caller's own.
fn scopes(texts: &[String], context: &CallContext) -> Result<Vec<Scope>, Fault> {
    if texts.is_empty() || texts.len() > TOKEN_SCOPES_MAX {
        let message = format!("params.scopes: expected 1 to {TOKEN_SCOPES_MAX} scopes, got {}", texts.len());
        return Err(Fault::invalid_params("params.scopes", message));
    }
    let parse = |(index, text): (usize, &String)| {
        let scope = Scope::parse(text).map_err(|fault| {
            let path = format!("params.scopes[{index}]");
            Fault::invalid_params(&path, format!("{path}: {}", fault.message))
        })?;
        if context.principal.may(&scope) {
            return Ok(scope);
        }
        let message = format!("{:?} does not have the scope {text:?}, so it cannot give it", context.principal.name);
        Err(Fault::new(ErrorCode::Forbidden, message).with("scope", text.as_str()))
    };
    texts.iter().enumerate().map(parse).collect()
}
