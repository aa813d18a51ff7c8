use anyhow::{Context, Result};
use midplane_tests::{Host, Options, Response, copy_folder, example, request};
use serde_json::{Value, json};

async fn send(host: &Host, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Response> {
    let bearer = format!("Bearer {}", host.token);
    let mut all = vec![("authorization", bearer.as_str())];
    if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
        all.push(("content-type", "application/json"));
    }
    all.extend(headers);
    request(&host.url, method, path, &all, body).await
}

async fn json_of(host: &Host, method: &str, path: &str, body: &str) -> Result<(u16, Value)> {
    let response = send(host, method, path, &[], body).await?;
    let value = if response.body.is_empty() { Value::Null } else { serde_json::from_str(&response.body)? };
    Ok((response.status, value))
}

#[tokio::test]
async fn a_route_of_a_plugin_takes_path_query_and_body_by_the_types_of_its_function() -> Result<()> {
    let host =
        Host::start_with(Options::default(), |plugins| copy_folder(&example("spell")?, &plugins.join("spell"))).await?;
    let (status, made) =
        json_of(&host, "POST", "/api/v1/terminals", r#"{"shell": "/bin/sh", "cols": 80, "rows": 24}"#).await?;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().context("id")?;
    let (status, output) =
        json_of(&host, "GET", &format!("/api/v1/terminals/{id}/output?from=0&limit_bytes=10"), "").await?;
    assert_eq!((status, &output["offset"]), (200, &json!(0)), "{output}");
    let (status, problem) = json_of(&host, "GET", &format!("/api/v1/terminals/{id}/output?from=x"), "").await?;
    assert_eq!((status, &problem["details"]["path"]), (422, &json!("params.from")), "{problem}");
    let (status, found) = json_of(&host, "POST", "/api/v1/spell/check", r#"{"text": "a midplane speling"}"#).await?;
    assert_eq!((status, &found[0]["word"]), (200, &json!("speling")), "{found}");
    // The same method under the path that every method has.
    let (status, again) =
        json_of(&host, "POST", "/api/v1/methods/spell.checker.check", r#"{"text": "speling"}"#).await?;
    assert_eq!((status, &again[0]["word"]), (200, &json!("speling")), "{again}");
    Ok(())
}

#[tokio::test]
async fn what_does_not_fit_is_named_as_over_json_rpc() -> Result<()> {
    let host = Host::start().await?;
    for (method, path, body, status, code) in [
        ("GET", "/api/v1/files/stat", "", 422, "invalid_params"),
        ("GET", "/api/v1/files/stat?path=none", "", 404, "not_found"),
        ("GET", "/api/v1/files/stat?path=a&path=b", "", 422, "invalid_params"),
        ("GET", "/api/v1/files/stat?path=a&colour=red", "", 422, "invalid_params"),
        ("GET", "/api/v1/files/stat?path=../x", "", 403, "outside_root"),
        ("GET", "/api/v1/files?depth=deep", "", 422, "invalid_params"),
        ("PUT", "/api/v1/files/text?path=a", r#"{"path": "b", "content": ""}"#, 422, "invalid_params"),
        ("PUT", "/api/v1/files/text", r#"{"path": "b", "path": "c"}"#, 400, "parse_error"),
        ("PUT", "/api/v1/files/text", "[]", 422, "invalid_params"),
        ("PUT", "/api/v1/files/text", "{", 400, "parse_error"),
        ("GET", "/api/v1/nothing/here", "", 404, "not_found"),
        ("GET", "/api/v1/files/", "", 404, "not_found"),
        ("GET", "/api/v1/files/%ff", "", 400, "invalid_request"),
        ("PATCH", "/api/v1/files", "", 405, "invalid_request"),
        ("POST", "/api/v1/methods/files.raed", "{}", 404, "method_not_found"),
        ("GET", "/api/v1/methods/files.read", "", 405, "invalid_request"),
    ] {
        let (got, problem) = json_of(&host, method, path, body).await?;
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{method} {path}: {problem}");
    }
    let plain = send(&host, "PUT", "/api/v1/files/text", &[("content-type", "text/plain")], "{}").await?;
    assert_eq!(plain.status, 415);
    let body = send(&host, "GET", "/api/v1/files", &[], "{}").await?;
    assert_eq!(body.status, 400, "a GET has no body: {}", body.body);
    let response = send(&host, "PATCH", "/api/v1/files", &[], "").await?;
    assert_eq!(response.header("allow"), Some("GET, DELETE, HEAD, OPTIONS"));
    Ok(())
}

#[tokio::test]
async fn versions_are_entity_tags() -> Result<()> {
    let host = Host::start().await?;
    let write = |content: &str| json!({ "content": content }).to_string();
    let path = "/api/v1/files/text?path=a.txt";
    let made = send(&host, "PUT", path, &[], &write("one")).await?;
    assert_eq!(made.status, 201, "{}", made.body);
    let tag = made.header("etag").context("etag")?.to_owned();
    let read = send(&host, "GET", path, &[], "").await?;
    assert_eq!((read.status, read.header("etag")), (200, Some(&*tag)));
    assert!(read.header("midplane-request-id").is_some_and(|id| id.starts_with("r-")));
    let fresh = send(&host, "GET", path, &[("if-none-match", &format!("\"other\", W/{tag}"))], "").await?;
    assert_eq!((fresh.status, &*fresh.body), (304, ""));
    let head = send(&host, "HEAD", path, &[], "").await?;
    assert_eq!((head.status, &*head.body, head.header("etag")), (200, "", Some(&*tag)));

    let replaced = send(&host, "PUT", path, &[("if-match", &tag)], &write("two")).await?;
    assert_eq!(replaced.status, 200, "{}", replaced.body);
    let stale = send(&host, "PUT", path, &[("if-match", &tag)], &write("three")).await?;
    let problem: Value = serde_json::from_str(&stale.body)?;
    assert_eq!(stale.status, 412);
    let current = replaced.header("etag").context("etag")?.trim_matches('"').to_owned();
    assert_eq!(problem["details"]["current_version"], current);
    let unversioned = send(&host, "POST", "/api/v1/files/copy", &[("if-match", &tag)], "{}").await?;
    assert_eq!(unversioned.status, 501, "{}", unversioned.body);
    Ok(())
}

#[tokio::test]
async fn the_openapi_document_has_every_method_and_only_what_is_there() -> Result<()> {
    let host = Host::start().await?;
    let (_, document) = json_of(&host, "GET", "/openapi.json", "").await?;
    let (_, methods) = json_of(&host, "GET", "/api/v1/methods", "").await?;
    assert_eq!(document["openapi"], "3.1.0");
    let (_, plugins) = json_of(&host, "GET", "/api/v1/plugins", "").await?;
    let running = plugins.as_array().context("plugins")?.iter().filter(|plugin| plugin["state"] == "running");
    assert_eq!(running.count(), 3, "every first-party plugin's routes fit: {plugins}");
    let mut seen = std::collections::BTreeSet::new();
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().context("paths")? {
        for (verb, operation) in item.as_object().context("item")? {
            let id = operation["operationId"].as_str().context("operationId")?;
            assert!(ids.insert(id.to_owned()), "{id} twice");
            let method = methods.as_array().context("methods")?.iter().filter_map(Value::as_str);
            seen.extend(method.filter(|name| id == *name || id.starts_with(&format!("{name}."))).map(str::to_owned));
            // Every operation leads somewhere: with no parameters, whatever happens, it is not a missing route.
            let bare = path.replace(['{', '}'], "");
            let (status, answer) = json_of(&host, &verb.to_ascii_uppercase(), &bare, "").await?;
            assert_ne!(status, 405, "{verb} {path}");
            assert!(!answer["detail"].as_str().is_some_and(|detail| detail.contains("nothing at this path")), "{path}");
        }
    }
    let all: std::collections::BTreeSet<String> =
        methods.as_array().context("methods")?.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect();
    assert_eq!(seen, all);
    Ok(())
}

#[tokio::test]
async fn the_openapi_document_says_what_is_answered_where_bytes_pass_around_a_component() -> Result<()> {
    let host = Host::start().await?;
    let (_, document) = json_of(&host, "GET", "/openapi.json", "").await?;
    let of = |verb: &str, path: &str| document["paths"][format!("/api/v1/files/{path}")][verb]["responses"].clone();
    let statuses = |responses: &Value| {
        let mut statuses: Vec<String> =
            responses.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        statuses.sort();
        statuses
    };
    let put = of("put", "content");
    assert_eq!(statuses(&put), ["200", "201", "default"]);
    assert_eq!(put["201"]["content"]["application/json"]["schema"]["title"], "written", "{put}");
    assert_eq!(statuses(&of("get", "content")), ["200", "206", "304", "416", "default"]);
    // Made while it is sent: nothing to have already, and no parts.
    let archive = of("get", "archive");
    assert_eq!(statuses(&archive), ["200", "default"]);
    assert!(archive["200"]["content"]["*/*"].is_object(), "{archive}");
    let unpacked = of("put", "archive");
    assert_eq!(unpacked["200"]["content"]["application/json"]["schema"]["title"], "unpacked", "{unpacked}");
    let upload = of("patch", "uploads/{id}");
    assert_eq!(upload["200"]["content"]["application/json"]["schema"]["title"], "upload", "{upload}");
    Ok(())
}

#[tokio::test]
async fn a_route_that_does_not_fit_keeps_the_plugin_from_loading_and_is_named() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.subscribe(&["plugin.load_failed"]).await?;
    let staged = tempfile::tempdir()?;
    let folder = staged.path().join("spell");
    copy_folder(&example("spell")?, &folder)?;
    midplane_tests::set_in_manifest(&folder, "call = \"check\"", "call = \"chekc\"")?;
    host.drop_in(&folder)?;
    let event = client.event_on("plugin.load_failed").await?;
    let reason = event["payload"]["reason"].as_str().context("reason")?;
    assert!(reason.contains("routes[0].call") && reason.contains("chekc"), "{reason}");
    Ok(())
}
