//! The host's own pages in a real browser.

use anyhow::Result;
use midplane_tests::{Browser, Host};
use serde_json::json;

#[tokio::test]
async fn the_printed_address_signs_in_and_shows_plugins_and_events_as_they_happen() -> Result<()> {
    let host = Host::start().await?;
    let mut browser = Browser::start().await?;
    browser.open(&format!("{}/#token={}", host.url, host.token)).await?;
    browser.shows("Workspace state: open files").await?;
    let address = browser.evaluate("location.href").await?;
    assert_eq!(address, format!("{}/", host.url), "the token does not stay in the address");
    assert_eq!(browser.evaluate("document.cookie").await?, "", "no script can read the cookie");
    let mut client = host.connect().await?;
    browser.shows("listening").await?;
    client.call("event.publish", json!({ "topic": "notes.written", "payload": "seen by the page" })).await?;
    browser.shows("seen by the page").await
}

#[tokio::test]
async fn the_methods_page_calls_a_method() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.call("files.write", json!({ "path": "a.txt", "content": "from the page" })).await?;
    let mut browser = Browser::start().await?;
    browser.open(&format!("{}/docs#token={}", host.url, host.token)).await?;
    browser.shows("files.read").await?;
    let call = r#"(() => {
        const details = document.getElementById('files.read');
        details.open = true;
        return new Promise((resolve) => details.addEventListener('toggle', () => setTimeout(resolve))).then(() => {
            details.querySelector('textarea').value = '{"path": "a.txt"}';
            details.querySelector('button').click();
        });
    })()"#;
    browser.evaluate(call).await?;
    browser.shows("from the page").await
}

#[tokio::test]
async fn without_a_token_the_page_asks_for_one_and_shows_nothing() -> Result<()> {
    let host = Host::start().await?;
    let mut browser = Browser::start().await?;
    browser.open(&format!("{}/#token=wrong", host.url)).await?;
    browser.shows("This host wants a token").await?;
    assert_eq!(browser.evaluate("document.getElementById('overview').hidden").await?, true);
    let sign_in = format!(
        "document.querySelector('input').value = {:?}; document.querySelector('form').requestSubmit()",
        host.token
    );
    browser.evaluate(&sign_in).await?;
    browser.shows("Workspace state: open files").await
}
