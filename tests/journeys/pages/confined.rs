use anyhow::Result;
use midplane_tests::ask;
use serde_json::json;

use super::with_pages;

#[tokio::test]
async fn foreign_names_and_origins_are_refused_on_pages_too_even_on_public_ones() -> Result<()> {
    for more in ["", "[http]\npublic = true"] {
        let host = with_pages(more).await?;
        for (header, value, status) in [
            ("origin", "https://evil.example", 403),
            ("origin", "null", 403),
            ("host", "evil.example", 421),
            ("origin", host.url.as_str(), 200),
        ] {
            let bearer = format!("Bearer {}", host.token);
            let headers = [("authorization", bearer.as_str()), (header, value)];
            let response = midplane_tests::request(&host.url, "GET", "/p/pages/", &headers, "").await?;
            assert_eq!(response.status, status, "{header}: {value} with {more:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_hosts_credentials_end_at_the_host() -> Result<()> {
    let host = with_pages("[http]\npublic = true").await?;
    let port = host.url.rsplit(':').next().unwrap_or_default();
    let cookie = format!("own=1; midplane_{port}=secret");
    let (_, answering) = host.ask("GET", "/p/pages/inspect", &[("cookie", &cookie)]).await?;
    let seen = answering.head().await?.rest().await?;
    assert!(!seen.contains("authorization") && !seen.contains(&host.token), "{seen}");
    assert!(seen.contains("header cookie: own=1\n"), "{seen}");
    // What is not the host's is the plugin's affair.
    let (_, answering) =
        ask(&host.url, "GET", "/p/pages/inspect", &[("authorization", "Bearer of-the-plugin")]).await?;
    let seen = answering.head().await?.rest().await?;
    assert!(seen.contains("header authorization: Bearer of-the-plugin"), "{seen}");
    Ok(())
}

#[tokio::test]
async fn pages_without_a_credential_are_a_grant_that_everybody_can_see() -> Result<()> {
    let host = with_pages("[http]\npublic = true").await?;
    let (_, answering) = ask(&host.url, "GET", "/p/pages/", &[]).await?;
    assert_eq!(answering.head().await?.status, 200);
    let mut client = host.connect().await?;
    let info = client.call("plugin.get", json!({ "name": "pages" })).await?;
    assert_eq!(info["grants"]["public_pages"], true, "{info}");
    assert_eq!(info["pages"], json!({ "path": "/p/pages/", "access": "public" }), "{info}");
    Ok(())
}

#[tokio::test]
async fn an_answer_says_nothing_about_the_host_or_other_plugins() -> Result<()> {
    let host = with_pages("").await?;
    let answer = host.get("/p/pages/headers").await?;
    assert_eq!(answer.header("set-cookie"), ["own=1; Path=/p/pages/"]);
    assert_eq!(answer.header("location"), ["/p/pages/elsewhere"]);
    assert_eq!(answer.header("x-content-type-options"), ["nosniff"]);
    assert_eq!(answer.header("referrer-policy"), ["same-origin"]);
    assert_eq!(answer.header("x-own"), ["kept"]);
    for absent in ["clear-site-data", "service-worker-allowed", "strict-transport-security"] {
        assert!(answer.header(absent).is_empty(), "{absent}");
    }
    let policies = answer.header("content-security-policy");
    assert_eq!(policies.len(), 2, "{policies:?}");
    assert!(policies[1].starts_with("sandbox ") && !policies[1].contains("allow-same-origin"), "{policies:?}");
    Ok(())
}

#[tokio::test]
async fn only_the_grant_gives_a_page_the_hosts_origin() -> Result<()> {
    let host = with_pages("[grants]\nsame_origin = true").await?;
    let answer = host.get("/p/pages/headers").await?;
    assert_eq!(answer.header("content-security-policy"), ["default-src 'self'"]);
    let mut client = host.connect().await?;
    let info = client.call("plugin.get", json!({ "name": "pages" })).await?;
    assert_eq!(info["grants"]["same_origin"], true, "{info}");
    Ok(())
}

#[tokio::test]
async fn a_token_sees_what_its_scopes_allow_and_no_longer_than_it_is_valid() -> Result<()> {
    for (more, get, post) in
        [("", 200, 403), ("[http]\nscope = \"read\"", 200, 200), ("[http]\nscope = \"admin\"", 403, 403)]
    {
        let host = with_pages(more).await?;
        let mut client = host.connect().await?;
        let made = client.call("auth.create_token", json!({ "name": "reader", "scopes": ["read"] })).await?;
        let bearer = format!("Bearer {}", made["token"].as_str().unwrap_or_default());
        let ask = async |method, path| {
            let headers = [("authorization", bearer.as_str()), ("transfer-encoding", "chunked")];
            ask(&host.url, method, path, &headers[..if method == "GET" { 1 } else { 2 }]).await
        };
        assert_eq!(ask("GET", "/p/pages/").await?.1.head().await?.status, get, "{more:?}");
        let (mut asking, answering) = ask("POST", "/p/pages/events").await?;
        let mut answer = answering.head().await?;
        assert_eq!(answer.status, post, "{more:?}");
        if post == 403 {
            let problem = answer.rest().await?;
            assert!(problem.contains("\"forbidden\"") && problem.contains("scope"), "{problem}");
            continue;
        }
        asking.chunk(b"one\n").await?;
        answer.chunk().await?;
        client.call("auth.revoke_token", json!({ "id": made["id"] })).await?;
        assert!(answer.chunk().await.is_err(), "a stream ends with its token");
        assert_eq!(ask("GET", "/p/pages/").await?.1.head().await?.status, 401);
    }
    Ok(())
}
