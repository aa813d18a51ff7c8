//! `midplane term record`, `play` and `export`: recordings as asciicast v2.

use std::{
    fs::File,
    io::{BufReader, Write, stdout},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use clap::Args;
use midplane_capabilities::terminals::{
    Size,
    asciicast::{Cast, Event, Header, Pace, TextPieces},
};
use serde_json::{Value, json};

use super::text;
use crate::{
    cli::Target,
    client::{self, Connection, Failure},
};

/// Bytes of one `terminals.read`.
const READ_BYTES: u64 = 512 * 1024;

#[derive(Args)]
pub struct RecordArguments {
    id: String,
    /// The new file, below the served directory.
    #[arg(required_unless_present = "stop")]
    path: Option<String>,
    /// What is typed, too; passwords among it.
    #[arg(long)]
    input: bool,
    /// Size of the file, in MiB, at which the recording ends.
    #[arg(long, value_name = "MIB")]
    limit: Option<u64>,
    /// End the recording instead.
    #[arg(long, conflicts_with_all = ["path", "input", "limit"])]
    stop: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct PlayArguments {
    /// A recording; with `--shared` of the host, below the served directory.
    file: PathBuf,
    /// So many times as fast.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Longest pause, in seconds of the recording.
    #[arg(long, value_name = "SECONDS")]
    idle_limit: Option<f64>,
    /// Play it in a terminal of the host, to which all can attach, and print its id.
    #[arg(long)]
    shared: bool,
    #[command(flatten)]
    target: Target,
}

pub fn record(arguments: RecordArguments) -> ExitCode {
    let RecordArguments { id, path, input, limit, stop, target } = arguments;
    if stop {
        return client::show(&target, "terminals.stop_recording", Some(json!({ "id": id })), recording);
    }
    let limit_bytes = limit.map(|mib| mib.saturating_mul(1024 * 1024));
    let params = json!({ "id": id, "path": path, "input": input, "limit_bytes": limit_bytes });
    client::show(&target, "terminals.record", Some(params), recording)
}

fn recording(recording: &Value) -> String {
    let end = recording["end"].as_str().map(|end| format!(", {} bytes, {end}", recording["bytes"]));
    format!("{}{}", text(&recording["path"]), end.unwrap_or_default())
}

pub fn play(arguments: &PlayArguments) -> ExitCode {
    let PlayArguments { file, speed, idle_limit, shared, target } = arguments;
    if *shared {
        let idle_limit_ms = idle_limit.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        let idle_limit_ms = idle_limit_ms.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        let params = json!({ "path": file, "speed": speed, "idle_limit_ms": idle_limit_ms });
        return client::show(target, "terminals.play", Some(params), |info| text(&info["id"]));
    }
    client::finish(target, play_here(file, *speed, *idle_limit))
}

/// Needs no host. Ctrl-C ends it, as it ends any program.
async fn play_here(file: &Path, speed: f64, idle_limit: Option<f64>) -> Result<(), Failure> {
    if !speed.is_finite() || speed <= 0.0 {
        return Err(anyhow!("a speed is above 0, not {speed}").into());
    }
    let shown = || file.display().to_string();
    let mut cast = Cast::open(BufReader::new(File::open(file).with_context(shown)?)).with_context(shown)?;
    let limit = idle_limit.or(cast.header.idle_time_limit);
    let limit = limit.map(Duration::try_from_secs_f64).transpose().context("the longest pause")?;
    let (mut pace, began) = (Pace::new(speed, limit), Instant::now());
    let mut out = stdout();
    while let Some((at, event)) = cast.next_event().with_context(shown)? {
        let due = pace.due(at);
        // What is due at the same moment is shown at once.
        if let Some(wait) = due.checked_sub(began.elapsed()).filter(|wait| !wait.is_zero()) {
            out.flush().context("writing to this terminal")?;
            tokio::time::sleep(wait).await;
        }
        if let Event::Output(text) = event {
            out.write_all(text.as_bytes()).context("writing to this terminal")?;
        }
    }
    Ok(out.flush().context("writing to this terminal")?)
}

/// What the host still has of a terminal's output, as a recording in which it all comes at once.
pub fn export(target: &Target, id: &str) -> ExitCode {
    client::finish(target, async {
        let mut connection = Connection::open(target).await?;
        let info = client::call_within(target, &mut connection, "terminals.get", json!({ "id": id })).await?;
        let cells = |name: &str| info[name].as_u64().and_then(|cells| u16::try_from(cells).ok()).unwrap_or(0);
        let size = Size::new(cells("cols"), cells("rows")).context("the host tells no size")?;
        let title = if text(&info["title"]).is_empty() { text(&info["name"]) } else { text(&info["title"]) };
        let mut out = stdout();
        let mut put = |line: Vec<u8>| out.write_all(&line).context("writing to standard output");
        put(Header { size, timestamp: None, title: Some(title), idle_time_limit: None }.line())?;
        let (mut from, end) = (0, info["offset"].as_u64().unwrap_or(0));
        let mut pieces = TextPieces::default();
        while from < end {
            let params = json!({ "id": id, "from": from, "limit_bytes": READ_BYTES.min(end - from) });
            let read = client::call_within(target, &mut connection, "terminals.read", params).await?;
            let number = |name: &str| read[name].as_u64().context("the host tells no offset");
            let (offset, next) = (number("offset")?, number("next")?);
            if offset > from {
                put(Event::Marker(format!("{} bytes before this are no longer kept", offset - from))
                    .line(Duration::ZERO))?;
            }
            let bytes = BASE64.decode(text(&read["content_base64"])).context("the host sent no base64")?;
            put(Event::Output(pieces.push(&bytes)).line(Duration::ZERO))?;
            if next <= from {
                break;
            }
            from = next;
        }
        put(Event::Output(pieces.finish()).line(Duration::ZERO))?;
        Ok(())
    })
}
