//! `midplane term attach`: a real client. Keys go out raw, the window's size follows, a broken connection is made again
//! and goes on where it was, and the end is the program's exit code.

use std::{
    cell::Cell,
    io::{Write, stdout},
    pin::pin,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use serde_json::{Value, json};

use super::{
    attached::Attached,
    frames::{self, Told},
    person::{Did, Person},
    raw_mode::{self, RawMode},
};
use crate::{
    cli::Target,
    client::{self, Connection, Failure, Incoming},
};

/// For so long a broken connection is made again.
const RECONNECT_MAX: Duration = Duration::from_secs(60);
/// Between two attempts.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);
/// Input of one frame.
const INPUT_BYTES_MAX: usize = 16 * 1024;

/// How an attachment ended.
enum End {
    Exit(i32),
    Detached,
    /// Another client goes on in its place.
    Superseded,
    /// This program was told to end, by a signal.
    Signalled(i32),
    /// This program was told to stop, and goes on when its shell says so.
    Suspended,
}

pub fn run(target: &Target, id: &str, view: bool, detach_key: u8) -> ExitCode {
    let code = Cell::new(0);
    let finished = client::finish(target, async {
        let end = stay(target, Attached::new(id.to_owned(), view), detach_key).await?;
        match end {
            End::Exit(exit) => code.set(u8::try_from(exit).unwrap_or(client::exit::FAILURE)),
            End::Signalled(signal) => code.set(u8::try_from(128 + signal).unwrap_or(client::exit::FAILURE)),
            End::Detached | End::Suspended => eprintln!("[detached from {id}]"),
            End::Superseded => return Err(anyhow!("another client goes on with this attachment to {id}").into()),
        }
        Ok(())
    });
    if code.get() == 0 { finished } else { ExitCode::from(code.get()) }
}

async fn stay(target: &Target, mut attached: Attached, detach_key: u8) -> Result<End, Failure> {
    let (mut connection, answer) = begin(target, attached.params()).await?;
    attached.begin(&answer);
    eprintln!("[attached to {}; {} detaches]", attached.id, raw_mode::key_name(detach_key));
    // Before the keys change: from then on a signal must find somebody who changes them back.
    let mut person = Person::new(detach_key)?;
    let mut raw = RawMode::begin();
    loop {
        let broken = match talk(&mut connection, &mut attached, &mut person).await {
            Err(Failure::Unreachable(_)) => true,
            Ok(End::Suspended) => {
                drop(raw);
                raw_mode::suspend();
                raw = RawMode::begin();
                // The shell has written over the screen.
                attached.forget_screen();
                false
            }
            ended => return ended,
        };
        if broken {
            let key = raw_mode::key_name(detach_key);
            eprint!("\r\n[the connection broke; trying again; {key} gives up]\r\n");
        }
        connection = match begin_again(target, &mut attached, &mut person).await? {
            Ok(connection) => connection,
            Err(end) => return Ok(end),
        };
    }
}

async fn begin(target: &Target, params: Value) -> Result<(Connection, Value), Failure> {
    let mut connection = Connection::open(target).await?;
    let answer = client::call_within(target, &mut connection, "terminals.attach", params).await?;
    Ok((connection, answer))
}

/// A new connection, or how it ended before there was one. What is typed meanwhile is kept.
async fn begin_again(
    target: &Target,
    attached: &mut Attached,
    person: &mut Person,
) -> Result<Result<Connection, End>, Failure> {
    let deadline = Instant::now() + RECONNECT_MAX;
    loop {
        let params = attached.params();
        let mut attempt = pin!(async {
            let begun = begin(target, params).await;
            if matches!(begun, Err(Failure::Unreachable(_))) {
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
            begun
        });
        let begun = loop {
            let did = tokio::select! {
                begun = &mut attempt => break begun,
                did = person.next(attached.has_room()) => did,
            };
            if let Some(end) = take(did, attached) {
                return Ok(Err(end));
            }
        };
        match begun {
            Err(Failure::Unreachable(_)) if Instant::now() < deadline => {}
            Ok((connection, answer)) => {
                attached.begin(&answer);
                return Ok(Ok(connection));
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// What the person did, as far as no connection is needed for it.
fn take(did: Did, attached: &mut Attached) -> Option<End> {
    match did {
        Did::Type(keys) => attached.type_in(&keys),
        Did::Detach(keys) => {
            attached.type_in(&keys);
            return Some(End::Detached);
        }
        // The next attachment begins with it.
        Did::Resize => {}
        Did::End(signal) => return Some(End::Signalled(signal)),
        Did::Suspend => return Some(End::Suspended),
    }
    None
}

/// Until the terminal, the person or the connection ends.
async fn talk(connection: &mut Connection, attached: &mut Attached, person: &mut Person) -> Result<End, Failure> {
    let channel = attached.channel;
    let mut end = None;
    loop {
        if let Some((offset, bytes)) = attached.next_input(INPUT_BYTES_MAX) {
            connection.send_frame(frames::input(channel, offset, &bytes)?).await?;
        }
        if let Some(end) = end {
            return Ok(end);
        }
        if attached.wants_to_drive() {
            connection.send("terminals.claim", json!({ "id": attached.id, "channel": channel })).await?;
        }
        tokio::select! {
            incoming = connection.receive() => match incoming? {
                Incoming::Frame(wire) => end = hear(frames::read(wire, channel)?, connection, attached).await?,
                Incoming::Json(answer) if answer["error"].is_object() => {
                    say(&format!("the terminal is not yours to type into: {}", answer["error"]["message"]));
                    attached.has_lost_role();
                }
                Incoming::Json(_) => {}
            },
            did = person.next(attached.has_room()) => {
                if matches!(did, Did::Resize) && let Some(window) = raw_mode::window() {
                    connection.send_frame(frames::resize(channel, window)?).await?;
                }
                end = take(did, attached);
            }
        }
    }
}

async fn hear(told: Told, connection: &mut Connection, attached: &mut Attached) -> Result<Option<End>, Failure> {
    match told {
        Told::Output { bytes, offset } => {
            show(&bytes)?;
            attached.offset = offset;
            connection.send_frame(frames::acknowledgement(attached.channel, offset)?).await?;
        }
        Told::Snapshot { bytes, offset, size, last } => {
            show(&bytes)?;
            if last {
                attached.has_seen_all(offset);
                compare(size, attached);
            }
        }
        Told::InputAccepted(offset) => attached.accepted(offset),
        Told::Facts(facts) if facts["superseded"] == true => return Ok(Some(End::Superseded)),
        Told::Facts(facts) => take_facts(&facts, attached),
        Told::Nothing => {}
        Told::Exit(code) => return Ok(Some(End::Exit(code))),
    }
    Ok(None)
}

fn show(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = stdout();
    Ok(out.write_all(bytes).and_then(|()| out.flush()).context("writing to this terminal")?)
}

fn take_facts(facts: &Value, attached: &mut Attached) {
    if facts["recording"].is_string() {
        say(&format!("what is shown here is recorded into {}", facts["recording"]));
    }
    let cells = |name: &str| facts["size"][name].as_u64().and_then(|cells| u16::try_from(cells).ok());
    if let (Some(cols), Some(rows)) = (cells("cols"), cells("rows")) {
        compare((cols, rows), attached);
    }
    match facts["driver"].as_bool() {
        Some(true) => attached.has_role(),
        Some(false) if !attached.view => {
            attached.has_lost_role();
            say("another client drives now; what you type takes over");
        }
        _ => {}
    }
    if facts["error"]["code"] == "forbidden" {
        attached.has_lost_role();
    }
}

/// Whose window is smaller than the terminal sees lines broken and cut: it is said why, once for each size.
fn compare(size: (u16, u16), attached: &mut Attached) {
    let Some(window) = raw_mode::window() else { return };
    let fits = size.0 <= window.0 && size.1 <= window.1;
    if !fits && attached.view && attached.size_told != Some(size) {
        attached.size_told = Some(size);
        say(&format!(
            "the terminal has {}x{}, this window {}x{}: make it larger to see all of it",
            size.0, size.1, window.0, window.1
        ));
    }
}

fn say(what: &str) {
    eprint!("\r\n[{what}]\r\n");
}
