//! What plugins answer over HTTP below `/p/{plugin}/`.

mod confined;
mod failing;
mod outgoing;
mod reloaded;
mod served;
mod shared;

use anyhow::Result;
use midplane_tests::{Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::Value;

/// A host with the guest `pages`, whose manifest gets these lines more.
async fn with_pages(more: &str) -> Result<Host> {
    Host::start_with(Options::default(), |plugins| {
        let folder = plugins.join("pages");
        copy_folder(&guest("pages")?, &folder)?;
        set_in_manifest(&folder, "description", &format!("description = \"Of the tests\"\n{more}"))
    })
    .await
}

/// Status and code of a problem document.
async fn problem(host: &Host, path: &str) -> Result<(u16, Value)> {
    let mut answer = host.get(path).await?;
    let body = answer.rest().await?;
    let problem = serde_json::from_str(&body).unwrap_or(Value::String(body));
    assert_eq!(answer.header("content-type"), ["application/problem+json"], "{path}: {problem}");
    Ok((answer.status, problem))
}
