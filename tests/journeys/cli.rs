use anyhow::Result;
use midplane_tests::Host;
use serde_json::{Value, json};

#[tokio::test]
async fn the_doctor_says_what_is_well_and_what_to_do_about_the_rest() -> Result<()> {
    let host = Host::start().await?;
    let (code, stdout, stderr) = host.cli(&["doctor"]).await?;
    assert_eq!(code, 0, "{stdout} {stderr}");
    assert!(stdout.contains("ok    plugin files is running"), "{stdout}");
    host.connect().await?.call("plugin.disable", serde_json::json!({ "name": "files" })).await?;
    let (_, stdout, _) = host.cli(&["doctor"]).await?;
    assert!(stdout.contains("warn  plugin files is disabled\n      midplane plugin enable files"), "{stdout}");
    let (code, stdout, _) = host.cli(&["doctor", "--url", "http://127.0.0.1:1", "--json"]).await?;
    let findings: serde_json::Value = serde_json::from_str(&stdout)?;
    let host_is_gone = |finding: &serde_json::Value| finding["fatal"] == true && finding["remedy"] == "midplane serve";
    assert!(code == 1 && findings.as_array().is_some_and(|all| all.iter().any(host_is_gone)), "{stdout}");
    Ok(())
}

#[tokio::test]
async fn shells_complete_every_command() -> Result<()> {
    let host = Host::start().await?;
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, stderr) = host.cli(&["completions", shell]).await?;
        assert_eq!(code, 0, "{stderr}");
        for command in ["serve", "plugin", "doctor", "--tls-cert"] {
            assert!(script.contains(command.trim_start_matches('-')), "{shell}: {command}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_command_line_ends_with_the_codes_of_the_contract() -> Result<()> {
    let host = Host::start().await?;
    for (arguments, expected) in [
        (&["call", "system.status"][..], 0),
        (&["call", "files.read", r#"{"path": "missing"}"#], 4),
        (&["call", "no.such_method"], 4),
        (&["call", "files.read", "{not json"], 2),
        (&["no-such-command"], 2),
        (&["call", "system.status", "--token", "wrong"], 3),
        (&["call", "system.status", "--url", "http://127.0.0.1:1"], 6),
        (&["plugin", "list"], 0),
    ] {
        let (code, _, stderr) = host.cli(arguments).await?;
        assert_eq!(code, expected, "{arguments:?}: {stderr}");
        assert_eq!(stderr.is_empty(), expected == 0, "{arguments:?}: {stderr}");
    }
    Ok(())
}

#[tokio::test]
async fn events_are_printed_from_where_somebody_was_and_what_is_lost_is_said() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    for number in 1..=3 {
        client.call("event.publish", json!({ "topic": "notes.x", "payload": number })).await?;
    }
    let printed = async |from: &str, count: &str| {
        let (code, stdout, stderr) = host.cli(&["events", "-p", "notes.*", "--from", from, "--count", count]).await?;
        anyhow::ensure!(code == 0, "{code}: {stderr}");
        stdout.lines().map(|line| Ok(serde_json::from_str(line)?)).collect::<Result<Vec<Value>>>()
    };
    let payloads = |events: &[Value]| events.iter().map(|event| event["payload"].clone()).collect::<Vec<_>>();
    let all = printed("earliest", "3").await?;
    assert_eq!(payloads(&all), [1, 2, 3]);
    let text = |name: &str| all[0][name].as_str().unwrap_or_default();
    let position = format!("{}:{}:{}", text("stream"), text("epoch"), all[0]["seq"]);
    assert_eq!(payloads(&printed(&position, "2").await?), [2, 3]);
    let other = printed(&format!("{}:other:1", text("stream")), "3").await?;
    assert_eq!((&other[0]["method"], &other[0]["params"]["reason"]), (&json!("event.gap"), &json!("epoch")));
    assert_eq!(payloads(&other[1..]), [1, 2, 3]);
    assert_eq!(host.cli(&["events", "--from", "yesterday"]).await?.0, 2);
    Ok(())
}
