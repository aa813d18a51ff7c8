//! What a client does wrong over HTTP is answered with a problem document that names it and says what to do instead.

use anyhow::{Context, Result};
use midplane_tests::{Host, Response, request};
use serde_json::{Value, json};

const JSON: (&str, &str) = ("content-type", "application/json");

async fn send(host: &Host, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Response> {
    let bearer = format!("Bearer {}", host.token);
    let all: Vec<_> = [("authorization", bearer.as_str())].into_iter().chain(headers.iter().copied()).collect();
    request(&host.url, method, path, &all, body).await
}

/// The problem, with all that it must have.
fn problem(response: &Response) -> Result<Value> {
    let kind = response.header("content-type").context("a content type")?;
    anyhow::ensure!(kind == "application/problem+json", "{} {kind}: {}", response.status, response.body);
    let problem: Value = serde_json::from_str(&response.body)?;
    anyhow::ensure!(problem["status"] == response.status && problem["code"].is_string(), "{problem}");
    Ok(problem)
}

#[tokio::test]
async fn every_refusal_names_the_thing_and_the_remedy() -> Result<()> {
    let host = Host::start().await?;
    host.write_file("a.txt", "text")?;
    let both = ("accept", "application/json, text/event-stream");
    let upgrade =
        [("upgrade", "websocket"), ("connection", "upgrade, close"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")];
    let version = |version| [upgrade[0], upgrade[1], upgrade[2], ("sec-websocket-version", version)];
    let ping = r#"{"jsonrpc": "2.0", "id": 1, "method": "ping"}"#;
    for (method, path, headers, body, status, needle) in [
        ("GET", "/nothing", &[][..], "", 404, "/docs"),
        ("GET", "/api/v1/nothing", &[], "", 404, "/openapi.json"),
        ("GET", "/api/v1//files", &[], "", 404, "/openapi.json"),
        ("GET", "/api/v1/files%2Fstat?path=a.txt", &[], "", 404, "/openapi.json"),
        // Other names would become the same one.
        ("GET", "/api/v1/files/stat?path=%ff%fe", &[], "", 400, "the query is not UTF-8"),
        ("GET", "/api/v1/files/stat?path=a.txt", &[], "{}", 400, "parameters are in the query"),
        ("GET", "/api/v1/files/content?path=a.txt", &[], "{}", 400, "parameters are in the query"),
        ("POST", "/api/v1/files/copy", &[("content-type", "text/plain")], "{}", 415, "application/json"),
        ("POST", "/api/v1/files/copy", &[JSON, ("content-encoding", "gzip")], "{}", 415, "without Content-Encoding"),
        ("PUT", "/api/v1/files/content?path=b", &[("content-encoding", "gzip")], "x", 415, "without Content-Encoding"),
        ("GET", "/events?patterns=a&since=log:e:1&since=earliest", &[], "", 422, "params.since: is given twice"),
        ("GET", "/events?patterns=a&since=log:e:1,log:e:2", &[], "", 422, "one stream has two positions"),
        ("GET", "/ws", &[], "", 400, "Connection header"),
        ("GET", "/ws", &version("8"), "", 426, "13"),
        ("GET", "/ws/terminals/t-1?cols=wide", &version("13"), "", 422, "cols: invalid digit"),
        (
            "GET",
            "/ws/terminals/t-1?colour=red",
            &version("13"),
            "",
            422,
            "unknown field `colour`, expected one of `role`",
        ),
        ("GET", "/ws/terminals/%ff", &version("13"), "", 400, "not UTF-8"),
        ("POST", "/mcp", &[JSON], ping, 406, "Client must accept both"),
        ("POST", "/mcp", &[("content-type", "text/plain"), both], ping, 415, "application/json"),
        ("POST", "/mcp", &[JSON, both, ("mcp-session-id", "none")], ping, 404, "ession"),
        ("GET", "/mcp", &[("accept", "text/event-stream")], "", 400, "Session ID is required"),
    ] {
        let response = send(&host, method, path, headers, body).await?;
        let problem = problem(&response).with_context(|| format!("{method} {path} {headers:?}"))?;
        let detail = problem["detail"].as_str().context("detail")?;
        assert!(response.status == status && detail.contains(needle), "{method} {path} {headers:?}: {problem}");
    }
    let spoken = send(&host, "GET", "/ws", &version("8"), "").await?;
    assert_eq!(spoken.header("sec-websocket-version"), Some("13"));
    let no_message = send(&host, "POST", "/mcp", &[JSON, both], "{}").await?;
    let error: Value = serde_json::from_str(&no_message.body)?;
    assert_eq!((no_message.status, &error["error"]["code"]), (400, &json!(-32600)), "{error}");
    Ok(())
}

#[tokio::test]
async fn every_path_says_which_methods_it_takes() -> Result<()> {
    let host = Host::start().await?;
    for (path, other, allowed) in [
        ("/rpc", "GET", "POST, OPTIONS"),
        ("/auth/ticket", "PUT", "POST, OPTIONS"),
        ("/healthz", "POST", "GET, HEAD, OPTIONS"),
        ("/events", "DELETE", "GET, HEAD, OPTIONS"),
        ("/openapi.json", "PATCH", "GET, HEAD, OPTIONS"),
        ("/ws", "HEAD", "GET, OPTIONS"),
        ("/mcp", "PATCH", "GET, POST, DELETE"),
        ("/api/v1/files", "PUT", "GET, DELETE, HEAD, OPTIONS"),
        ("/api/v1/methods/files.read", "GET", "POST, OPTIONS"),
    ] {
        let refused = send(&host, other, path, &[], "").await?;
        assert_eq!((refused.status, refused.header("allow")), (405, Some(allowed)), "{other} {path}");
        if other != "HEAD" {
            let detail = problem(&refused)?["detail"].to_string();
            assert!(detail.contains(allowed), "{other} {path}: {detail}");
        }
        if allowed.ends_with("OPTIONS") && path != "/ws" {
            let asked = send(&host, "OPTIONS", path, &[], "").await?;
            assert_eq!((asked.status, asked.header("allow"), &*asked.body), (204, Some(allowed), ""), "{path}");
        }
    }
    Ok(())
}
