//! Calls, instances and reloads in one process, each beside what wasmtime itself needs for the same component. `cargo xtask bench`
//! builds the components and runs this; timing never fails anything.
#![expect(clippy::print_stdout, reason = "a benchmark speaks on stdout")]

mod ours;
mod raw;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;

use ours::Ours;

/// Calls of one measurement, after a tenth of it as warm-up.
const CALLS: u32 = 20_000;
/// Typed calls that one call of the relay makes.
const REPEATED: u32 = 2_000;

/// Imports that the relay calls so often in one call: as many as its budgets and its deadline allow.
const IMPORTS: &[(&str, u32, &str)] = &[
    ("request_id", REPEATED, "context.request-id"),
    ("config", REPEATED, "config.get"),
    ("storage_get", REPEATED, "storage.get of a key that is not there"),
    ("storage_set", 200, "storage.set, on disk"),
    ("publish", 1_000, "events.publish, nobody listens"),
    ("call", REPEATED, "services.call of echo.add"),
];

/// The components whose reload is measured: name, and what their size stands for.
const RELOADED: &[(&str, &str)] = &[("counter", "small"), ("greeter-js", "2 MB"), ("greeter-py", "18 MB")];

fn main() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    println!("| what | figure | limit in the same run | ratio |\n|---|---|---|---|");
    runtime.block_on(calls())?;
    runtime.block_on(reloads())
}

fn line(what: &str, figure: Duration, against: &str, limit: Duration) {
    let ratio = figure.as_secs_f64() / limit.as_secs_f64().max(1e-9);
    println!("| {what} | {figure:.2?} | {against}: {limit:.2?} | {ratio:.1} |");
}

async fn calls() -> Result<()> {
    let component = raw::Raw::of("echo")?;
    let mut instance = component.instance().await?;
    let (typed, dynamic) = (instance.typed(CALLS).await?, instance.dynamic(CALLS).await?);
    let ours = Ours::start(&["echo", "relay"]).await?;
    let call = ours.each(CALLS, "echo.add", &json!({ "a": 1, "b": 2 })).await?;
    line("call by name with JSON, in process", call, "typed call of wasmtime", typed);
    line("the same", call, "dynamic call of wasmtime", dynamic);
    let text = "x".repeat(4096);
    let long = ours.each(CALLS / 4, "echo.a_string", &json!([text])).await?;
    line("the same with a string of 4 KiB", long, "the small one", call);
    for (load, size, what) in [
        ("numbers", 0, "typed call from plugin to plugin, two numbers"),
        ("text", 4096, "the same, a string of 4 KiB"),
        ("bytes", 65_536, "the same, 64 KiB of bytes"),
        ("records", 100, "the same, a record with a list of 100 records"),
    ] {
        let params = json!({ "load": load, "size": size, "count": REPEATED });
        let each = ours.each(1, "relay.repeat", &params).await? / REPEATED;
        let limit = instance.both_ways(load, size, REPEATED).await?;
        line(what, each, "typed call of wasmtime with the same values", limit);
    }
    for (kind, count, what) in IMPORTS {
        let params = json!({ "kind": kind, "count": count });
        let each = ours.each(1, "relay.repeat_import", &params).await? / *count;
        line(&format!("import: {what}"), each, "typed call of wasmtime", typed);
    }
    ours.close().await;
    let begin = Instant::now();
    for _ in 0..CALLS / 100 {
        component.instance().await?;
    }
    line(
        "an instance of echo with its own store (wasmtime alone)",
        begin.elapsed() / (CALLS / 100),
        "typed call of wasmtime",
        typed,
    );
    Ok(())
}

/// `plugin.reload` from question to answer, of components that were never compiled and of ones that were.
async fn reloads() -> Result<()> {
    for (name, size) in RELOADED {
        let component = match raw::wasm(name) {
            Ok(path) => path,
            Err(_) => {
                println!("| reload of {name} | not built here | | |");
                continue;
            }
        };
        let ours = Ours::start(&[name]).await?;
        let plugin = name.split('-').next().unwrap_or(name);
        let cold = ours.reload_cold(name).await.with_context(|| plugin.to_owned())?;
        let cached = ours.reload(name).await?;
        ours.close().await;
        let (compile, load) = raw::compile_and_load(&component)?;
        line(&format!("reload, {size} ({name}), never compiled"), cold, "Cranelift compiles it", compile);
        line(&format!("reload, {size} ({name}), code cached"), cached, "its code is mapped and instantiable", load);
    }
    Ok(())
}
