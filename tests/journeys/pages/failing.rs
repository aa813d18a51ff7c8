use anyhow::{Context, Result};
use midplane_tests::{Host, Options, PATIENCE, copy_folder, guest, set_in_manifest};
use serde_json::json;

use super::problem;

async fn with_bad_pages() -> Result<Host> {
    Host::start_with(Options::default(), |plugins| {
        copy_folder(&guest("pages")?, &plugins.join("pages"))?;
        copy_folder(&guest("bad-pages")?, &plugins.join("bad-pages"))
    })
    .await
}

#[tokio::test]
async fn a_page_that_fails_before_its_answer_is_a_problem_and_nobody_else_notices() -> Result<()> {
    let host = with_bad_pages().await?;
    let mut client = host.connect().await?;
    for (path, status, code) in [
        ("/trap", 502, "plugin_failed"),
        ("/silent", 502, "plugin_failed"),
        ("/error", 502, "plugin_failed"),
        ("/leak", 502, "plugin_failed"),
        ("/many-headers", 502, "plugin_failed"),
        ("/informational", 502, "plugin_failed"),
        ("/spin", 504, "timeout"),
        ("/never", 504, "timeout"),
    ] {
        let bad = format!("/p/bad-pages{path}");
        let (failed, good) = tokio::join!(problem(&host, &bad), host.get("/p/pages/"));
        let (got, problem) = failed.context(path)?;
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{path}: {problem}");
        assert_eq!(problem["details"]["plugin"], "bad-pages", "{path}: {problem}");
        assert_eq!(good?.status, 200, "beside {path}");
        assert_eq!(host.get("/p/bad-pages/").await?.status, 200, "after {path}");
        let logs = client.call("plugin.logs", json!({ "name": "bad-pages" })).await?;
        assert!(logs.to_string().contains("bad-pages"), "{path}: {logs}");
    }
    let info = client.call("plugin.get", json!({ "name": "bad-pages" })).await?;
    assert_eq!((info["state"].as_str(), info["generation"].as_u64()), (Some("running"), Some(1)));
    Ok(())
}

#[tokio::test]
async fn a_page_that_fails_in_the_middle_of_its_answer_is_cut_off_not_ended() -> Result<()> {
    let host = with_bad_pages().await?;
    for path in ["/trap-later", "/spin-later", "/stall"] {
        let mut answer = match host.get(&format!("/p/bad-pages{path}")).await {
            // On a busy machine it may trap before anything of the answer is on its way.
            Err(cut) if path == "/trap-later" && cut.root_cause().to_string().contains("closed the connection") => {
                continue;
            }
            answer => answer?,
        };
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.chunk().await?.as_deref(), Some(&b"begun\n"[..]), "{path}");
        assert!(answer.chunk().await.is_err(), "{path} must not look like a whole answer");
    }
    Ok(())
}

/// Bad pages whom nothing but their client ends.
async fn with_patient_bad_pages() -> Result<Host> {
    Host::start_with(Options::default(), |plugins| {
        let folder = plugins.join("bad-pages");
        copy_folder(&guest("pages")?, &plugins.join("pages"))?;
        copy_folder(&guest("bad-pages")?, &folder)?;
        set_in_manifest(&folder, "deadline_ms", "deadline_ms = 600000")?;
        set_in_manifest(&folder, "idle_ms", "idle_ms = 600000")
    })
    .await
}

/// Resolves when the plugin has room for one more visit.
async fn room(host: &Host) -> Result<()> {
    let asking = async {
        while host.get("/p/bad-pages/").await?.status == 503 {}
        Ok(())
    };
    tokio::time::timeout(PATIENCE, asking).await.context("nobody left")?
}

#[tokio::test]
async fn a_plugin_that_is_full_says_when_to_try_again_and_a_client_that_leaves_makes_room() -> Result<()> {
    let host = with_patient_bad_pages().await?;
    let mut inside = Vec::new();
    for _ in 0..3 {
        // Nobody reads these: the guests soon wait for their clients.
        inside.push(host.get("/p/bad-pages/flood").await?);
    }
    let (status, full) = problem(&host, "/p/bad-pages/").await?;
    assert_eq!((status, full["code"].as_str()), (503, Some("unavailable")), "{full}");
    assert_eq!(host.get("/p/bad-pages/").await?.header("retry-after"), ["1"]);
    assert_eq!(host.get("/p/pages/").await?.status, 200);
    inside.pop();
    room(&host).await
}

#[tokio::test]
async fn a_client_that_leaves_before_its_answer_ends_the_guests_work() -> Result<()> {
    let host = with_patient_bad_pages().await?;
    let mut waiting = Vec::new();
    for path in ["/never", "/spin", "/never"] {
        waiting.push(host.ask("GET", &format!("/p/bad-pages{path}"), &[]).await?);
    }
    while host.get("/p/bad-pages/").await?.status != 503 {}
    drop(waiting);
    room(&host).await
}
