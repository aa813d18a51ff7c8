//! Whole files to and from the host, as they are.

use std::{
    ffi::OsStr,
    io::{IsTerminal as _, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use percent_encoding::{NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{PutArguments, each, patterns, upload, with_remedy};
use crate::{
    cli::Target,
    client::{self, Connection, Failure},
    http,
};

/// Bytes that are read here for one piece.
pub const PIECE_BYTES: usize = 256 * 1024;
/// Below that nobody waits long enough to want to know how far it is.
const PROGRESS_BYTES_MIN: u64 = 8 * 1024 * 1024;
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Files one after the other to standard output.
pub async fn cat(target: &Target, paths: &[String]) -> Result<(), Failure> {
    let mut connection = Connection::open(target).await?;
    let paths = patterns::expand(target, &mut connection, paths).await?;
    each(paths, async |path: String| {
        let request = http::Request::new("GET", &content(&path));
        let (length, mut answer) = http::send(target, request, http::empty()).await?;
        let mut progress = Progress::new(&path, length);
        let mut output = std::io::stdout().lock();
        while let Some(frame) = answer.frame().await {
            let Ok(bytes) = frame.context("the host cut the file off")?.into_data() else { continue };
            if output.write_all(&bytes).is_err() {
                // A closed pipe (`| head`) is how a reader says that it has enough.
                return Ok(false);
            }
            progress.moved(bytes.len());
        }
        progress.end();
        Ok(true)
    })
    .await
}

/// A file here, or standard input, becomes a file there.
pub async fn put(arguments: &PutArguments) -> Result<(), Failure> {
    let arguments = &in_its_directory(arguments).await?;
    let remedy = "--parents makes missing directories";
    put_at(arguments).await.map_err(|failure| match arguments.parents {
        true => failure,
        false => with_remedy(failure, "not_found", remedy),
    })
}

/// Into a directory that is there, under its own name.
async fn in_its_directory(arguments: &PutArguments) -> Result<PutArguments, Failure> {
    let name = Path::new(&arguments.source).file_name().and_then(OsStr::to_str).filter(|_| arguments.source != "-");
    let there = upload::stat(&arguments.target, &arguments.path).await;
    let path = match (there, name) {
        (Ok(entry), Some(name)) if entry["kind"] == "directory" => format!("{}/{name}", arguments.path),
        (Err(failure @ (Failure::Unreachable(_) | Failure::Unauthenticated(_))), _) => return Err(failure),
        _ => arguments.path.clone(),
    };
    Ok(PutArguments { path, ..arguments.clone() })
}

async fn put_at(arguments: &PutArguments) -> Result<(), Failure> {
    let PutArguments { source, path, if_version, new, parents, durable, target } = arguments;
    let (length, input): (Option<u64>, Box<dyn AsyncRead + Send + Unpin>) = match source.as_str() {
        "-" => (None, Box::new(tokio::io::stdin())),
        name => {
            let file = tokio::fs::File::open(name).await.map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
            let facts = file.metadata().await.map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
            if !facts.is_file() {
                return Err(Failure::Usage(format!("{name} is no file")));
            }
            if facts.len() >= upload::BYTES_MIN {
                let written = upload::put(arguments, file.into_std().await, facts.len()).await?;
                tell(target, path, &written);
                return Ok(());
            }
            (Some(facts.len()), Box::new(file))
        }
    };
    let address = format!("{}&create_dirs={parents}&durable={durable}", content(path));
    let mut request = http::Request::new("PUT", &address);
    if let Some(version) = if_version {
        request = request.with("if-match", &format!("\"{version}\""));
    }
    if *new {
        request = request.with("if-none-match", "*");
    }
    if let Some(length) = length {
        request = request.with("content-length", &length.to_string());
    }
    let written = http::json(target, request, body(input, Progress::new(path, length))).await?;
    tell(target, path, &written);
    Ok(())
}

fn tell(target: &Target, path: &str, written: &Value) {
    client::print(target, written, |written| {
        let version = written["version"].as_str().unwrap_or_default();
        let what = match (written["unchanged"] == true, written["created"] == true) {
            (true, _) => "unchanged",
            (false, true) => "created",
            (false, false) => "replaced",
        };
        format!("{path}: {what}, {} bytes, now {version}", written["size"])
    });
}

fn content(path: &str) -> String {
    format!("/api/v1/files/content?path={}", encoded(path))
}

/// A path in a query.
pub fn encoded(path: &str) -> PercentEncode<'_> {
    utf8_percent_encode(path, NON_ALPHANUMERIC)
}

/// What is left of a source, as it is read.
pub fn body(input: Box<dyn AsyncRead + Send + Unpin>, progress: Progress) -> UnsyncBoxBody<Bytes, anyhow::Error> {
    let pieces = stream::try_unfold((input, progress), |(mut input, mut progress)| async move {
        let mut piece = vec![0; PIECE_BYTES];
        let count =
            input.read(&mut piece).await.map_err(|error| anyhow!(error).context("the source cannot be read"))?;
        if count == 0 {
            progress.end();
            return Ok(None);
        }
        piece.truncate(count);
        progress.moved(count);
        Ok(Some((Frame::data(Bytes::from(piece)), (input, progress))))
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// How far a long transfer is, on standard error, if a person looks at it.
pub struct Progress {
    name: String,
    total: Option<u64>,
    moved: u64,
    shown: Option<Instant>,
    watched: bool,
}

impl Progress {
    pub fn new(name: &str, total: Option<u64>) -> Self {
        let long = total.is_none_or(|total| total >= PROGRESS_BYTES_MIN);
        let watched = long && std::io::stderr().is_terminal();
        Self { name: name.to_owned(), total, moved: 0, shown: None, watched }
    }

    /// So much has been moved before.
    pub fn from(mut self, offset: u64) -> Self {
        self.moved = offset;
        self
    }

    pub fn moved(&mut self, bytes: usize) {
        self.moved += bytes as u64;
        if self.watched && self.shown.is_none_or(|shown| shown.elapsed() >= PROGRESS_INTERVAL) {
            self.shown = Some(Instant::now());
            let mib = |bytes: u64| bytes / (1024 * 1024);
            let of = self.total.map(|total| format!(" of {} MiB", mib(total))).unwrap_or_default();
            eprint!("\r{}: {} MiB{of} ", self.name.escape_debug(), mib(self.moved));
        }
    }

    pub fn end(&mut self) {
        if self.shown.is_some() {
            eprintln!();
        }
    }
}
