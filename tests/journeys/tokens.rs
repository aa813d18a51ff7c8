use anyhow::{Context, Result};
use midplane_tests::{Client, Host};
use serde_json::{Value, json};

#[tokio::test]
async fn an_issued_token_outlives_the_host_and_ends_when_it_is_revoked() -> Result<()> {
    let host = Host::start().await?;
    let (code, made, error) =
        host.cli(&["token", "create", "ci", "--scope", "read", "--scope", "method:event.*", "--json"]).await?;
    assert_eq!(code, 0, "{error}");
    let made: Value = serde_json::from_str(&made)?;
    let (id, token) = (made["id"].as_str().context("id")?, made["token"].as_str().context("token")?);

    let host = host.kill_and_restart().await?;
    let mut client = Client::connect(&host.url, token).await?;
    assert_eq!(client.call("auth.whoami", json!({})).await?["principal"], "ci");
    client.call("event.publish", json!({ "topic": "notes.x", "payload": 1 })).await?;
    let (code, error) = client.fault("files.write", json!({ "path": "x", "content": "" })).await?;
    assert_eq!((&*code, &error["data"]["details"]["scope"]), ("forbidden", &json!("write")));

    let (code, list, _) = host.cli(&["token", "list", "--json"]).await?;
    assert_eq!((code, list.contains("\"ci\""), list.contains(token)), (0, true, false), "{list}");
    let (code, ..) = host.cli(&["token", "revoke", id]).await?;
    assert_eq!((code, client.closed().await?), (0, 4001));
    assert_eq!(host.cli(&["token", "revoke", id]).await?.0, 4, "there is none any more");
    let host = host.kill_and_restart().await?;
    assert!(Client::connect(&host.url, token).await.is_err());
    Ok(())
}

#[tokio::test]
async fn no_secret_is_written_anywhere_but_the_owners_file() -> Result<()> {
    let mut host = Host::start().await?;
    let (_, made, _) = host.cli(&["token", "create", "ci", "--scope", "admin", "--json"]).await?;
    let token = serde_json::from_str::<Value>(&made)?["token"].as_str().context("token")?.to_owned();
    let owner = host.token.clone();
    let data = host.plugins.with_file_name("data");
    assert_eq!(host.stop().await?, Some(0));
    let mut read = Vec::new();
    for name in ["tokens.json", "audit.log", "host.json", "token"] {
        if let Ok(text) = std::fs::read_to_string(data.join(name)) {
            assert!(!text.contains(&token), "{name}");
            assert_eq!(text.contains(&owner), name == "token", "{name}");
            read.push(name);
        }
    }
    assert_eq!(read, ["tokens.json", "audit.log", "token"]);
    let audit = std::fs::read_to_string(data.join("audit.log"))?;
    assert!(audit.contains(r#""kind":"token_created""#), "{audit}");
    Ok(())
}
