use anyhow::{Context, Result};
use midplane_tests::{Host, Options, ask, copy_folder, guest, request};
use serde_json::json;

use super::{problem, with_pages};

#[tokio::test]
async fn a_component_that_knows_only_wasi_http_answers_below_its_name() -> Result<()> {
    let host = with_pages("").await?;
    let mut hello = host.get("/p/pages/").await?;
    assert_eq!((hello.status, hello.rest().await?.as_str()), (200, "hello from a page\n"));
    let head = host.ask("HEAD", "/p/pages/", &[]).await?.1.head().await?;
    assert_eq!((head.status, head.header("content-length")), (200, vec!["18"]));
    for (method, status) in [("DELETE", 418), ("PATCH", 200), ("BREW", 507)] {
        let (mut asking, answering) = host.ask(method, &format!("/p/pages/status/{status}"), &[]).await?;
        asking.end(&[]).await?;
        assert_eq!(answering.head().await?.status, status, "{method}");
    }
    let moved = host.get("/p/pages?a=1").await?;
    assert_eq!((moved.status, moved.header("location")), (308, vec!["/p/pages/?a=1"]));
    Ok(())
}

#[tokio::test]
async fn the_guest_sees_its_own_root_and_the_authority_that_the_client_used() -> Result<()> {
    let host = with_pages("").await?;
    let spoof = [
        ("x-forwarded-prefix", "/elsewhere"),
        FORWARDED[0],
        FORWARDED[1],
        FORWARDED[2],
        ("range", "bytes=0-1"),
        ("if-none-match", "\"v1\""),
    ];
    let (_, answering) = host.ask("GET", "/p/pages/inspect?a=%20&b", &spoof).await?;
    let seen = answering.head().await?.rest().await?;
    let authority = host.url.trim_start_matches("http://");
    for line in [
        "method Method::Get",
        "path /inspect?a=%20&b",
        &format!("authority {authority}"),
        "scheme Scheme::Http",
        "header x-forwarded-prefix: /p/pages",
        "header range: bytes=0-1",
        "header if-none-match: \"v1\"",
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line:?} in:\n{seen}");
    }
    assert!(!seen.contains("/elsewhere") && !seen.contains("192.0.2.1"), "{seen}");
    Ok(())
}

/// What a proxy says of its client.
const FORWARDED: [(&str, &str); 3] =
    [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1"), ("x-real-ip", "192.0.2.1")];

#[tokio::test]
async fn behind_a_proxy_the_guest_learns_whose_request_it_passes_on() -> Result<()> {
    let options = Options { arguments: vec!["--behind-proxy".into()], ..Options::default() };
    let host = Host::start_with(options, |plugins| copy_folder(&guest("pages")?, &plugins.join("pages"))).await?;
    let (_, answering) = host.ask("GET", "/p/pages/inspect", &FORWARDED).await?;
    let seen = answering.head().await?.rest().await?;
    for (name, value) in FORWARDED {
        assert!(seen.lines().any(|line| line == format!("header {name}: {value}")), "{name} in:\n{seen}");
    }
    assert!(seen.lines().any(|line| line == "scheme Scheme::Https"), "{seen}");
    Ok(())
}

#[tokio::test]
async fn what_has_no_page_says_why_and_what_to_do() -> Result<()> {
    let host = with_pages("").await?;
    let (status, unknown) = problem(&host, "/p/nobody/").await?;
    assert_eq!((status, unknown["code"].as_str()), (404, Some("not_found")), "{unknown}");
    let (status, none) = problem(&host, "/p/workspace/").await?;
    assert_eq!(status, 404);
    assert!(none["detail"].as_str().is_some_and(|text| text.contains("wasi:http/incoming-handler")), "{none}");
    let mut client = host.connect().await?;
    client.call("plugin.disable", json!({ "name": "pages" })).await?;
    let (status, stopped) = problem(&host, "/p/pages/").await?;
    assert_eq!((status, stopped["code"].as_str()), (503, Some("plugin_unavailable")), "{stopped}");
    assert_eq!(stopped["details"]["state"], "disabled");
    assert_eq!(host.get("/p/pages/").await?.header("retry-after"), ["2"]);
    Ok(())
}

#[tokio::test]
async fn events_reach_the_client_one_by_one() -> Result<()> {
    let host = with_pages("").await?;
    let (mut asking, answering) = host.ask("POST", "/p/pages/events", &[]).await?;
    let mut answering = answering.head().await?;
    assert_eq!(answering.header("content-type"), ["text/event-stream"]);
    // Each event answers a line that was not sent before the event ahead of it had arrived.
    for text in ["one", "two", "three"] {
        asking.chunk(format!("{text}\n").as_bytes()).await?;
        let event = answering.chunk().await?.context("an event")?;
        assert_eq!(String::from_utf8_lossy(&event), format!("data: {text}\n\n"));
    }
    asking.end(&[]).await?;
    assert!(answering.chunk().await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_large_body_streams_through_both_ways_and_the_host_keeps_none_of_it() -> Result<()> {
    const PIECE: usize = 64 * 1024;
    const PIECES: usize = 1024;
    let host = with_pages("").await?;
    host.get("/p/pages/").await?;
    let before = peak_kib(host.pid())?;
    let (mut asking, answering) = host.ask("PUT", "/p/pages/echo", &[]).await?;
    let sending = tokio::spawn(async move {
        for index in 0..PIECES {
            asking.chunk(&vec![u8::try_from(index % 251)?; PIECE]).await?;
        }
        asking.end(&[]).await
    });
    let mut answering = answering.head().await?;
    let mut received = 0usize;
    while let Some(bytes) = answering.chunk().await? {
        for byte in bytes {
            assert_eq!(usize::from(byte), received / PIECE % 251, "at {received}");
            received += 1;
        }
    }
    sending.await??;
    assert_eq!(received, PIECE * PIECES);
    let more = peak_kib(host.pid())?.saturating_sub(before);
    assert!(more < 24 * 1024, "64 MiB passed and the host's peak grew by {more} KiB");
    Ok(())
}

/// The most resident memory that a process ever had, in KiB.
fn peak_kib(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("VmHWM")?;
    Ok(line.split_whitespace().nth(1).context("figure")?.parse()?)
}

#[tokio::test]
async fn trailers_pass_in_both_directions() -> Result<()> {
    let host = with_pages("").await?;
    let (mut asking, answering) = host.ask("POST", "/p/pages/echo", &[("te", "trailers")]).await?;
    asking.chunk(b"content").await?;
    asking.end(&[("x-checksum", "abc")]).await?;
    let mut answering = answering.head().await?;
    assert_eq!(answering.rest().await?, "content");
    assert_eq!(answering.trailers, [("x-checksum".to_owned(), "abc".to_owned())]);
    let (_, answering) = host.ask("GET", "/p/pages/trailers", &[("te", "trailers")]).await?;
    let mut answering = answering.head().await?;
    assert_eq!(answering.rest().await?, "three words here");
    assert_eq!(answering.trailers, [("x-count".to_owned(), "3".to_owned())]);
    Ok(())
}

#[tokio::test]
async fn a_websocket_is_refused_with_what_to_use_instead() -> Result<()> {
    let host = with_pages("").await?;
    let upgrade = [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let mut refused = host.ask("GET", "/p/pages/", &upgrade).await?.1.head().await?;
    let body = refused.rest().await?;
    assert_eq!(refused.status, 501, "{body}");
    assert!(body.contains("not_supported") && body.contains("/ws"), "{body}");
    // Another protocol is an offer that a server may leave alone.
    let other = [("upgrade", "h2c"), ("connection", "upgrade")];
    assert_eq!(host.ask("GET", "/p/pages/", &other).await?.1.head().await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_header_section_beyond_the_limit_is_refused() -> Result<()> {
    let host = with_pages("").await?;
    let large = "x".repeat(70_000);
    let (_, answering) = host.ask("GET", "/p/pages/", &[("x-large", &large)]).await?;
    assert_eq!(answering.head().await?.status, 431);
    Ok(())
}

#[tokio::test]
async fn without_a_credential_nobody_learns_which_plugins_there_are() -> Result<()> {
    let host = with_pages("").await?;
    for path in ["/p/pages/", "/p/pages", "/p/nobody/", "/p/"] {
        let (_, answering) = ask(&host.url, "GET", path, &[]).await?;
        assert_eq!(answering.head().await?.status, 401, "{path}");
        assert_eq!(request(&host.url, "GET", path, &[("authorization", "Bearer wrong")], "").await?.status, 401);
    }
    Ok(())
}
