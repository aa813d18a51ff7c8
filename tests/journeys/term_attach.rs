//! `midplane term attach` as a person has it: at a terminal of one host, attached to one of another.

use std::{fs::File, process::Command};

use anyhow::{Context, Result};
use midplane_tests::{Client, Host, Watcher};
use serde_json::{Value, json};

/// Sets what a person's shell would not want to keep.
const LOUD: &str =
    "printf '\\033[?1049h\\033[?1000h\\033[?1006h\\033[?2004h\\033[?25l\\033[?1h\\033[2;5r\\033[31m in there'; ";

/// A host with people at its terminals, and one whose terminals they attach to.
struct Room {
    people: Host,
    host: Host,
    client: Client,
    inner: Value,
}

impl Room {
    /// In the inner terminal runs this script.
    async fn new(script: &str) -> Result<Self> {
        let (people, host) = (Host::start().await?, Host::start().await?);
        let mut client = host.connect().await?;
        let open = json!({ "shell": "/bin/sh", "args": ["-c", script] });
        let inner = client.call("terminals.open", open).await?["id"].clone();
        Ok(Self { people, host, client, inner })
    }

    /// A person whose shell runs this; `attach` in it attaches to the inner terminal.
    async fn person(&self, script: &str, size: (u16, u16)) -> Result<(Value, Watcher)> {
        let attach = format!("{} term attach {}", Host::program().display(), self.inner.as_str().context("id")?);
        let script = format!("set -m; before=$(stty -g); {}", script.replace("attach", &attach));
        let open = json!({
            "shell": "/bin/sh",
            "args": ["-c", script],
            "env": [["MIDPLANE_URL", self.host.url], ["MIDPLANE_TOKEN", self.host.token]],
            "cols": size.0,
            "rows": size.1,
        });
        let outer = self.people.connect().await?.call("terminals.open", open).await?["id"].clone();
        let watcher = Watcher::attach(&self.people, &outer, json!({ "role": "drive" })).await?;
        Ok((outer, watcher))
    }

    /// The person's terminal is as a shell wants it.
    async fn is_sane(&self, outer: &Value) -> Result<()> {
        let mut fresh = Watcher::attach(&self.people, outer, json!({ "role": "view" })).await?;
        fresh.bytes = Some(Vec::new());
        fresh.until_shows("done").await?;
        let bytes = String::from_utf8_lossy(fresh.bytes.as_deref().unwrap_or_default()).into_owned();
        for set in ["?1049h", "?1000h", "?1006h", "?2004h", "?25l", "?1h", "[2;5r", "[31m"] {
            assert!(
                !bytes.contains(&format!("\x1b{}{set}", if set.starts_with('[') { "" } else { "[" })),
                "{set}: {bytes:?}"
            );
        }
        let mut people = self.people.connect().await?;
        let screen = people.call("terminals.screen", json!({ "id": outer, "scrollback_lines": 100 })).await?;
        let text = screen.to_string();
        assert!(text.contains("first") && text.contains("same"), "the shell's own lines are there: {text}");
        assert!(!screen["lines"].to_string().contains("in there"), "the other screen is left: {text}");
        Ok(())
    }
}

/// After it the shell tells how it ended, and whether keys are as they were.
const THEN: &str = "code=$?; [ \"$before\" = \"$(stty -g)\" ] && printf 'same '; echo code=$code done; read go";

#[tokio::test]
async fn a_program_that_exits_leaves_the_persons_terminal_as_it_was() -> Result<()> {
    let room = Room::new(&format!("{LOUD} read go; exit 7")).await?;
    let (outer, mut person) = room.person(&format!("echo first; attach; {THEN}"), (80, 24)).await?;
    person.until_shows("in there").await?;
    person.type_in(b"\r").await?;
    person.until_shows("code=7 done").await?;
    room.is_sane(&outer).await
}

#[tokio::test]
async fn signals_end_the_client_and_leave_the_persons_terminal_as_it_was() -> Result<()> {
    let room = Room::new(&format!("{LOUD} read go")).await?;
    for (signal, code) in [("TERM", 143), ("HUP", 129), ("INT", 130), ("QUIT", 131)] {
        let (outer, mut person) = room.person(&format!("echo first; attach; {THEN}"), (80, 24)).await?;
        person.until_shows("in there").await?;
        let mut people = room.people.connect().await?;
        people.call("terminals.signal", json!({ "id": outer, "signal": signal })).await?;
        person.until_shows(&format!("code={code} done")).await?;
        room.is_sane(&outer).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_is_suspended_gives_the_terminal_back_and_draws_it_anew_when_it_goes_on() -> Result<()> {
    let mut room = Room::new(&format!("{LOUD} read go; echo over; read go; exit 3")).await?;
    let then = THEN.replace("done; read go", "done; read go; fg; echo code=$? ended");
    let (outer, mut person) = room.person(&format!("echo first; attach; {then}"), (80, 24)).await?;
    person.until_shows("in there").await?;
    let mut people = room.people.connect().await?;
    people.call("terminals.signal", json!({ "id": outer, "signal": "TSTP" })).await?;
    person.until_shows("done").await?;
    room.is_sane(&outer).await?;
    // What comes meanwhile is seen later.
    room.client.call("terminals.write", json!({ "id": room.inner, "content": "\r" })).await?;
    person.type_in(b"\r").await?;
    person.until_shows("over").await?;
    person.type_in(b"\r").await?;
    person.until_shows("code=3 ended").await
}

#[tokio::test]
async fn a_killed_host_is_waited_for_until_the_person_gives_up() -> Result<()> {
    let room = Room::new(&format!("{LOUD} read go")).await?;
    let (outer, mut person) = room.person(&format!("echo first; attach; {THEN}"), (80, 24)).await?;
    person.until_shows("in there").await?;
    let Room { people, host, client, inner } = room;
    drop(host);
    person.until_shows("trying again; ctrl-] gives up").await?;
    person.type_in(b"\x1d").await?;
    person.until_shows("code=0 done").await?;
    let host = Host::start().await?;
    Room { people, host, client, inner }.is_sane(&outer).await
}

#[tokio::test]
async fn who_types_drives_and_nothing_that_was_typed_is_lost_or_comes_later() -> Result<()> {
    let mut room = Room::new("stty -echo; printf ready; while read line; do echo \"<$line>\"; done").await?;
    let (_, mut first) = room.person("attach", (80, 24)).await?;
    first.until_shows("ready").await?;
    first.type_in(b"one\r").await?;
    first.until_shows("<one>").await?;
    let (_, mut second) = room.person("attach", (80, 24)).await?;
    second.until_shows("<one>").await?;
    first.until_shows("another client drives now").await?;
    second.type_in(b"two\r").await?;
    first.until_shows("<two>").await?;
    first.type_in(b"three\r").await?;
    second.until_shows("<three>").await?;
    second.until_shows("another client drives now").await?;
    first.type_in(b"four\r").await?;
    second.until_shows("<four>").await?;
    // Who leaves gives the role back.
    first.type_in(b"\x1d").await?;
    first.until(|watcher| watcher.exit == Some(0)).await?;
    second.type_in(b"five\r").await?;
    second.until_shows("<five>").await?;
    let screen = room.client.call("terminals.screen", json!({ "id": room.inner })).await?;
    let lines: Vec<&str> = screen["lines"].as_array().context("lines")?.iter().filter_map(Value::as_str).collect();
    assert_eq!(lines.join("").trim(), "ready<one><two><three><four><five>");
    Ok(())
}

#[tokio::test]
async fn five_megabytes_from_a_pipe_arrive_whole() -> Result<()> {
    const BYTES: usize = 5_000_000;
    let room =
        Room::new(&format!("stty raw -echo; printf ready; head -c {BYTES} | cksum; printf over; exit 4")).await?;
    let mut text: String = (0..BYTES / 10).map(|line| format!("line {line} of a paste\n")).collect();
    text.truncate(BYTES);
    room.people.write_file("paste", &text)?;
    let sum = Command::new("cksum").stdin(File::open(room.people.directory.join("paste"))?).output()?.stdout;
    let (_, mut person) = room.person("attach < paste; echo code=$?", (80, 24)).await?;
    person.until_shows("code=4").await?;
    let shown = person.screen.text();
    assert!(shown.contains(&format!("ready{}", String::from_utf8(sum)?.trim())), "{shown}");
    Ok(())
}

#[tokio::test]
async fn who_looks_on_through_a_smaller_window_is_told_and_letters_of_all_kinds_come_through() -> Result<()> {
    let room = Room::new("stty -echo; printf 'ready \\346\\274\\242\\345\\255\\227 e\\314\\201'; exec cat").await?;
    let (_, mut driver) = room.person("attach", (80, 24)).await?;
    // In the test's emulator a wide letter has a blank behind it.
    driver.until_shows("ready 漢 字  e").await?;
    driver.type_in("ünï 語 🙂\r".as_bytes()).await?;
    driver.until_shows("ünï 語  🙂").await?;
    let (_, mut looking) = room.person("attach --view", (40, 10)).await?;
    looking.until_shows("make it larger to see all of it").await?;
    // However small a window is, one is attached.
    let (outer, mut narrow) = room.person("attach; echo code=$?", (2, 2)).await?;
    let mut people = room.people.connect().await?;
    people.call("terminals.resize", json!({ "id": outer, "cols": 80, "rows": 24 })).await?;
    narrow.until_shows("漢 字").await?;
    narrow.type_in(b"\x1d").await?;
    narrow.until_shows("code=0").await
}

#[tokio::test]
async fn where_no_host_is_or_no_such_terminal_it_says_so_at_once() -> Result<()> {
    let host = Host::start().await?;
    let (code, _, told) = host.cli(&["term", "attach", "t-none"]).await?;
    assert!(code == 4 && told.contains("t-none"), "{code}: {told}");
    let nowhere = [("MIDPLANE_URL", "http://127.0.0.1:1"), ("MIDPLANE_TOKEN", "x")];
    for command in [&["term", "attach", "t-1"][..], &["term", "list"], &["term", "open"], &["term", "wait", "t-1"]] {
        let (code, _, told) = host.cli_with(&nowhere, command).await?;
        assert!(code == 6 && told.contains("no host answers"), "{command:?}: {code}: {told}");
    }
    Ok(())
}
