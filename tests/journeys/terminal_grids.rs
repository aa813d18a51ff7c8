//! What clients of one terminal see: the same, whenever they came, however often they were gone, in real programs.

use anyhow::{Context, Result};
use midplane_tests::{Client, Host, Watcher};
use serde_json::{Value, json};

/// Where the output stands once the program has been quiet.
async fn quiet(client: &mut Client, id: &Value) -> Result<u64> {
    let params = json!({ "id": id, "until": { "idle": 400 }, "timeout_ms": 30000 });
    client.call("terminals.wait", params).await?["offset"].as_u64().context("offset")
}

/// A client from the beginning, one that comes later and one that comes with another size see the same.
async fn same_for_all(program: &[&str], keys: &[&str]) -> Result<()> {
    let host = Host::start().await?;
    let text: String =
        (1..500).map(|line| format!("line {line}\tof a text ä漢 with some more words in it\n")).collect();
    host.write_file("text", &text)?;
    let mut client = host.connect().await?;
    let params = json!({ "shell": program[0], "args": program[1..], "env": [["HOME", "/nonexistent"]] });
    let id = client.call("terminals.open", params).await?["id"].clone();
    let mut first = Watcher::attach(&host, &id, json!({ "role": "drive" })).await?;
    let mut offset = quiet(&mut client, &id).await?;
    for keys in keys {
        first.type_in(keys.as_bytes()).await?;
        offset = quiet(&mut client, &id).await?;
    }
    let mut second = Watcher::attach(&host, &id, json!({ "role": "view" })).await?;
    // Some programs draw a little later.
    let offset = quiet(&mut client, &id).await?.max(offset);
    first.catch_up(offset).await?;
    second.meet(&mut first).await?;
    assert_eq!(second.screen.grid(), first.screen.grid(), "{program:?}");
    let mut third = Watcher::attach(&host, &id, json!({ "role": "drive", "cols": 101, "rows": 31 })).await?;
    let offset = quiet(&mut client, &id).await?;
    for watcher in [&mut first, &mut second, &mut third] {
        watcher.catch_up(offset).await?;
    }
    let mut fourth = Watcher::attach(&host, &id, json!({ "role": "view" })).await?;
    fourth.meet(&mut third).await?;
    assert_eq!(third.screen.grid(), fourth.screen.grid(), "{program:?} after a new size");
    client.call("terminals.close", json!({ "id": id })).await?;
    third.until(|watcher| watcher.exit.is_some()).await
}

#[tokio::test]
async fn an_editor_looks_the_same_to_who_was_there_and_to_who_comes_later() -> Result<()> {
    let keys = ["ihello ä漢\x1b", ":set number hlsearch\r", "/words\r", "50%"];
    same_for_all(&["vim", "-u", "NONE", "-N", "-i", "NONE", "text"], &keys).await
}

#[tokio::test]
async fn a_pager_looks_the_same_to_who_was_there_and_to_who_comes_later() -> Result<()> {
    same_for_all(&["less", "text"], &[" ", "/words\r", "b"]).await
}

#[tokio::test]
async fn a_process_list_looks_the_same_to_who_was_there_and_to_who_comes_later() -> Result<()> {
    // It draws once and then not for a long time.
    same_for_all(&["top", "-d", "1000"], &["z"]).await
}

#[tokio::test]
async fn a_terminal_in_a_terminal_looks_the_same_to_who_was_there_and_to_who_comes_later() -> Result<()> {
    let socket = format!("midplane-test-{}", std::process::id());
    let program = ["tmux", "-L", &socket, "-f", "/dev/null", "new-session"];
    let same = same_for_all(&program, &["seq 30\r", "\x02%", "echo $((40+2))\r"]).await;
    // Its server made a session of its own.
    std::process::Command::new("tmux").args(["-L", &socket, "kill-server"]).status()?;
    same
}

/// Draws for a while, a step for each line that it reads.
const SHOW: &str = r#"
stty -echo
i=0
while read go; do
    printf '\033[%d;%dH\033[1;3%dmrow %d \342\202\254\346\274\242\033[0m' $((i % 24 + 1)) $((i % 60 + 1)) $((i % 8)) $i
    if [ $((i % 9)) -eq 3 ]; then printf '\033[?1049h\033[2;5r\033[44m'; fi
    if [ $((i % 9)) -eq 7 ]; then printf '\033[m\033[r\033[?1049l\r\nline %d of some length\r\n' $i; fi
    i=$((i + 1))
done
"#;

#[tokio::test]
async fn a_client_that_was_dropped_at_any_moment_sees_what_one_sees_that_never_was() -> Result<()> {
    let drops: usize = std::env::var("MIDPLANE_DROPS").ok().and_then(|count| count.parse().ok()).unwrap_or(200);
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let id = client.call("terminals.open", json!({ "shell": "/bin/sh", "args": ["-c", SHOW] })).await?["id"].clone();
    let mut steady = Watcher::attach(&host, &id, json!({ "role": "drive" })).await?;
    let mut dropped = Watcher::attach(&host, &id, json!({ "role": "view" })).await?;
    let (mut deltas, mut random) = (0, 1_u64);
    for drop in 0..drops {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let before = steady.offset;
        steady.type_in(&b"\n".repeat(1 + (random >> 60) as usize)).await?;
        // Gone in the middle of what comes.
        steady.until(|watcher| watcher.offset > before).await?;
        if drop % 3 == 2 {
            dropped = Watcher::attach(&host, &id, json!({ "role": "view" })).await?;
        } else {
            let delta = dropped.resume(&host).await?;
            deltas += usize::from(delta);
            if !delta || steady.offset > dropped.offset {
                dropped.step().await?;
            }
        }
    }
    assert!(deltas > 0, "some came back without a snapshot");
    let offset = quiet(&mut client, &id).await?;
    steady.catch_up(offset).await?;
    dropped.meet(&mut steady).await?;
    assert_eq!(dropped.screen.grid(), steady.screen.grid());
    client.call("terminals.close", json!({ "id": id })).await?;
    Ok(())
}
