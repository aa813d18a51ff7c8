use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result};
use midplane_tests::set_in_manifest;
use serde_json::json;

use super::with_pages;

#[tokio::test]
async fn a_reload_under_load_loses_no_request_and_lets_streams_finish_on_the_old_package() -> Result<()> {
    let host = Arc::new(with_pages("").await?);
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.state_changed"]).await?;
    let (mut asking, answering) = host.ask("POST", "/p/pages/events", &[]).await?;
    let mut stream = answering.head().await?;

    let stop = Arc::new(AtomicBool::new(false));
    let mut visitors = Vec::new();
    for _ in 0..4 {
        let (host, stop) = (host.clone(), stop.clone());
        visitors.push(tokio::spawn(async move {
            let mut count = 0u64;
            while !stop.load(Ordering::Relaxed) {
                let mut answer = host.get("/p/pages/").await?;
                let body = answer.rest().await?;
                anyhow::ensure!((answer.status, body.as_str()) == (200, "hello from a page\n"), "{body}");
                count += 1;
            }
            anyhow::Ok(count)
        }));
    }
    for version in ["0.1.1", "0.1.2", "0.1.3"] {
        set_in_manifest(&host.plugins.join("pages"), "version", &format!("version = \"{version}\""))?;
        client.event(|event| event["payload"]["version"] == version && event["payload"]["to"] == "running").await?;
        client.call("plugin.reload", json!({ "name": "pages" })).await?;
    }
    stop.store(true, Ordering::Relaxed);
    for visitor in visitors {
        assert!(visitor.await?? > 0);
    }
    asking.chunk(b"still here\n").await?;
    assert_eq!(stream.chunk().await?.context("an event")?, b"data: still here\n\n");
    Ok(())
}

#[tokio::test]
async fn a_plugin_that_is_disabled_tells_nobody_anything_more() -> Result<()> {
    let host = with_pages("").await?;
    let mut client = host.connect().await?;
    let (mut asking, answering) = host.ask("POST", "/p/pages/events", &[]).await?;
    let mut stream = answering.head().await?;
    asking.chunk(b"one\n").await?;
    stream.chunk().await?;
    client.call("plugin.disable", json!({ "name": "pages" })).await?;
    assert!(stream.chunk().await.is_err());
    client.call("plugin.enable", json!({ "name": "pages" })).await?;
    assert_eq!(host.get("/p/pages/").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_stream_without_end_does_not_keep_the_host_from_stopping() -> Result<()> {
    let host = with_pages("").await?;
    let (_asking, answering) = host.ask("POST", "/p/pages/events", &[]).await?;
    let mut stream = answering.head().await?;
    assert_eq!(host.terminate().await?, Some(0));
    assert!(stream.chunk().await.is_err());
    Ok(())
}
