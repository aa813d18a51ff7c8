//! Files over HTTP as they are: whole, in parts, under conditions, of any size, and harmless to the origin that serves them.

use anyhow::{Context, Result};
use midplane_tests::{Host, Response, request};
use serde_json::{Value, json};

async fn send(host: &Host, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Response> {
    let bearer = format!("Bearer {}", host.token);
    let all: Vec<_> = [("authorization", bearer.as_str())].into_iter().chain(headers.iter().copied()).collect();
    request(&host.url, method, &format!("/api/v1/files/content?path={path}"), &all, body).await
}

#[tokio::test]
async fn a_file_is_put_under_conditions_and_got_whole_and_in_parts() -> Result<()> {
    let host = Host::start().await?;
    let made = send(&host, "PUT", "a.txt&create_dirs=true", &[("if-none-match", "*")], "0123456789").await?;
    assert_eq!(made.status, 201, "{}", made.body);
    let written: Value = serde_json::from_str(&made.body)?;
    assert_eq!((&written["created"], &written["size"]), (&json!(true), &json!(10)), "{written}");
    let tag = made.header("etag").context("etag")?.to_owned();
    let again = send(&host, "PUT", "a.txt", &[("if-none-match", "*")], "x").await?;
    assert_eq!(again.status, 412, "{}", again.body);
    let stale = send(&host, "PUT", "a.txt", &[("if-match", "\"stale\"")], "x").await?;
    let problem: Value = serde_json::from_str(&stale.body)?;
    assert_eq!((stale.status, &problem["details"]["current_version"]), (412, &written["version"]), "{problem}");
    let same = send(&host, "PUT", "a.txt", &[("if-match", &tag)], "0123456789").await?;
    assert!(same.body.contains("\"unchanged\":true"), "{}", same.body);

    let whole = send(&host, "GET", "a.txt", &[], "").await?;
    assert_eq!((whole.status, &*whole.body, whole.header("etag")), (200, "0123456789", Some(&*tag)));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let head = send(&host, "HEAD", "a.txt", &[("range", "bytes=0-1")], "").await?;
    assert_eq!((head.status, &*head.body, head.header("content-length")), (200, "", Some("10")));
    for (headers, status, body, said) in [
        (&[("range", "bytes=2-4")][..], 206, "234", Some("bytes 2-4/10")),
        (&[("range", "bytes=-3")], 206, "789", Some("bytes 7-9/10")),
        (&[("range", "bytes=8-")], 206, "89", Some("bytes 8-9/10")),
        (&[("range", "bytes=0-1,3-4")], 200, "0123456789", None),
        (&[("range", "bytes=2-4"), ("if-range", &tag)], 206, "234", Some("bytes 2-4/10")),
        (&[("range", "bytes=2-4"), ("if-range", "\"other\"")], 200, "0123456789", None),
        (&[("if-none-match", &tag)], 304, "", None),
        (&[("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT")], 304, "", None),
    ] {
        let part = send(&host, "GET", "a.txt", headers, "").await?;
        assert_eq!((part.status, &*part.body, part.header("content-range")), (status, body, said), "{headers:?}");
    }
    let beyond = send(&host, "GET", "a.txt", &[("range", "bytes=10-")], "").await?;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */10")));
    let failed = send(&host, "GET", "a.txt", &[("if-match", "\"other\"")], "").await?;
    assert_eq!(failed.status, 412, "{}", failed.body);

    let edits = json!({ "edits": [{ "old_text": "345", "new_text": "-" }] }).to_string();
    let headers = [("content-type", "application/json"), ("if-match", &*tag)];
    let edited = send(&host, "PATCH", "a.txt", &headers, &edits).await?;
    assert_eq!(edited.status, 200, "{}", edited.body);
    assert_eq!(send(&host, "GET", "a.txt", &[], "").await?.body, "012-6789");
    let stale = send(&host, "DELETE", "a.txt", &[("if-match", &tag)], "").await?;
    assert_eq!(stale.status, 412, "{}", stale.body);
    let now = send(&host, "HEAD", "a.txt", &[], "").await?.header("etag").context("etag")?.to_owned();
    let gone = send(&host, "DELETE", "a.txt&trash=true", &[("if-match", &now)], "").await?;
    assert_eq!((gone.status, gone.body.contains("\"id\":\"")), (200, true), "{}", gone.body);
    assert_eq!(send(&host, "GET", "a.txt", &[], "").await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn what_a_file_holds_runs_nowhere() -> Result<()> {
    let host = Host::start().await?;
    for (name, kind, shown) in [
        ("page.html", "text/html; charset=utf-8", "attachment"),
        ("image.svg", "image/svg+xml", "attachment"),
        ("code.rs", "text/plain; charset=utf-8", "inline"),
        ("data", "text/plain; charset=utf-8", "inline"),
        ("b\u{fc}ro \"1\".bin", "application/octet-stream", "attachment"),
    ] {
        host.write_file(name, "<script>alert(1)</script>")?;
        let path: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let got = send(&host, "GET", &path, &[], "").await?;
        assert_eq!((got.status, got.header("content-type")), (200, Some(kind)), "{name}: {}", got.body);
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
        let policy = got.header("content-security-policy").context("policy")?;
        assert!(policy.starts_with("sandbox; default-src 'none'"), "{policy}");
        let disposition = got.header("content-disposition").context("disposition")?;
        assert!(disposition.starts_with(shown) && disposition.is_ascii(), "{disposition}");
    }
    Ok(())
}

#[tokio::test]
async fn a_text_is_compressed_for_who_takes_it_and_its_tag_still_names_the_file() -> Result<()> {
    let host = Host::start().await?;
    host.write_file("a.txt", &"a line that comes again\n".repeat(1000))?;
    let (_, unanswered) =
        host.ask("GET", "/api/v1/files/content?path=a.txt", &[("accept-encoding", "br, gzip")]).await?;
    let mut packed = unanswered.head().await?;
    assert_eq!(packed.header("content-encoding"), ["gzip"], "{:?}", packed.headers);
    let tag = packed.header("etag")[0].to_owned();
    let mut bytes = Vec::new();
    while let Some(chunk) = packed.chunk().await? {
        bytes.extend(chunk);
    }
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut text)?;
    assert_eq!(text, "a line that comes again\n".repeat(1000));
    let plain = send(&host, "GET", "a.txt", &[], "").await?;
    assert!(plain.header("content-encoding").is_none() && plain.header("etag") != Some(&*tag));
    let part = send(&host, "GET", "a.txt", &[("accept-encoding", "gzip"), ("range", "bytes=0-5")], "").await?;
    assert_eq!((part.status, &*part.body), (206, "a line"));
    let replaced = send(&host, "PUT", "a.txt", &[("if-match", &tag)], "new").await?;
    assert_eq!(replaced.status, 200, "{}", replaced.body);
    Ok(())
}

/// `MIDPLANE_STREAM_BYTES` says how large; 48 MiB without it.
#[tokio::test]
async fn a_large_file_passes_both_ways_and_the_hosts_memory_stays_flat() -> Result<()> {
    let bytes: usize = std::env::var("MIDPLANE_STREAM_BYTES").ok().map_or(Ok(48 << 20), |text| text.parse())?;
    let host = Host::start().await?;
    let piece: Vec<u8> = (0..1 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    // Once for what grows only once.
    put(&host, "warm", &piece, 12).await?;
    let before = peak_kib(host.pid())?;
    put(&host, "large", &piece, bytes >> 20).await?;
    assert_eq!(std::fs::metadata(host.directory.join("large"))?.len(), (bytes >> 20 << 20) as u64);
    let mut got = host.get("/api/v1/files/content?path=large").await?;
    let mut seen = 0;
    while seen < bytes >> 20 {
        let read = got.exactly(piece.len()).await?;
        assert!(read == piece, "piece {seen} is another one");
        seen += 1;
    }
    let grown = peak_kib(host.pid())?.saturating_sub(before);
    assert!(grown < 24 * 1024, "the host has grown by {grown} KiB");
    Ok(())
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_the_file_as_it_was_and_nothing_beside_it() -> Result<()> {
    let host = Host::start().await?;
    host.write_file("a.txt", "old")?;
    let mut client = host.connect().await?;
    client.subscribe(&["files.changed"]).await?;
    let (mut asking, unanswered) = host.ask("PUT", "/api/v1/files/content?path=a.txt", &[]).await?;
    asking.chunk(b"half of it").await?;
    asking.cut().await?;
    drop(unanswered);
    // Something that happens after the host has seen the end of the other.
    let done = send(&host, "PUT", "b.txt", &[], "whole").await?;
    assert_eq!(done.status, 201);
    client.event(|event| event["payload"].to_string().contains("b.txt")).await?;
    assert_eq!(std::fs::read_to_string(host.directory.join("a.txt"))?, "old");
    Ok(())
}

#[tokio::test]
async fn bytes_go_around_a_component_only_over_its_raw_routes() -> Result<()> {
    let host = Host::start().await?;
    host.write_file("a.txt", "text")?;
    let mut client = host.connect().await?;
    for method in ["files.download", "files.upload"] {
        let (code, error) = client.fault(method, json!({ "path": "a.txt" })).await?;
        assert_eq!(code, "not_supported", "{method}: {error}");
    }
    for (path, status) in [("..%2Fdata%2Ftoken", 403), (".midplane%2Fx", 403), ("%00", 403)] {
        for method in ["GET", "PUT"] {
            assert_eq!(send(&host, method, path, &[], "").await?.status, status, "{method} {path}");
        }
    }
    let ranged = send(&host, "PUT", "a.txt", &[("content-range", "bytes 0-3/4")], "text").await?;
    assert_eq!(ranged.status, 400, "{}", ranged.body);
    Ok(())
}

async fn put(host: &Host, name: &str, piece: &[u8], count: usize) -> Result<()> {
    let (mut asking, unanswered) = host.ask("PUT", &format!("/api/v1/files/content?path={name}"), &[]).await?;
    for _ in 0..count {
        asking.chunk(piece).await?;
    }
    asking.end(&[]).await?;
    let mut answer = unanswered.head().await?;
    let text = answer.rest().await?;
    anyhow::ensure!(answer.status == 201, "{} {text}", answer.status);
    Ok(())
}

/// The most memory that a process has had, in KiB.
fn peak_kib(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("VmHWM")?;
    Ok(line.split_whitespace().nth(1).context("figure")?.parse()?)
}
