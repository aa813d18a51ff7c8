//! Directories as lines.

use serde_json::{Value, json};

use super::{ListArguments, patterns};
use crate::{
    cli::Target,
    client::{self, Connection, Failure},
};

pub async fn run(arguments: &ListArguments) -> Result<(), Failure> {
    let target = &arguments.target;
    let mut connection = Connection::open(target).await?;
    let entries = match patterns::is_pattern(&arguments.path) {
        true => patterns::matches(target, &mut connection, &arguments.path, arguments.all).await?,
        false => all(target, &mut connection, &arguments.path, arguments.depth, arguments.all).await?,
    };
    let listed = Value::Array(entries);
    client::print(target, &listed, |listed| {
        let lines = listed.as_array().into_iter().flatten().map(|entry| line(entry, arguments.long));
        lines.collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

/// Every page of a listing.
pub async fn all(
    target: &Target,
    connection: &mut Connection,
    path: &str,
    depth: u32,
    hidden: bool,
) -> Result<Vec<Value>, Failure> {
    let (mut entries, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let params = json!({ "path": path, "depth": depth, "limit": 5000, "hidden": hidden, "cursor": cursor });
        let mut page = client::call_within(target, connection, "files.list", params).await?;
        if let Value::Array(more) = page["entries"].take() {
            entries.extend(more);
        }
        cursor = page["next_cursor"].take();
        if cursor.is_null() {
            return Ok(entries);
        }
    }
}

/// A name as a terminal can show it: control characters would be commands to it.
fn line(entry: &Value, long: bool) -> String {
    let text = |member: &str| entry[member].as_str().unwrap_or_default().escape_debug().to_string();
    let mark = if entry["kind"] == "directory" { "/" } else { "" };
    let target = match entry["target"].as_str() {
        Some(target) => format!(" -> {}", target.escape_debug()),
        None => String::new(),
    };
    let path = text("path");
    match long {
        false => format!("{path}{mark}"),
        true => {
            let (kind, size, time) = (text("kind"), entry["size"].to_string(), text("modified_at"));
            format!("{kind:<9} {size:>12} {time} {path}{mark}{target}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_command_to_the_terminal() {
        let entry = json!({ "kind": "file", "path": "a\u{1b}[2J\nb", "size": 1, "modified_at": "t" });
        assert_eq!(line(&entry, false), "a\\u{1b}[2J\\nb");
        let folder = json!({ "kind": "directory", "path": "gr\u{fc}n", "size": 1, "modified_at": "t" });
        assert_eq!(line(&folder, true), "directory            1 t gr\u{fc}n/");
    }
}
