//! `midplane term attach`: a real client. Keys go out raw, the window's size follows, a broken connection is made again
//! and goes on where it was, and the end is the program's exit code.

use std::{
    cell::Cell,
    io::{Read, Write, stdin, stdout},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use super::{
    attached::Attached,
    frames::{self, Told},
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
/// Reads of the keyboard that wait; the keyboard waits beyond.
const READS_QUEUED_MAX: usize = 16;

/// How an attachment ended.
enum End {
    Exit(i32),
    Detached,
    /// Another client goes on in its place.
    Superseded,
}

pub fn run(target: &Target, id: &str, view: bool, detach_key: u8) -> ExitCode {
    let code = Cell::new(0);
    let finished = client::finish(target, async {
        let end = stay(target, Attached::new(id.to_owned(), view), detach_key).await?;
        match end {
            End::Exit(exit) => code.set(u8::try_from(exit).unwrap_or(client::exit::FAILURE)),
            End::Detached => eprintln!("[detached from {id}]"),
            End::Superseded => return Err(anyhow!("another client goes on with this attachment to {id}").into()),
        }
        Ok(())
    });
    if code.get() == 0 { finished } else { ExitCode::from(code.get()) }
}

async fn stay(target: &Target, mut attached: Attached, detach_key: u8) -> Result<End, Failure> {
    let mut connection = begin(target, &mut attached).await?;
    eprintln!("[attached to {}; {} detaches]", attached.id, raw_mode::key_name(detach_key));
    let _raw = RawMode::begin();
    let mut person = Person {
        keys: keyboard(),
        window: signal(SignalKind::window_change()).context("signals cannot be caught")?,
        detach_key,
        detached: false,
    };
    loop {
        match talk(&mut connection, &mut attached, &mut person).await {
            Err(Failure::Unreachable(_)) => connection = begin_again(target, &mut attached).await?,
            ended => return ended,
        }
    }
}

async fn begin(target: &Target, attached: &mut Attached) -> Result<Connection, Failure> {
    let mut connection = Connection::open(target).await?;
    let answer = client::call_within(target, &mut connection, "terminals.attach", attached.params()).await?;
    attached.begin(&answer);
    Ok(connection)
}

async fn begin_again(target: &Target, attached: &mut Attached) -> Result<Connection, Failure> {
    let deadline = Instant::now() + RECONNECT_MAX;
    eprint!("\r\n[the connection broke; trying again]\r\n");
    loop {
        match begin(target, attached).await {
            Err(Failure::Unreachable(_)) if Instant::now() < deadline => tokio::time::sleep(RECONNECT_PAUSE).await,
            begun => return begun,
        }
    }
}

/// Who sits at the keyboard.
struct Person {
    keys: mpsc::Receiver<Vec<u8>>,
    window: Signal,
    detach_key: u8,
    detached: bool,
}

/// Until the terminal, the person or the connection ends.
async fn talk(connection: &mut Connection, attached: &mut Attached, person: &mut Person) -> Result<End, Failure> {
    let channel = attached.channel;
    loop {
        if person.detached {
            return Ok(End::Detached);
        }
        if let Some((offset, bytes)) = attached.next_input(INPUT_BYTES_MAX) {
            connection.send_frame(frames::input(channel, offset, &bytes)?).await?;
        }
        let incoming = tokio::select! {
            incoming = connection.receive() => incoming?,
            // Without more keys (a script whose input has ended) it looks on.
            Some(keys) = person.keys.recv() => {
                let end = keys.iter().position(|key| *key == person.detach_key);
                person.detached = end.is_some();
                if !attached.view {
                    attached.type_in(&keys[..end.unwrap_or(keys.len())]);
                }
                continue;
            }
            _ = person.window.recv() => {
                if let Some(window) = raw_mode::window() {
                    connection.send_frame(frames::resize(channel, window)?).await?;
                }
                continue;
            }
        };
        let Incoming::Frame(wire) = incoming else { continue };
        match frames::read(wire, channel)? {
            Told::Show(bytes, offset) => {
                show(&bytes)?;
                attached.offset = offset;
                connection.send_frame(frames::acknowledgement(channel, offset)?).await?;
            }
            Told::InputAccepted(offset) => attached.accepted(offset),
            Told::Facts(facts) if facts["recording"].is_string() => {
                eprint!("\r\n[what is shown here is recorded into {}]\r\n", facts["recording"]);
            }
            Told::Facts(facts) if facts["superseded"] == true => return Ok(End::Superseded),
            Told::Facts(facts) if facts["driver"] == false && !attached.view => {
                eprint!("\r\n[another client drives now]\r\n");
            }
            Told::Facts(_) | Told::Nothing => {}
            Told::Exit(code) => return Ok(End::Exit(code)),
        }
    }
}

fn show(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = stdout();
    Ok(out.write_all(bytes).and_then(|()| out.flush()).context("writing to this terminal")?)
}

/// Keys as they are pressed. Its thread ends with the program: nothing else ends a read of a terminal.
fn keyboard() -> mpsc::Receiver<Vec<u8>> {
    let (keys, pressed) = mpsc::channel(READS_QUEUED_MAX);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stdin().read(&mut buffer) {
            if keys.blocking_send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    pressed
}
