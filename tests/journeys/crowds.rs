//! Components that are too much for an instance, and those that are just not.

use anyhow::Result;
use midplane_tests::{Host, copy_folder, core, crowd};
use serde_json::Value;

const MEMORY_BYTES: usize = 10 * 64 * 1024;

/// Drops a plugin in and says why it does not run; nothing if it does.
async fn load(host: &Host, name: &str, component: &[u8]) -> Result<String> {
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.state_changed", "plugin.load_failed"]).await?;
    let manifest = format!(
        "[plugin]\nname = {name:?}\nversion = \"0.1.0\"\ncomponent = \"crowd.wasm\"\nhost = \"^0.2\"\n\n[limits]\nmemory_bytes = {MEMORY_BYTES}\n"
    );
    let staged = tempfile::tempdir()?;
    std::fs::write(staged.path().join("crowd.wasm"), component)?;
    std::fs::write(staged.path().join("plugin.toml"), manifest)?;
    copy_folder(staged.path(), &host.plugins.join(name))?;
    let told = client
        .event(|event| {
            let payload = &event["payload"];
            payload["name"] == name && (event["topic"] == "plugin.load_failed" || payload["to"] == "running")
        })
        .await?;
    let reason = if told["topic"] == "plugin.load_failed" { &told["payload"]["reason"] } else { &Value::Null };
    Ok(reason.as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn an_instance_holds_so_many_modules_tables_and_memories_and_no_more() -> Result<()> {
    let host = Host::start().await?;
    for (what, module, fitting, refusal) in [
        ("modules", core::EMPTY, 256, "instance count too high at 257"),
        ("tables", core::TABLE, 64, "table count too high at 65"),
        // By their bytes, which count together.
        ("memories", core::MEMORY, 10, "exceeds memory limits"),
        ("elements", core::LARGE_TABLE, 2, "exceeds table limits"),
    ] {
        assert_eq!(load(&host, &format!("few-{what}"), &crowd(module, fitting)).await?, "", "{fitting} {what}");
        let reason = load(&host, &format!("many-{what}"), &crowd(module, fitting + 1)).await?;
        assert!(reason.contains(refusal), "{what}: {reason:?}");
    }
    Ok(())
}
