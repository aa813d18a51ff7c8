//! Trees as archives, from the host and to it.

use anyhow::Context as _;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::{
    PackArguments, UnpackArguments,
    transfer::{Progress, body, encoded},
};
use crate::{
    client::{self, Connection, Failure},
    http,
};

pub async fn pack(arguments: &PackArguments) -> Result<(), Failure> {
    let PackArguments { path, output, zip, target } = arguments;
    let is_zip = *zip || output.as_ref().is_some_and(|name| name.ends_with(".zip"));
    let format = if is_zip { "zip" } else { "tar_gz" };
    let address = format!("/api/v1/files/archive?path={}&format={format}", encoded(path));
    let (_, mut answer) = http::send(target, http::Request::new("GET", &address), http::empty()).await?;
    let mut out: Box<dyn AsyncWrite + Unpin> = match output {
        Some(name) => {
            let file = tokio::fs::File::create(name).await;
            Box::new(file.map_err(|error| Failure::Usage(format!("{name}: {error}")))?)
        }
        None => Box::new(tokio::io::stdout()),
    };
    let mut progress = Progress::new(path, None);
    while let Some(frame) = answer.frame().await {
        let Ok(bytes) = frame.context("the host cut the archive off; its log says why")?.into_data() else { continue };
        match out.write_all(&bytes).await {
            // Whoever reads has enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("the archive cannot be written")?,
        }
        progress.moved(bytes.len());
    }
    match out.flush().await {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
        flushed => flushed.context("the archive cannot be written")?,
    }
    progress.end();
    Ok(())
}

pub async fn unpack(arguments: &UnpackArguments) -> Result<(), Failure> {
    let UnpackArguments { archive, to, there, overwrite, target } = arguments;
    let done = if *there {
        let mut connection = Connection::open(target).await?;
        let params = json!({ "archive": archive, "to": to, "overwrite": overwrite });
        client::call_within(target, &mut connection, "files.archives.unpack", params).await?
    } else {
        let (length, input): (Option<u64>, Box<dyn AsyncRead + Send + Unpin>) = match archive.as_str() {
            "-" => (None, Box::new(tokio::io::stdin())),
            name => {
                let wrong = |error| Failure::Usage(format!("{name}: {error}"));
                let file = tokio::fs::File::open(name).await.map_err(wrong)?;
                (Some(file.metadata().await.map_err(wrong)?.len()), Box::new(file))
            }
        };
        let address = format!("/api/v1/files/archive?path={}&overwrite={overwrite}", encoded(to));
        let mut request = http::Request::new("PUT", &address);
        if let Some(length) = length {
            request = request.with("content-length", &length.to_string());
        }
        http::json(target, request, body(input, Progress::new(archive, length))).await?
    };
    client::print(target, &done, |done: &Value| {
        format!(
            "{to}: {} files, {} directories, {} links, {} bytes",
            done["files"], done["directories"], done["links"], done["bytes"]
        )
    });
    Ok(())
}
