//! A large file to the host, as an upload that goes on after a cut: of the connection, of the host, or of this program.
//!
//! The file is hashed first. By path, size and hash an upload that an earlier run began is found again, and the host refuses to make a
//! file of anything else.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    PutArguments,
    transfer::{PIECE_BYTES, Progress, body},
};
use crate::{cli::Target, client::Failure, http};

/// Below that a file is sent again in less time than it takes to ask how much is there.
pub const BYTES_MIN: u64 = 8 * 1024 * 1024;
const UPLOADS: &str = "/api/v1/files/uploads";
/// Cuts in a row after which nothing more came; then it is left to the person, who gives the same command again.
const CUTS_MAX: u32 = 8;
/// Time after the first of them; twice as long after each.
const PAUSE: Duration = Duration::from_millis(250);

/// Sends the file and gives what the host says of it.
pub async fn put(arguments: &PutArguments, mut file: File, size: u64) -> Result<Value, Failure> {
    let target = &arguments.target;
    let sha256 = hash(&mut file).with_context(|| format!("{} cannot be read", arguments.source))?;
    let upload = match found(arguments, size, &sha256).await? {
        Some(upload) => upload,
        None => begin(arguments, size, &sha256).await?,
    };
    let id = upload["id"].as_str().context("the host names no upload")?.to_owned();
    let (mut offset, mut cuts) = (upload["offset"].as_u64().unwrap_or(0), 0);
    loop {
        let cut = match append(arguments, &file, &id, offset, size).await {
            Ok(upload) if upload["complete"] == true => return Ok(upload["written"].clone()),
            Ok(_) => None,
            Err(Failure::Answer(error)) if error["data"]["code"] == "conflict" => None,
            Err(Failure::Unreachable(cut)) => Some(cut),
            Err(failure) => return Err(failure),
        };
        if let Some(cut) = cut {
            eprintln!("{}: {cut:#}; trying again", arguments.path.escape_debug());
        }
        let before = offset;
        loop {
            if cuts > 0 {
                tokio::time::sleep(PAUSE * 2_u32.pow(cuts - 1)).await;
            }
            match http::json(target, http::Request::new("GET", &format!("{UPLOADS}/{id}")), http::empty()).await {
                // The cut took the answer.
                Ok(upload) if upload["complete"] == true => return stat(target, &arguments.path).await,
                Ok(upload) => {
                    offset = upload["offset"].as_u64().unwrap_or(0);
                    break;
                }
                Err(Failure::Unreachable(_)) if cuts < CUTS_MAX => cuts += 1,
                Err(failure) => return Err(failure),
            }
        }
        cuts = if offset > before { 0 } else { cuts + 1 };
        if cuts > CUTS_MAX {
            let message = "the host takes no more bytes; give the same command again to go on";
            return Err(Failure::Unreachable(anyhow::anyhow!(message)));
        }
    }
}

fn hash(file: &mut File) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hash.update(&piece[..count]);
    }
}

/// What an earlier run has begun. One that may only make a file is begun anew, since the earlier one may not have been.
async fn found(arguments: &PutArguments, size: u64, sha256: &str) -> Result<Option<Value>, Failure> {
    if arguments.new {
        return Ok(None);
    }
    let listed = http::json(&arguments.target, http::Request::new("GET", UPLOADS), http::empty()).await?;
    let same = |upload: &&Value| {
        upload["path"] == *arguments.path
            && upload["size"] == size
            && upload["sha256"] == sha256
            && upload["complete"] == false
    };
    Ok(listed.as_array().into_iter().flatten().find(same).cloned())
}

async fn begin(arguments: &PutArguments, size: u64, sha256: &str) -> Result<Value, Failure> {
    let PutArguments { path, if_version, new, parents, durable, target, .. } = arguments;
    let create = if *new { "must_not_exist" } else { "always" };
    let wanted = json!({
        "path": path, "size": size, "sha256": sha256, "if_version": if_version,
        "create": create, "create_dirs": parents, "durable": durable,
    });
    let request = http::Request::new("POST", UPLOADS).with("content-type", "application/json");
    let body = Full::new(Bytes::from(wanted.to_string())).map_err(|never| match never {}).boxed_unsync();
    http::json(target, request, body).await
}

/// Sends what is left.
async fn append(arguments: &PutArguments, file: &File, id: &str, offset: u64, size: u64) -> Result<Value, Failure> {
    let mut rest = file.try_clone().context("the source")?;
    rest.seek(SeekFrom::Start(offset)).context("the source")?;
    let mut request = http::Request::new("PATCH", &format!("{UPLOADS}/{id}?offset={offset}"))
        .with("content-length", &(size - offset.min(size)).to_string());
    if let Some(version) = &arguments.if_version {
        request = request.with("if-match", &format!("\"{version}\""));
    }
    let progress = Progress::new(&arguments.path, Some(size)).from(offset);
    http::json(&arguments.target, request, body(Box::new(tokio::fs::File::from_std(rest)), progress)).await
}

/// What is there; of a file that is what `write` would have said of it.
pub async fn stat(target: &Target, path: &str) -> Result<Value, Failure> {
    let address = format!("/api/v1/files/stat?path={}", super::transfer::encoded(path));
    http::json(target, http::Request::new("GET", &address), http::empty()).await
}
