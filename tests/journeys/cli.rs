use std::{os::unix::fs::PermissionsExt as _, process::Command};

use anyhow::{Context as _, Result};
use midplane_tests::{Host, Options, copy_folder, guest};
use serde_json::{Value, json};

#[tokio::test]
async fn the_doctor_names_every_fault_with_its_remedy() -> Result<()> {
    let host = Host::start_with(Options::default(), |plugins| {
        copy_folder(&guest("counter-refuses")?, &plugins.join("counter"))
    })
    .await?;
    let data = host.data();
    let data = data.to_str().context("a path")?;
    let inside = [("MIDPLANE_DATA", data)];
    let (code, stdout, stderr) = host.cli_with(&inside, &["doctor"]).await?;
    assert_eq!(code, 0, "{stdout} {stderr}");
    for well in ["plugin files is running", "plugin counter is running", &format!("data in {data}")] {
        assert!(stdout.contains(&format!("ok    {well}\n")) || stdout.ends_with(&format!("ok    {well}")), "{stdout}");
    }

    let mut client = host.connect().await?;
    client.call("plugin.disable", json!({ "name": "files" })).await?;
    std::fs::set_permissions(host.data(), std::fs::Permissions::from_mode(0o755))?;
    let narrow =
        client.call("auth.create_token", json!({ "name": "narrow", "scopes": ["method:plugin.list"] })).await?;
    let narrow = narrow["token"].as_str().context("a token")?;
    let few = format!("ulimit -n 512; exec {} doctor", Host::program().display());
    let output = Command::new("sh").args(["-c", &few]).env_clear().envs(inside).output()?;
    let (code, stdout) = (output.status.code(), String::from_utf8_lossy(&output.stdout));
    assert_eq!(code, Some(1), "{stdout}");
    for fault in [
        "warn  plugin files is disabled\n      midplane plugin enable files",
        &format!("FAIL  data in {data} can be read by others\n      chmod -R go= {data}"),
        "warn  512 files can be open\n      ulimit -n",
    ] {
        assert!(stdout.contains(fault), "{fault} is not in {stdout}");
    }
    let (code, stdout, _) = host.cli_with(&inside, &["doctor", "--token", narrow]).await?;
    let refused = "FAIL  system.status: forbidden: ";
    assert!(code == 1 && stdout.contains(refused) && stdout.contains("give a token that may call it"), "{stdout}");
    let (code, stdout, _) = host.cli_with(&inside, &["doctor", "--token", "wrong"]).await?;
    assert!(
        code == 1 && stdout.contains("FAIL  no host: ") && stdout.contains("\n      give the token of this host"),
        "{stdout}"
    );
    let (code, stdout, _) = host.cli(&["doctor", "--url", "http://127.0.0.1:1", "--json"]).await?;
    let findings: Value = serde_json::from_str(&stdout)?;
    let host_is_gone = |finding: &Value| finding["fatal"] == true && finding["remedy"] == "midplane serve";
    assert!(code == 1 && findings.as_array().is_some_and(|all| all.iter().any(host_is_gone)), "{stdout}");
    Ok(())
}

/// Says what each shell itself offers for `midplane to`, `midplane token create --s` and `midplane gu`, one a line.
const ASKED: [(&str, &str); 2] = [
    (
        "bash",
        r#"source "$0"; for line in "to" "token create --s" "gu"; do
            COMP_WORDS=(midplane $line); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
            _midplane midplane "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"; echo "${COMPREPLY[*]}"
        done"#,
    ),
    (
        "fish",
        r#"source $argv[1]; for line in "to" "token create --s" "gu"
            echo (complete -C "midplane $line" | string match -v '*/' | string replace -r '\t.*' ''); end"#,
    ),
];

#[tokio::test]
async fn shells_complete_every_command() -> Result<()> {
    let host = Host::start().await?;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, stderr) = host.cli(&["completions", shell]).await?;
        assert_eq!(code, 0, "{stderr}");
        for command in ["serve", "plugin", "doctor", "--tls-cert"] {
            assert!(script.contains(command.trim_start_matches('-')), "{shell}: {command}");
        }
        let path = host.directory.join(shell);
        std::fs::write(&path, script)?;
        let zsh = "autoload -U compinit; compinit -u -D; source $0; [ ${_comps[midplane]} = _midplane ]";
        let asked = ASKED.iter().find(|(name, _)| *name == shell).map(|(_, asked)| *asked);
        let Some(asked) = asked.or((shell == "zsh").then_some(zsh)) else { continue };
        // Whoever has no such shell tests the others.
        let Ok(output) = Command::new(shell).arg("-c").arg(asked).arg(&path).env("HOME", &host.directory).output()
        else {
            continue;
        };
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{shell}: {said} {}", String::from_utf8_lossy(&output.stderr));
        if shell != "zsh" {
            assert_eq!(said.lines().collect::<Vec<_>>(), ["token", "--scope", ""], "{shell}");
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
        (&["call", "files.write", r#"{"path": "a", "content": "", "create": "must_not_exist"}"#], 0),
        (&["call", "files.write", r#"{"path": "a", "content": "", "create": "must_not_exist"}"#], 5),
        (&["call", "files.write", r#"{"path": "a", "content": "", "if_version": "old"}"#], 5),
        (&["call", "files.read", r#"{"path": 1}"#], 1),
        (&["call", "files.read", r#"{"path": "../x"}"#], 1),
        (&["call", "event.request", r#"{"topic": "notes.nobody", "payload": 1}"#], 6),
        (&["call", "terminals.wait", r#"{"id": "none", "until": "exit"}"#], 4),
        (&["call", "auth.revoke_token", r#"{"id": "t-none"}"#], 4),
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
    // Somebody listens, and does not answer.
    let mut silent = host.connect().await?;
    silent.subscribe(&["notes.asked"]).await?;
    let ask = ["call", "event.request", r#"{"topic": "notes.asked", "payload": 1}"#, "--timeout", "0.1"];
    assert_eq!(host.cli(&ask).await?.0, 124);
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
