//! The local socket, and how the command line finds its host.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result};
use midplane_tests::{Host, request_local};
use serde_json::{Value, json};

const STATUS: &str = r#"{"jsonrpc":"2.0","id":1,"method":"system.status"}"#;

#[tokio::test]
async fn the_local_socket_is_for_its_user_alone_and_asks_for_the_token_all_the_same() -> Result<()> {
    let host = Host::start().await?;
    let mode = |path: &std::path::Path| Ok::<_, std::io::Error>(std::fs::metadata(path)?.permissions().mode() & 0o777);
    assert_eq!((mode(&host.local_socket())?, mode(&host.data())?), (0o600, 0o700));
    let bearer = format!("Bearer {}", host.token);
    let ask = async |headers: &[(&str, &str)]| {
        request_local(&host.local_socket(), "POST", "/rpc", headers, STATUS).await.map(|response| response.status)
    };
    assert_eq!(ask(&[]).await?, 401);
    assert_eq!(ask(&[("authorization", &bearer), ("origin", "http://localhost")]).await?, 403);
    assert_eq!(ask(&[("authorization", &bearer)]).await?, 200);
    // A host that was killed leaves its socket behind; the next one takes the place.
    let host = host.kill_and_restart().await?;
    let bearer = format!("Bearer {}", host.token);
    let response = request_local(&host.local_socket(), "POST", "/rpc", &[("authorization", &bearer)], STATUS).await?;
    assert_eq!(response.status, 200, "{}", response.body);
    let mut host = host;
    host.stop().await?;
    assert!(!host.local_socket().exists(), "it goes with the host");
    Ok(())
}

#[tokio::test]
async fn the_command_line_finds_its_host_inside_a_terminal_wherever_the_shell_went() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.subscribe(&["workspace.created"]).await?;
    let terminal = client.call("terminals.open", json!({ "shell": "/bin/sh", "cols": 200, "rows": 24 })).await?;
    let program = Host::program();
    let line = format!("cd / && {} call workspace.create '{{\"name\": \"inside\"}}'\n", program.display());
    client.call("terminals.write", json!({ "id": terminal["id"], "content": line })).await?;
    let event = client.event_on("workspace.created").await?;
    assert_eq!(event["payload"]["name"], "inside", "{event}");
    Ok(())
}

#[tokio::test]
async fn the_command_line_takes_the_socket_and_else_the_port() -> Result<()> {
    let host = Host::start().await?;
    let data = host.data();
    let data = data.to_str().context("a path")?;
    let inside = [("MIDPLANE_DATA", data)];
    let connections = async || {
        let (code, stdout, stderr) = host.cli_with(&inside, &["call", "system.status", "--json"]).await?;
        anyhow::ensure!(code == 0, "{code}: {stderr}");
        let status: Value = serde_json::from_str(&stdout)?;
        Ok(status["connections"].clone())
    };
    assert_eq!(connections().await?, 1);
    std::fs::remove_file(host.local_socket())?;
    assert_eq!(connections().await?, 1, "by the port");
    let (code, _, stderr) = host.cli_with(&[], &["call", "system.status"]).await?;
    assert_eq!((code, stderr.contains("no host serves this directory")), (6, true), "{stderr}");
    Ok(())
}

#[tokio::test]
async fn the_command_line_finds_a_host_from_inside_the_directory_that_it_serves_wherever_its_data_lies() -> Result<()> {
    let mut host = Host::start().await?;
    let (home, inside) = (host.data().join(".."), host.directory.join("deep/inside"));
    std::fs::create_dir_all(&inside)?;
    let ask = || {
        let mut command = tokio::process::Command::new(Host::program());
        command.args(["call", "system.status"]).env_clear().env("HOME", &home).current_dir(&inside).output()
    };
    let found = ask().await?;
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    host.stop().await?;
    assert_eq!(ask().await?.status.code(), Some(6), "the hint goes with the host");
    Ok(())
}
