//! Uploads that go on after a cut: by tus, by JSON and by the command line, over connections and hosts that end in the midst of them.

use std::{
    fs::File,
    hash::{BuildHasher as _, RandomState},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use midplane_tests::{Answering, Client, Host, Response, request};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const UPLOADS: &str = "/api/v1/files/uploads";
const PIECE: usize = 1 << 20;

/// The piece at this place of a file in which no two are the same.
fn piece(index: usize) -> Vec<u8> {
    (0..PIECE).map(|n| ((n + index * 7919).wrapping_mul(2_654_435_761) >> 15) as u8).collect()
}

async fn tus(host: &Host, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Response> {
    let bearer = format!("Bearer {}", host.token);
    let mut all = vec![("authorization", bearer.as_str()), ("tus-resumable", "1.0.0")];
    all.extend(headers);
    request(&host.url, method, path, &all, body).await
}

/// Begins an upload by tus and gives its path.
async fn create(host: &Host, size: usize, metadata: &[(&str, &str)]) -> Result<String> {
    let pairs: Vec<String> = metadata.iter().map(|(key, text)| format!("{key} {}", STANDARD.encode(text))).collect();
    let (length, pairs) = (size.to_string(), pairs.join(","));
    let headers = [("upload-length", length.as_str()), ("upload-metadata", pairs.as_str())];
    let created = tus(host, "POST", UPLOADS, &headers, "").await?;
    ensure!(created.status == 201, "{created:?}");
    Ok(created.header("location").context("location")?.to_owned())
}

async fn offset(host: &Host, upload: &str) -> Result<usize> {
    let head = tus(host, "HEAD", upload, &[], "").await?;
    ensure!(head.status == 200 && head.header("cache-control") == Some("no-store"), "{head:?}");
    Ok(head.header("upload-offset").context("upload-offset")?.parse()?)
}

/// Sends the file from where the upload stands up to `end`, as much as possible of it in one request. Cut there, or answered.
async fn send(host: &Host, upload: &str, end: usize, cut: bool) -> Result<Option<Answering>> {
    loop {
        let start = offset(host, upload).await?;
        let said = start.to_string();
        let headers = [
            ("tus-resumable", "1.0.0"),
            ("content-type", "application/offset+octet-stream"),
            ("upload-offset", said.as_str()),
        ];
        let (mut asking, unanswered) = host.ask("PATCH", upload, &headers).await?;
        let mut at = start;
        let mut sent = Ok(());
        while at < end && sent.is_ok() {
            let whole = piece(at / PIECE);
            let part = &whole[at % PIECE..(at % PIECE + end - at).min(PIECE)];
            sent = asking.chunk(part).await;
            at += part.len();
        }
        // A host that had not yet seen the end of the request before answers at once, and takes no more.
        if cut && sent.is_err() {
            continue;
        }
        if cut {
            asking.cut().await?;
            return Ok(None);
        }
        _ = asking.end(&[]).await;
        let answer = unanswered.head().await?;
        if answer.status != 409 {
            return Ok(Some(answer));
        }
    }
}

/// `MIDPLANE_STREAM_BYTES` says how large; 48 MiB without it.
#[tokio::test]
async fn an_upload_that_is_cut_twice_is_resumed_and_comes_back_the_same_in_flat_memory() -> Result<()> {
    let bytes: usize = std::env::var("MIDPLANE_STREAM_BYTES").ok().map_or(Ok(48 << 20), |text| text.parse())?;
    let bytes = bytes / PIECE * PIECE;
    let host = Host::start().await?;
    let mut hash = Sha256::new();
    (0..bytes / PIECE).for_each(|index| hash.update(piece(index)));
    let sha256: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let metadata = [("path", "films/large"), ("create_dirs", "true"), ("sha256", &sha256), ("filename", "a note")];
    let upload = create(&host, bytes, &metadata).await?;
    let random = RandomState::new();
    let place = |n: u32, from: usize| from + 1 + random.hash_one(n) as usize % (bytes / 3);
    let (first, second) = (place(1, 0), place(2, bytes / 2));

    send(&host, &upload, first, true).await.with_context(|| format!("cut at {first}"))?;
    let host = {
        // The second cut is the end of the host.
        let begun = offset(&host, &upload).await?;
        let sending = send(&host, &upload, second, true).await;
        sending.with_context(|| format!("cut at {second}, after {begun} of {first}"))?;
        host.kill_and_restart().await?
    };
    assert!(!host.directory.join("films").exists());
    let kept = offset(&host, &upload).await?;
    assert!(kept <= second, "{kept} have come of {second} that were sent");
    // Once for what grows only once.
    let small = create(&host, 12 * PIECE, &[("path", "warm")]).await?;
    assert_eq!(send(&host, &small, 12 * PIECE, false).await?.context("answer")?.status, 204);
    let before = peak_kib(host.pid())?;

    let done = send(&host, &upload, bytes, false).await?.context("answer")?;
    assert_eq!((done.status, done.header("upload-offset")), (204, vec![&*bytes.to_string()]), "{:?}", done.headers);
    assert_eq!(std::fs::metadata(host.directory.join("films/large"))?.len(), bytes as u64);
    let mut seen = 0;
    while seen < bytes {
        // Ranges that end nowhere in particular.
        let end = (seen + 5 * PIECE + 4321).min(bytes);
        let range = format!("bytes={seen}-{}", end - 1);
        let (_, unanswered) = host.ask("GET", "/api/v1/files/content?path=films%2Flarge", &[("range", &range)]).await?;
        let mut part = unanswered.head().await?;
        assert_eq!(part.status, 206, "{:?}", part.headers);
        while seen < end {
            let whole = piece(seen / PIECE);
            let expected = &whole[seen % PIECE..(seen % PIECE + end - seen).min(PIECE)];
            let got = part.exactly(expected.len()).await?;
            assert!(got == expected, "other bytes after {seen}");
            seen += got.len();
        }
    }
    let grown = peak_kib(host.pid())?.saturating_sub(before);
    assert!(grown < 24 * 1024, "the host has grown by {grown} KiB");
    eprintln!("{} MiB, cut at {first} and {second}: the host has grown by {grown} KiB", bytes >> 20);
    Ok(())
}

#[tokio::test]
async fn any_tus_client_is_understood() -> Result<()> {
    let host = Host::start().await?;
    let asked = tus(&host, "OPTIONS", UPLOADS, &[], "").await?;
    assert_eq!((asked.status, asked.header("tus-version")), (204, Some("1.0.0")), "{asked:?}");
    assert_eq!(asked.header("tus-extension"), Some("creation,expiration,termination"));
    let bearer = format!("Bearer {}", host.token);
    let other =
        request(&host.url, "POST", UPLOADS, &[("authorization", &bearer), ("tus-resumable", "0.2.2")], "").await?;
    assert_eq!((other.status, other.header("tus-version")), (412, Some("1.0.0")), "{other:?}");

    let upload = create(&host, 10, &[("path", "a.txt"), ("filetype", "text/plain")]).await?;
    let bytes = ("content-type", "application/offset+octet-stream");
    let part = tus(&host, "PATCH", &upload, &[bytes, ("upload-offset", "0")], "01234").await?;
    assert_eq!((part.status, part.header("upload-offset"), &*part.body), (204, Some("5"), ""), "{part:?}");
    assert!(part.header("upload-expires").is_some_and(|date| date.ends_with("GMT")), "{part:?}");
    for (headers, body, status) in [
        (&[bytes, ("upload-offset", "4")][..], "45678", 409),
        (&[bytes, ("upload-offset", "5")], "56789x", 413),
        (&[bytes, ("upload-offset", "five")], "x", 422),
        (&[("upload-offset", "5")], "56789", 415),
        (&[bytes], "56789", 422),
    ] {
        let refused = tus(&host, "PATCH", &upload, headers, body).await?;
        assert_eq!((refused.status, refused.header("tus-resumable")), (status, Some("1.0.0")), "{refused:?}");
        assert_eq!(offset(&host, &upload).await?, 5);
    }
    let instead = ("x-http-method-override", "PATCH");
    let last = tus(&host, "POST", &upload, &[bytes, instead, ("upload-offset", "5")], "56789").await?;
    assert_eq!((last.status, offset(&host, &upload).await?), (204, 10), "{last:?}");
    assert_eq!(std::fs::read_to_string(host.directory.join("a.txt"))?, "0123456789");

    let given_up = create(&host, 10, &[("path", "b.txt")]).await?;
    assert_eq!(tus(&host, "DELETE", &given_up, &[], "").await?.status, 204);
    for method in ["HEAD", "PATCH", "DELETE"] {
        let gone = tus(&host, method, &given_up, &[bytes, ("upload-offset", "0")], "").await?;
        assert_eq!(gone.status, 404, "{method}: {gone:?}");
    }
    create(&host, 0, &[("path", "empty")]).await?;
    assert_eq!(std::fs::read(host.directory.join("empty"))?, b"");
    Ok(())
}

#[tokio::test]
async fn a_client_of_json_hears_of_versions_and_hashes_and_what_waited_too_long_is_gone_after_a_kill() -> Result<()> {
    let host = Host::start().await?;
    host.write_file("a", "old")?;
    let mut client = host.connect().await?;
    let version = client.call("files.stat", json!({ "path": "a" })).await?["version"].clone();
    let begin = json!({ "path": "a", "size": 3, "if_version": version });
    let begun = client.call("files.uploads.begin", begin.clone()).await?;
    let id = begun["id"].as_str().context("id")?.to_owned();
    host.write_file("a", "other")?;
    let patch = async |host: &Host, id: &str, query: &str, body: &str| -> Result<(u16, Value)> {
        let bearer = format!("Bearer {}", host.token);
        let path = format!("{UPLOADS}/{id}?{query}");
        let answer = request(&host.url, "PATCH", &path, &[("authorization", &bearer)], body).await?;
        Ok((answer.status, serde_json::from_str(&answer.body)?))
    };
    let (status, stale) = patch(&host, &id, "offset=0", "new").await?;
    assert_eq!((status, &stale["code"]), (412, &json!("precondition_failed")), "{stale}");
    let current = stale["details"]["current_version"].as_str().context("current version")?;
    let (status, done) = patch(&host, &id, &format!("offset=3&if_version={current}"), "").await?;
    assert_eq!((status, &done["complete"], &done["written"]["created"]), (200, &json!(true), &json!(false)), "{done}");
    assert_eq!(std::fs::read_to_string(host.directory.join("a"))?, "new");
    let (code, _) = client.fault("files.uploads.begin", begin).await?;
    assert_eq!(code, "precondition_failed");
    assert_eq!(patch(&host, &id, "offset=3", "more").await?.0, 404, "it takes nothing more");
    let (code, _) = client.fault("files.uploads.append", json!({ "id": id, "offset": 3 })).await?;
    assert_eq!(code, "not_supported", "bytes come over HTTP");

    let wrong = json!({ "path": "b", "size": 3, "sha256": "0".repeat(64) });
    let wrong = client.call("files.uploads.begin", wrong).await?;
    let (status, refused) = patch(&host, wrong["id"].as_str().context("id")?, "offset=0", "new").await?;
    assert_eq!((status, &refused["code"]), (400, &json!("invalid_request")), "{refused}");
    assert!(!host.directory.join("b").exists());
    let (code, _) = client.fault("files.uploads.begin", json!({ "path": "../b", "size": 3 })).await?;
    assert_eq!(code, "outside_root");

    let begun = client.call("files.uploads.begin", json!({ "path": "c", "size": 3 })).await?;
    let id = begun["id"].as_str().context("id")?.to_owned();
    patch(&host, &id, "offset=0", "n").await?;
    let uploads = host.directory.join(".midplane/uploads");
    let day = Duration::from_secs(24 * 3600 + 1);
    File::options().write(true).open(uploads.join(&id).join("gathered"))?.set_modified(SystemTime::now() - day)?;
    let host = host.kill_and_restart().await?;
    assert!(!uploads.join(&id).exists());
    assert_eq!(patch(&host, &id, "offset=1", "ew").await?.0, 404);
    Ok(())
}

#[tokio::test]
async fn the_command_line_goes_on_with_what_an_earlier_run_has_sent() -> Result<()> {
    let host = Host::start().await?;
    let here = tempfile::tempdir()?;
    let source = here.path().join("source");
    let content: Vec<u8> = (0..9).flat_map(piece).collect();
    std::fs::write(&source, &content)?;
    let sha256: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    let upload = create(&host, content.len(), &[("path", "large"), ("sha256", &sha256)]).await?;
    send(&host, &upload, 5 * PIECE + 77, true).await?;
    let source = source.to_str().context("path")?;
    let (code, out, err) = host.cli(&["files", "put", source, "large"]).await?;
    assert_eq!((code, out.starts_with("large: created, 9437184 bytes")), (0, true), "{out}{err}");
    assert!(std::fs::read(host.directory.join("large"))? == content);
    assert_eq!(offset(&host, &upload).await?, content.len(), "it was this upload");
    let (code, out, err) = host.cli(&["files", "put", "--new", source, "large"]).await?;
    assert_eq!(code, 5, "{out}{err}");
    let listed = host.get_json(UPLOADS).await?;
    assert!(listed.as_array().is_some_and(|all| all.iter().all(|upload| upload["complete"] == true)), "{listed}");
    Ok(())
}

#[tokio::test]
async fn an_upload_is_its_owners_and_only_an_administrator_sees_it_and_gives_it_up() -> Result<()> {
    let host = Host::start().await?;
    let mut owner = host.connect().await?;
    let mut token = async |name: &str| -> Result<String> {
        let params = json!({ "name": name, "scopes": ["read", "write"] });
        let made = owner.call("auth.create_token", params).await?;
        Ok(made["token"].as_str().context("token")?.to_owned())
    };
    let (mine, others) = (token("one").await?, token("another").await?);
    let mut client = Client::connect(&host.url, &mine).await?;
    let mut stranger = Client::connect(&host.url, &others).await?;
    let begun = client.call("files.uploads.begin", json!({ "path": "a", "size": 3 })).await?;
    let id = begun["id"].as_str().context("id")?;
    let asked = async |token: &str, method: &str, headers: &[(&str, &str)], body: &str| {
        let bearer = format!("Bearer {token}");
        let mut all = vec![("authorization", bearer.as_str()), ("content-type", "application/offset+octet-stream")];
        all.extend(headers);
        let query = if method == "PATCH" && headers.is_empty() { "?offset=0" } else { "" };
        let body = if method == "PATCH" { body } else { "" };
        request(&host.url, method, &format!("{UPLOADS}/{id}{query}"), &all, body).await
    };
    for method in ["GET", "PATCH", "DELETE"] {
        assert_eq!(asked(&others, method, &[], "bad").await?.status, 404, "{method}");
    }
    let tus = [("tus-resumable", "1.0.0"), ("upload-offset", "0")];
    for method in ["HEAD", "PATCH", "DELETE"] {
        assert_eq!(asked(&others, method, &tus, "bad").await?.status, 404, "{method}");
    }
    assert_eq!(stranger.call("files.uploads.list", json!({})).await?, json!([]));
    let (code, _) = stranger.fault("files.uploads.list", json!({ "all": true })).await?;
    assert_eq!(code, "forbidden");

    assert_eq!(owner.call("files.uploads.list", json!({})).await?, json!([]), "its own");
    assert_eq!(owner.call("files.uploads.list", json!({ "all": true })).await?[0]["id"], id);
    assert_eq!(owner.call("files.uploads.get", json!({ "id": id })).await?["offset"], 0);
    assert_eq!(asked(&host.token, "PATCH", &[], "bad").await?.status, 403, "it goes on for nobody else");

    let host = host.kill_and_restart().await?;
    let bearer = format!("Bearer {mine}");
    let path = format!("{UPLOADS}/{id}?offset=0");
    let done = request(&host.url, "PATCH", &path, &[("authorization", &bearer)], "own").await?;
    assert_eq!((done.status, std::fs::read_to_string(host.directory.join("a"))?.as_str()), (200, "own"), "{done:?}");
    let mut client = Client::connect(&host.url, &mine).await?;
    let begun = client.call("files.uploads.begin", json!({ "path": "b", "size": 3 })).await?;
    host.connect().await?.call("files.uploads.cancel", json!({ "id": begun["id"] })).await?;
    let (code, _) = client.fault("files.uploads.get", json!({ "id": begun["id"] })).await?;
    assert_eq!(code, "not_found");
    Ok(())
}

#[tokio::test]
async fn a_put_of_the_command_line_goes_on_with_the_next_host_when_one_is_killed_in_the_midst_of_it() -> Result<()> {
    let host = Host::start().await?;
    let here = tempfile::tempdir()?;
    let source = here.path().join("source");
    let content: Vec<u8> = (0..64).flat_map(piece).collect();
    std::fs::write(&source, &content)?;
    let mut put = tokio::process::Command::new(Host::program())
        .env_clear()
        .env("MIDPLANE_DATA", host.data())
        .args(["files", "put"])
        .arg(&source)
        .arg("large")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let gathered = || -> u64 {
        let uploads = std::fs::read_dir(host.directory.join(".midplane/uploads"));
        let sizes = uploads.into_iter().flatten().flatten().map(|upload| upload.path().join("gathered").metadata());
        sizes.flatten().map(|facts| facts.len()).sum()
    };
    while gathered() < 4 * PIECE as u64 {
        ensure!(put.try_wait()?.is_none(), "it has ended before anything came");
        tokio::task::yield_now().await;
    }
    let host = host.kill_and_restart().await?;
    let done = put.wait_with_output().await?;
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!((done.status.code(), said.contains("trying again")), (Some(0), true), "{said}");
    assert!(std::fs::read(host.directory.join("large"))? == content);
    Ok(())
}

/// The most memory that a process has had, in KiB.
fn peak_kib(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("VmHWM")?;
    Ok(line.split_whitespace().nth(1).context("figure")?.parse()?)
}
