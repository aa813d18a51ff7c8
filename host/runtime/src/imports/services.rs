//! Calls by name.

use midplane_model::{Call, Fault, Topic, json};
use midplane_router::Owner;

use super::denied;
use crate::{
    bindings::{Error, imports::services},
    instance::Guest,
};

impl Guest {
    fn call_by_name(&self, method: &str, params: &str) -> Result<Call, Fault> {
        // Method names have the grammar of topics, so grants are patterns.
        let name = Topic::parse(method)?;
        if !self.package.manifest.grants.methods.iter().any(|grant| grant.matches(&name)) {
            return Err(denied("methods", &format!("calling {method}")));
        }
        let wrong = |reason| Fault::invalid_params("params", format!("params: {reason}"));
        let params = json::parse_strictly(params).map_err(wrong)?;
        Ok(Call { method: method.into(), params, context: self.outgoing() })
    }
}

impl services::Host for Guest {
    async fn call(&mut self, method: String, params: String) -> wasmtime::Result<Result<String, Error>> {
        let (host, held, call) = (self.host.clone(), self.held(false), self.call_by_name(&method, &params));
        let answer = self.in_time(async move {
            let call = call?;
            let method = host.parts.router.find(&call.method)?;
            let _waiting = match (&held, &method.owner) {
                (Some(held), Owner::Plugin(plugin)) => held.wait_for(plugin, &call.context)?,
                _ => None,
            };
            host.parts.router.call_found(&method, call).await
        });
        let answer = answer.await;
        Ok(answer.map(|reply| reply.result.get().to_owned()).map_err(Error::from))
    }

    async fn methods(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.host.parts.router.methods().keys().map(ToString::to_string).collect())
    }
}
