//! Editing, moving, copying, deleting.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{EditArguments, MoveArguments, RemoveArguments, each, patterns, with_remedy};
use crate::client::{self, Connection, Failure};

pub fn edit(arguments: &EditArguments) -> ExitCode {
    let EditArguments { path, old, new, count, if_version, dry_run, target } = arguments;
    let edits = [json!({ "old_text": old, "new_text": new, "expect_count": count })];
    let params = json!({ "path": path, "edits": edits, "if_version": if_version, "dry_run": dry_run });
    client::show(target, "files.edit", Some(params), |edited| match edited["diff"].as_str() {
        Some(diff) => diff.trim_end().to_owned(),
        None => {
            let version = edited["version"].as_str().unwrap_or_default();
            format!("{path}: {} replaced, now {version}", edited["replaced"])
        }
    })
}

/// One entry to a path, or several into a directory.
pub async fn relocate(arguments: &MoveArguments, method: &str) -> Result<(), Failure> {
    let MoveArguments { paths, overwrite, target } = arguments;
    let Some((to, from)) = paths.split_last() else { return Err(Failure::Usage("say from where and to where".into())) };
    let mut connection = Connection::open(target).await?;
    let from = patterns::expand(target, &mut connection, from).await?;
    let stat = client::call_within(target, &mut connection, "files.stat", json!({ "path": to })).await;
    let into = stat.is_ok_and(|entry| entry["kind"] == "directory");
    if from.len() > 1 && !into {
        return Err(Failure::Usage(format!("{to} is no directory, so only one entry can go there")));
    }
    let mut done = Vec::new();
    for from in from {
        let name = from.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let to = if into { format!("{}/{name}", to.trim_end_matches('/')) } else { to.clone() };
        let params = json!({ "from": from, "to": to, "overwrite": overwrite });
        client::call_within(target, &mut connection, method, params).await?;
        done.push(json!({ "from": from, "to": to }));
    }
    client::print(target, &Value::Array(done), |done| {
        let lines = done.as_array().into_iter().flatten().map(|moved| {
            format!("{} -> {}", moved["from"].as_str().unwrap_or_default(), moved["to"].as_str().unwrap_or_default())
        });
        lines.collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

pub async fn remove(arguments: &RemoveArguments) -> Result<(), Failure> {
    let RemoveArguments { paths, recursive, trash, target } = arguments;
    let mut connection = Connection::open(target).await?;
    let mut done = Vec::new();
    let paths = patterns::expand(target, &mut connection, paths).await?;
    let removed = each(paths, async |path: String| {
        let params = json!({ "path": path, "recursive": recursive, "trash": trash });
        let deleted = client::call_within(target, &mut connection, "files.delete", params).await;
        let remedy = "--recursive deletes a directory with all that is in it, --trash so that it can be restored";
        done.push(deleted.map_err(|failure| with_remedy(failure, "conflict", remedy))?);
        Ok(true)
    })
    .await;
    client::print(target, &Value::Array(done), |done| {
        let lines = done.as_array().into_iter().flatten().map(|deleted| {
            let path = deleted["path"].as_str().unwrap_or_default();
            match deleted["id"].as_str() {
                Some(id) => format!("{path} is in the trash as {id}"),
                None => format!("{path} is deleted"),
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    });
    removed
}
