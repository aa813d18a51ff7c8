//! `plugin.*`: the host's own service about plugins.

use std::{sync::Arc, time::Duration};

use midplane_model::{Fault, PluginName, Scope, ToolTraits, limits::PLUGIN_LOG_WAIT_MAX};
use midplane_router::{Params, Router, native_interface, register_native};
use serde_json::{Value, json};

use crate::{
    install::Wish,
    log_book::{LEVELS, LogQuery},
    supervisor::Plugins,
};

/// Log lines of one answer where the caller names no limit.
const LOGS_DEFAULT: usize = 100;

/// Registers `plugin.*`.
///
/// # Errors
/// `internal` if the WIT inside the program cannot be read, which the tests exclude.
pub fn register(router: &Router, plugins: &Arc<Plugins>) -> Result<(), Fault> {
    let interface = native_interface("plugin").map_err(|error| {
        tracing::error!(%error, "the WIT of native services");
        Fault::internal()
    })?;
    let scopes = [
        ("reload", Scope::Admin),
        ("enable", Scope::Admin),
        ("disable", Scope::Admin),
        ("logs", Scope::Admin),
        ("approve", Scope::Admin),
        ("install", Scope::Admin),
        ("remove", Scope::Admin),
    ];
    let plugins = plugins.clone();
    let handler = move |function: &str, params: Params, _| {
        let (plugins, function) = (plugins.clone(), function.to_owned());
        Box::pin(async move { serve(&plugins, &function, params).await }) as midplane_model::BoxFuture<'static, _>
    };
    let reload = ToolTraits { idempotent: true, ..ToolTraits::ADDS };
    let tools =
        [("list", ToolTraits::READS), ("get", ToolTraits::READS), ("logs", ToolTraits::READS), ("reload", reload)];
    register_native(router, interface, &scopes, &tools, Arc::new(handler));
    Ok(())
}

async fn serve(plugins: &Plugins, function: &str, mut params: Params) -> Result<Value, Fault> {
    if function == "list" {
        return Ok(json!(plugins.list()));
    }
    if function == "install" {
        let wish = Wish {
            source: params.take::<String>("source")?.into(),
            approve: params.take::<Option<bool>>("approve")?.unwrap_or_default(),
            sha256: params.take("sha256")?,
        };
        return Ok(json!(plugins.install(wish).await?));
    }
    let name = PluginName::parse(&params.take::<String>("name")?)?;
    match function {
        "get" => plugins.get(&name),
        "reload" => Ok(json!(plugins.reload(&name).await?)),
        "enable" => Ok(json!(plugins.enable(&name, true).await?)),
        "disable" => Ok(json!(plugins.enable(&name, false).await?)),
        "approve" => Ok(json!(plugins.approve(&name, params.take("sha256")?).await?)),
        "remove" => {
            let purge = params.take::<Option<bool>>("purge")?.unwrap_or_default();
            plugins.remove(&name, purge).await?;
            Ok(json!({ "name": name, "purged": purge }))
        }
        "logs" => {
            let wait = Duration::from_millis(params.take::<Option<u64>>("wait_ms")?.unwrap_or_default());
            let query = LogQuery {
                limit: params.take::<Option<u32>>("limit")?.map_or(LOGS_DEFAULT, |limit| limit as usize),
                level: params.take::<Option<String>>("level")?.map(|level| known_level(&level)).transpose()?,
                after: params.take("after")?,
            };
            Ok(json!(plugins.logs(&name, &query, wait.min(PLUGIN_LOG_WAIT_MAX)).await?))
        }
        _ => Err(Fault::internal()),
    }
}

fn known_level(level: &str) -> Result<&'static str, Fault> {
    let unknown = || Fault::invalid_params("params.level", format!("{level:?} is none of {}", LEVELS.join(", ")));
    LEVELS.into_iter().find(|known| *known == level).ok_or_else(unknown)
}
