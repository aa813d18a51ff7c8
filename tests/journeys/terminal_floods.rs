//! Terminals under load: clients that do not read, plugins that are replaced meanwhile, every byte of it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use midplane_tests::{Client, Host, Watcher};
use serde_json::{Value, json};

const MIB: u64 = 1024 * 1024;

/// For so long `yes` runs at least; `MIDPLANE_FLOOD_SECONDS` for longer.
fn flood_time() -> Duration {
    let seconds = std::env::var("MIDPLANE_FLOOD_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

fn resident_bytes(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
    let kib: u64 = line.split_whitespace().nth(1).context("figure")?.parse()?;
    Ok(kib * 1024)
}

#[tokio::test]
async fn a_client_that_never_acknowledges_costs_nobody_anything_and_a_reload_disturbs_no_byte() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let prompt = json!({ "shell": "/bin/sh", "env": [["PS1", "ready> "]] });
    let id = client.call("terminals.open", prompt).await?["id"].clone();
    let mut deaf = Watcher::attach(&host, &id, json!({ "role": "view" })).await?;
    deaf.acknowledges = false;
    let mut alive = Watcher::attach(&host, &id, json!({ "role": "drive", "lossless": true })).await?;
    alive.until_shows("ready>").await?;
    alive.type_in(b"yes\r").await?;
    alive.until(|watcher| watcher.offset > 8 * MIB).await?;
    let before = resident_bytes(host.pid())?;
    let began = Instant::now();
    alive.until(|_| began.elapsed() >= flood_time()).await?;
    // The component is replaced under the flood. That the watcher's offsets go on is checked with every frame.
    client.call("plugin.reload", json!({ "name": "terminals" })).await?;
    let more = alive.offset + 8 * MIB;
    alive.until(|watcher| watcher.offset > more).await?;
    assert!(resident_bytes(host.pid())? < before + 32 * MIB, "the memory does not grow with the output");
    // Ctrl-C reaches the program through the flood.
    let (flooded, pressed) = (alive.offset, Instant::now());
    alive.type_in(b"\x03").await?;
    alive.until_shows("ready>").await?;
    eprintln!("{} MiB, then Ctrl-C to the prompt in {} ms", flooded / MIB, pressed.elapsed().as_millis());
    alive.type_in(b"\recho over-$((40+2))\r").await?;
    alive.until_shows("over-42").await?;
    let quiet = json!({ "id": id, "until": { "idle": 300 }, "timeout_ms": 30000 });
    let offset = client.call("terminals.wait", quiet).await?["offset"].as_u64().context("offset")?;
    alive.catch_up(offset).await?;
    assert!(deaf.offset < MIB);
    deaf.until(|watcher| watcher.metas.iter().any(|meta| meta["lagging"] == true)).await?;
    let seen = deaf.offset;
    assert!(seen <= 300 * 1024, "no more than its window was sent: {seen}");
    deaf.acknowledge().await?;
    deaf.until(|watcher| watcher.metas.iter().any(|meta| meta["skipped"].is_u64())).await?;
    deaf.catch_up(offset).await?;
    assert_eq!(deaf.screen.grid(), alive.screen.grid());
    Ok(())
}

#[tokio::test]
async fn questions_have_one_answer_with_no_client_one_and_three() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    // Each question, the answers read to their ends, and then whatever else would come.
    let answers = "\\033[1;1R\\033[?1;2c\\033]11;rgb:0000/0000/0000\\007\\033[?2004;2$y";
    let script = format!(
        "stty raw -echo; printf '\\033[6n\\033[c\\033]11;?\\007\\033[?2004$p'; head -c $(printf '{answers}' | wc -c) | cat -v; \
         printf ' asked\\r\\n'; exec cat -v"
    );
    for clients in [0, 1, 3] {
        let params = json!({ "shell": "/bin/sh", "args": ["-c", format!("read go; {script}")] });
        let id = client.call("terminals.open", params).await?["id"].clone();
        let mut watchers = Vec::new();
        for _ in 0..clients {
            let mut watcher = Watcher::attach(&host, &id, json!({ "role": "view" })).await?;
            watcher.bytes = Some(Vec::new());
            watchers.push(watcher);
        }
        client.call("terminals.write", json!({ "id": id, "content": "\n" })).await?;
        let asked = json!({ "id": id, "until": { "text": "asked" }, "timeout_ms": 20000 });
        client.call("terminals.wait", asked).await?;
        for turn in 0..20 {
            if turn == 10 {
                client.call("plugin.reload", json!({ "name": "terminals" })).await?;
            }
            let mut watcher = Watcher::attach(&host, &id, json!({ "role": "drive" })).await?;
            watcher.bytes = Some(Vec::new());
            watcher.until_shows("asked").await?;
            watchers.push(watcher);
        }
        let screen = client.call("terminals.screen", json!({ "id": id })).await?;
        let lines = screen["lines"].as_array().context("lines")?;
        let shown: String = lines.iter().filter_map(|line| line.as_str()).collect();
        let expected = "^[[1;1R^[[?1;2c^[]11;rgb:0000/0000/0000^G^[[?2004;2$y asked";
        // Row and column count from what the terminal echoed before.
        assert_eq!(shown.replace("^[[2;1R", "^[[1;1R"), expected, "{clients} clients");
        for watcher in &mut watchers {
            watcher.until_shows("asked").await?;
            let bytes = String::from_utf8_lossy(watcher.bytes.as_deref().unwrap_or_default()).into_owned();
            for question in ["\x1b[6n", "\x1b[c", "\x1b]11;?", "$p"] {
                assert!(!bytes.contains(question), "no client sees a question");
            }
        }
        client.call("terminals.close", json!({ "id": id })).await?;
    }
    Ok(())
}

/// Bytes of all kinds with sequences, strings and questions among them, and the same without the questions.
fn noise(length: usize) -> (Vec<u8>, Vec<u8>) {
    const TOKENS: [&[u8]; 8] = [
        b"\x1b[1;31m",
        b"\x1b]0;\xff title\x07",
        b"\x1bP1$r\x00 device\x1b\\",
        b"\x1b_Ga=t;AAAA\x1b\\",
        b"\x1b\x1b(B\x1b[?7h",
        b"\x1b7\xe2\x82",
        b"\xc2\x9b2J",
        b"\x1b[\x186n",
    ];
    const QUESTIONS: [&[u8]; 4] = [b"\x1b[6n", b"\x1b[>c", b"\x1b]11;?\x1b\\", b"\xc2\x9b5n"];
    let mut state = 0x9e37_79b9_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or_default()
    };
    let (mut written, mut kept) = (Vec::new(), Vec::new());
    while written.len() < length {
        let byte = [next().to_be_bytes()[7]];
        let (token, asks) = match next() % 32 {
            0 => (QUESTIONS[next() % QUESTIONS.len()], true),
            1 | 2 => (TOKENS[next() % TOKENS.len()], false),
            // Alone they would begin something with what comes after them.
            _ if matches!(byte[0], 0x1b | 0xc2) => continue,
            _ => (&byte[..], false),
        };
        written.extend_from_slice(token);
        if !asks {
            kept.extend_from_slice(token);
        }
    }
    (written, kept)
}

/// `MIDPLANE_NOISE_BYTES`; 1 MiB without it.
fn noise_bytes() -> usize {
    std::env::var("MIDPLANE_NOISE_BYTES").ok().and_then(|bytes| bytes.parse().ok()).unwrap_or(1 << 20)
}

#[tokio::test]
async fn a_lossless_reader_gets_every_byte_but_questions_be_it_text_or_not() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let (written, kept) = noise(noise_bytes());
    std::fs::write(host.directory.join("noise"), &written)?;
    let script = "stty raw -echo; printf ready; read go; exec cat noise";
    let id = client.call("terminals.open", json!({ "shell": "/bin/sh", "args": ["-c", script] })).await?["id"].clone();
    let ready = json!({ "id": id, "until": { "text": "ready" }, "timeout_ms": 20000 });
    client.call("terminals.wait", ready).await?;
    let mut reader = Watcher::attach(&host, &id, json!({ "role": "view", "lossless": true })).await?;
    reader.bytes = Some(Vec::new());
    client.call("terminals.write", json!({ "id": id, "content": "\n" })).await?;
    reader.until(|watcher| watcher.exit.is_some()).await?;
    let read = reader.bytes.take().context("bytes")?;
    // Before them is the snapshot with which every attachment begins.
    let from = read.len().checked_sub(kept.len()).context("bytes are missing")?;
    assert!(read[from..] == kept[..], "differs at {:?}", read[from..].iter().zip(&kept).position(|(a, b)| a != b));
    Ok(())
}

/// Terminals that print at the same time; more than one token may have.
const PRINTERS: usize = 100;

#[tokio::test]
async fn a_hundred_terminals_print_every_byte_while_one_is_typed_into() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let (_, made, _) = host.cli(&["token", "create", "printers", "--scope", "admin", "--json"]).await?;
    let made: Value = serde_json::from_str(&made)?;
    let mut second = Client::connect(&host.url, made["token"].as_str().context("token")?).await?;
    let mut printers = Vec::new();
    for number in 0..PRINTERS {
        let script = format!(
            "stty -echo; printf ready; read go; i=0; while [ $i -lt 20 ]; do seq {number} {}; i=$((i+1)); done",
            number + 999
        );
        let opener = if number % 2 == 0 { &mut client } else { &mut second };
        printers.push(
            opener.call("terminals.open", json!({ "shell": "/bin/sh", "args": ["-c", script] })).await?["id"].clone(),
        );
    }
    let typed = json!({ "shell": "/bin/sh", "args": ["-c", "stty raw -echo; printf ready; exec cat"] });
    let typed = client.call("terminals.open", typed).await?["id"].clone();
    let mut person = Watcher::attach(&host, &typed, json!({ "role": "drive" })).await?;
    person.until_shows("ready").await?;
    person.bytes = Some(Vec::new());
    for id in &printers {
        let ready = json!({ "id": id, "until": { "text": "ready" }, "timeout_ms": 30000 });
        client.call("terminals.wait", ready).await?;
        client.call("terminals.write", json!({ "id": id, "content": "\n" })).await?;
    }
    let mut keys = String::new();
    for turn in 0..100 {
        let key = format!("{turn} ");
        person.type_in(key.as_bytes()).await?;
        keys += &key;
        person.until(|watcher| watcher.bytes.as_ref().is_some_and(|bytes| bytes.len() == keys.len())).await?;
    }
    assert_eq!(person.bytes.take().context("bytes")?, keys.as_bytes());
    for (number, id) in printers.iter().enumerate() {
        let exit = json!({ "id": id, "until": "exit", "timeout_ms": 60000 });
        client.call("terminals.wait", exit).await?;
        let read = client.call("terminals.read", json!({ "id": id, "from": 0, "limit_bytes": 512 * 1024 })).await?;
        let round: String = (number..number + 1000).map(|line| format!("{line}\r\n")).collect();
        let printed = BASE64.decode(read["content_base64"].as_str().context("content")?)?;
        assert!(printed == format!("ready{}", round.repeat(20)).into_bytes(), "terminal {number}");
        client.call("terminals.close", json!({ "id": id })).await?;
    }
    Ok(())
}
