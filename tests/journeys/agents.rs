//! Agents that use the workspace over the Model Context Protocol, each journey in both its eras.

use anyhow::{Context, Result, ensure};
use midplane_tests::{Agent, Host, Options, PATIENCE, Told, copy_folder, guest, request, set_in_manifest};
use serde_json::json;

async fn host() -> Result<Host> {
    Host::start_with(Options::default(), |plugins| {
        for name in ["echo", "overlap", "counter"] {
            copy_folder(&guest(name)?, &plugins.join(name))?;
        }
        Ok(())
    })
    .await
}

/// An agent of each era.
async fn agents(host: &Host) -> Result<[Agent<'_>; 2]> {
    Ok([Agent::open(host).await?, Agent::alone(host)])
}

#[tokio::test]
async fn an_agent_finds_the_tools_and_works_on_files_and_with_a_plugin() -> Result<()> {
    let host = host().await?;
    for mut agent in agents(&host).await? {
        let listed = agent.ask("tools/list", json!({})).await?;
        let tools = listed["result"]["tools"].as_array().context("tools")?;
        let read = tools.iter().find(|tool| tool["name"] == "files_read").context("files_read")?;
        assert_eq!(read["inputSchema"]["required"], json!(["path"]), "{read}");
        assert!(read["outputSchema"]["properties"]["version"].is_object(), "{read}");
        assert_eq!((&read["title"], &read["annotations"]["readOnlyHint"]), (&json!("files.read"), &json!(true)));
        assert!(tools.iter().any(|tool| tool["name"] == "overlap_inside"), "a plugin's tool");
        assert!(tools.iter().all(|tool| tool["name"] != "counter_increment"), "what no manifest offers");

        let written = agent.call("files_write", json!({"path": "a.txt", "content": "by an agent"})).await?;
        let version = &written["structuredContent"]["version"];
        ensure!(version.is_string(), "{written}");
        let read = agent.call("files_read", json!({"path": "a.txt"})).await?;
        assert_eq!((&read["structuredContent"]["content"], &read["isError"]), (&json!("by an agent"), &json!(false)));
        assert_eq!(&read["structuredContent"]["version"], version);
        let inside = agent.call("overlap_inside", json!({})).await?;
        assert_eq!(inside["content"][0]["text"], "0", "{inside}");
        std::fs::remove_file(host.directory.join("a.txt"))?;
    }
    Ok(())
}

#[tokio::test]
async fn what_fails_is_a_result_with_a_code_and_what_to_do() -> Result<()> {
    let host = host().await?;
    host.write_file("b.txt", "one")?;
    for mut agent in agents(&host).await? {
        for (tool, arguments, code) in [
            ("files_read", json!({"path": 7}), "invalid_params"),
            ("files_read", json!({"path": "../etc/passwd"}), "outside_root"),
            ("files_read", json!({"path": "none.txt"}), "not_found"),
            ("files_write", json!({"path": "b.txt", "content": "x", "if_version": "old"}), "precondition_failed"),
        ] {
            let failed = agent.call(tool, arguments).await?;
            let error = &failed["structuredContent"];
            assert_eq!((&failed["isError"], error["code"].as_str()), (&json!(true), Some(code)), "{failed}");
            let text = failed["content"][0]["text"].as_str().context("a text")?;
            let remedy = error["remedy"].as_str().context("a remedy")?;
            assert!(text.starts_with(code) && text.contains(remedy), "{text}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_call_tells_how_far_it_is() -> Result<()> {
    let host = host().await?;
    for mut agent in agents(&host).await? {
        let report = json!({"together": 1, "values": [{"progress": 1, "total": 3, "message": "begun"}]});
        let params = json!({"name": "overlap_meet_and_report", "arguments": report, "_meta": {"progressToken": "p"}});
        let mut told = agent.begin("tools/call", params).await?;
        let first = told.next().await?.context("progress")?;
        let heard = &first["params"];
        assert_eq!(first["method"], "notifications/progress", "{first}");
        assert_eq!((&heard["progressToken"], &heard["message"]), (&json!("p"), &json!("begun")), "{first}");
        assert_eq!((heard["progress"].as_f64(), heard["total"].as_f64()), (Some(1.0), Some(3.0)), "{first}");
        assert_eq!(told.answer().await?["result"]["content"][0]["text"], "true");
    }
    Ok(())
}

#[tokio::test]
async fn a_plugin_answers_with_an_image_where_its_manifest_says_so() -> Result<()> {
    let host = Host::start_with(Options::default(), |plugins| copy_folder(&guest("reference")?, &plugins.join("test")))
        .await?;
    for mut agent in agents(&host).await? {
        let shown = agent.call("test_multiple_content_types", json!({})).await?;
        let kinds: Vec<&str> =
            shown["content"].as_array().context("content")?.iter().filter_map(|block| block["type"].as_str()).collect();
        assert_eq!(kinds, ["text", "image", "resource"], "{shown}");
        assert!(shown.get("structuredContent").is_none(), "{shown}");
    }
    Ok(())
}

/// The call ends in its own time after the client's word.
async fn some_cancelled(host: &Host) -> Result<()> {
    let gone = async {
        while cancelled(host).await? == 0 {}
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, gone).await.context("the call ends")?
}

/// How many calls have ended because their caller gave them up.
async fn cancelled(host: &Host) -> Result<u64> {
    let metrics = host.get_text("/metrics").await?;
    let line = metrics.lines().find_map(|line| line.strip_prefix("midplane_errors_total{code=\"cancelled\"} "));
    Ok(line.context("the counter")?.parse()?)
}

#[tokio::test]
async fn a_long_call_is_cancelled_and_the_agent_goes_on() -> Result<()> {
    let host = host().await?;
    let alone = json!({"name": "overlap_meet", "arguments": {"together": 9}, "_meta": {"progressToken": 1}});
    let mut agent = Agent::open(&host).await?;
    let mut waiting = agent.begin("tools/call", alone).await?;
    let mut other = Agent::alone(&host);
    while other.call("overlap_inside", json!({})).await?["content"][0]["text"] != "1" {}
    agent.notify("notifications/cancelled", json!({"requestId": waiting.id, "reason": "not wanted"})).await?;
    assert_eq!(waiting.next().await?, None, "a cancelled call has no answer");
    some_cancelled(&host).await?;
    assert_eq!(cancelled(&host).await?, 1);
    assert!(agent.tools().await?.contains(&"overlap_meet".to_owned()));
    Ok(())
}

#[tokio::test]
async fn an_agent_that_hangs_up_has_cancelled_its_call() -> Result<()> {
    let host = host().await?;
    let mut agent = Agent::alone(&host);
    let asked = agent.send("tools/call", json!({"name": "overlap_meet", "arguments": {"together": 9}})).await?;
    while agent.call("overlap_inside", json!({})).await?["content"][0]["text"] != "1" {}
    drop(asked);
    some_cancelled(&host).await
}

#[tokio::test]
async fn a_plugin_that_comes_changes_or_goes_changes_the_tools() -> Result<()> {
    let host = host().await?;
    for mut agent in agents(&host).await? {
        let mut news = agent.listen().await?;
        let folder = host.plugins.join("counter");
        assert!(!agent.tools().await?.contains(&"counter_increment".to_owned()));
        set_in_manifest(&folder, "description", "description = \"Counts\"\n[tools]\nincrement = {}")?;
        changed(&mut news).await?;
        assert!(agent.tools().await?.contains(&"counter_increment".to_owned()));
        assert_eq!(agent.call("counter_increment", json!({})).await?["isError"], false);
        std::fs::remove_dir_all(&folder)?;
        changed(&mut news).await?;
        assert!(!agent.tools().await?.contains(&"counter_increment".to_owned()));
        copy_folder(&guest("counter")?, &folder)?;
        let mut client = host.connect().await?;
        while client.response("counter.increment", json!({})).await?.get("result").is_none() {}
    }
    Ok(())
}

async fn changed(news: &mut Told) -> Result<()> {
    let message = news.next().await?.context("news")?;
    ensure!(message["method"] == "notifications/tools/list_changed", "{message}");
    Ok(())
}

#[tokio::test]
async fn the_operator_sees_how_many_agents_there_are_and_what_they_call() -> Result<()> {
    let host = host().await?;
    let figures = async || {
        let metrics = host.get_text("/metrics").await?;
        let figure = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        let sessions = figure("midplane_agent_sessions ").context("sessions")?;
        anyhow::Ok((sessions, figure("midplane_agent_calls_total ").context("calls")?))
    };
    assert_eq!(figures().await?, (0, 0));
    let [mut with_session, mut without] = agents(&host).await?;
    assert_eq!(figures().await?, (1, 0));
    with_session.call("overlap_inside", json!({})).await?;
    without.call("overlap_inside", json!({})).await?;
    assert_eq!(figures().await?, (1, 2));
    with_session.end().await?;
    assert_eq!(figures().await?, (0, 2));
    Ok(())
}

#[tokio::test]
async fn without_a_credential_or_from_elsewhere_nobody_gets_in() -> Result<()> {
    let host = host().await?;
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize"}).to_string();
    let bearer = format!("Bearer {}", host.token);
    for method in ["POST", "GET", "DELETE"] {
        let refused = request(&host.url, method, "/mcp", &[], &message).await?;
        assert_eq!(refused.status, 401, "{}", refused.body);
        assert!(refused.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
        for (header, value, status) in [("origin", "https://evil.example", 403), ("host", "evil.example", 421)] {
            let headers = [("authorization", bearer.as_str()), (header, value)];
            assert_eq!(request(&host.url, method, "/mcp", &headers, &message).await?.status, status, "{header}");
        }
    }
    Ok(())
}
