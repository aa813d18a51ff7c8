//! A component that is a service and pages at once.

use anyhow::Result;
use midplane_tests::{Host, Options, ask, copy_folder, guest, set_in_manifest};
use serde_json::json;

async fn with_guestbook(more: &str) -> Result<Host> {
    Host::start_with(Options::default(), |plugins| {
        let folder = plugins.join("guestbook");
        copy_folder(&guest("guestbook")?, &folder)?;
        set_in_manifest(&folder, "description", &format!("description = \"Of the tests\"\n{more}"))
    })
    .await
}

async fn page(host: &Host, path: &str) -> Result<String> {
    host.get(&format!("/p/guestbook{path}")).await?.rest().await
}

#[tokio::test]
async fn pages_and_methods_of_a_plugin_share_its_storage() -> Result<()> {
    let host = with_guestbook("").await?;
    let mut client = host.connect().await?;
    client.call("guestbook.sign", json!({ "text": "ada" })).await?;
    assert_eq!(page(&host, "/sign?grace").await?, "signed");
    assert_eq!(page(&host, "/").await?, "ada\ngrace");
    assert_eq!(client.call("guestbook.count", json!({})).await?, 2);
    Ok(())
}

/// So it counts against what the plugin may publish, and a page may speak for its plugin.
#[tokio::test]
async fn what_a_page_publishes_by_name_comes_from_its_plugin() -> Result<()> {
    let host = with_guestbook("").await?;
    let mut client = host.connect().await?;
    client.subscribe(&["guestbook.**"]).await?;
    page(&host, "/tell").await?;
    let origin = &client.event_on("guestbook.told").await?["origin"];
    assert_eq!((&origin["plugin"], &origin["principal"]), (&json!("guestbook"), &json!("owner")));
    Ok(())
}

#[tokio::test]
async fn a_page_acts_as_its_visitor_and_may_call_its_own_plugin() -> Result<()> {
    let host = with_guestbook("[http]\npublic = true").await?;
    assert_eq!(page(&host, "/who").await?, "owner");
    assert_eq!(page(&host, "/call?guestbook.count").await?, "0");
    assert_eq!(page(&host, "/call?workspace.list").await?, "forbidden", "a method that is not granted");
    // A visitor without a credential is somebody who may call nothing.
    for (path, answer) in [("/who", "anonymous"), ("/call?guestbook.count", "forbidden")] {
        let (_, answering) = ask(&host.url, "GET", &format!("/p/guestbook{path}"), &[]).await?;
        assert_eq!(answering.head().await?.rest().await?, answer, "{path}");
    }
    Ok(())
}
