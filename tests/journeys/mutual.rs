//! Plugins that wait for each other.

use anyhow::{Context, Result, ensure};
use midplane_tests::{Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::{Value, json};

/// Relays under these names, which may call each other and ask clients.
async fn relays(names: &[&str]) -> Result<Host> {
    Host::start_with(Options::default(), |plugins| {
        copy_folder(&guest("echo")?, &plugins.join("echo"))?;
        names.iter().try_for_each(|name| {
            let folder = plugins.join(name);
            copy_folder(&guest("relay")?, &folder)?;
            set_in_manifest(&folder, "name", &format!("name = {name:?}"))?;
            set_in_manifest(&folder, "methods", "methods = [\"event.request\", \"*.relay.*\"]")
        })
    })
    .await
}

/// Makes each relay call the next one, all at the same moment: none goes on before all are inside. Gives what each caller got.
async fn call_in_a_circle(host: &Host, names: &[&str]) -> Result<Vec<Value>> {
    let mut client = host.connect().await?;
    client.subscribe(&["test.inside.*"]).await?;
    let mut calls = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let next = names[(index + 1) % names.len()];
        let params =
            json!({ "topic": format!("test.inside.{name}"), "method": format!("{next}.relay.methods"), "params": {} });
        calls.push(client.send(&format!("{name}.relay.ask_then_call"), params).await?);
    }
    let mut questions = Vec::new();
    for name in names {
        let topic = format!("test.inside.{name}");
        questions.push(client.event_on(&topic).await?["request"].clone());
    }
    for question in questions {
        client.call("event.reply", json!({ "request": question, "payload": null })).await?;
    }
    let mut answers = Vec::new();
    for call in calls {
        answers.push(client.wait_for(|message| message["id"] == call).await?);
    }
    Ok(answers)
}

#[tokio::test]
async fn of_plugins_that_call_each_other_at_the_same_moment_one_is_refused_and_the_others_are_served() -> Result<()> {
    for names in [&["one", "two"][..], &["one", "two", "three"]] {
        let host = relays(names).await?;
        let answers = call_in_a_circle(&host, names).await?;
        let refused: Vec<_> = answers.iter().filter_map(|answer| answer.get("error")).collect();
        ensure!(refused.len() == 1, "{answers:?}");
        let details = &refused[0]["data"]["details"];
        assert_eq!(refused[0]["data"]["code"], "cycle", "{refused:?}");
        assert!(details["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{details}");
        let chain = details["chain"].as_array().context("chain")?;
        assert_eq!((chain.len(), chain.first()), (names.len() + 1, chain.last()), "{details}");
        // Nothing of it is left: what comes later goes through.
        let mut client = host.connect().await?;
        for name in names {
            let through = json!({ "method": "one.relay.methods", "params": {} });
            let method = format!("{name}.relay.call");
            let alone = *name == "one";
            ensure!(alone == client.response(&method, through).await?.get("error").is_some(), "{name}");
        }
    }
    Ok(())
}
