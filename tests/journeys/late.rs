//! Imports that are called when the time of the call inside is over.

use anyhow::{Context, Result};
use midplane_tests::{Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::{Value, json};

#[tokio::test]
async fn an_import_begins_nothing_when_the_time_of_its_call_is_over() -> Result<()> {
    let host =
        Host::start_with(Options::default(), |plugins| copy_folder(&guest("late")?, &plugins.join("late"))).await?;
    let mut client = host.connect().await?;
    // The former generation has a millisecond for each call, and the host waits for its state much longer.
    set_in_manifest(&host.plugins.join("late"), "deadline_ms", "deadline_ms = 30000")?;
    client.call("plugin.reload", json!({ "name": "late" })).await?;
    let answers = client.call("late.answers", json!({})).await?;
    let answers = answers.as_array().context("answers")?;
    assert_eq!(answers.len(), 10, "{answers:?}");
    for answer in answers {
        assert_eq!(answer[1], "timeout", "{answers:?}");
    }
    // The write was tried after the time was over.
    assert_eq!(client.call("late.stored", json!({})).await?, Value::Null);
    Ok(())
}
