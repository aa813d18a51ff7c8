//! Directories as lines.

use serde_json::{Value, json};

use super::{ListArguments, patterns};
use crate::{
    cli::Target,
    client::{self, Connection, Failure},
};

/// What a listing shows beside the rest.
#[derive(Clone, Copy, Default)]
pub struct Wanted {
    /// Names that begin with a dot.
    pub hidden: bool,
    pub ignored: bool,
}

pub async fn run(arguments: &ListArguments) -> Result<(), Failure> {
    let target = &arguments.target;
    let mut connection = Connection::open(target).await?;
    let wanted = Wanted { hidden: arguments.all, ignored: arguments.ignored };
    let path = &arguments.path;
    let entries = match patterns::is_pattern(target, &mut connection, path).await {
        true => patterns::matches(target, &mut connection, path, wanted).await?,
        false => match all(target, &mut connection, path, arguments.depth, wanted).await {
            // No directory: the entry itself, as `ls` shows it.
            Err(Failure::Answer(error)) if error["data"]["code"] == "conflict" => {
                vec![client::call_within(target, &mut connection, "files.stat", json!({ "path": path })).await?]
            }
            entries => entries?,
        },
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
    wanted: Wanted,
) -> Result<Vec<Value>, Failure> {
    let (mut entries, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let Wanted { hidden, ignored } = wanted;
        let params = json!({ "path": path, "depth": depth, "limit": 5000, "hidden": hidden, "ignored": ignored, "cursor": cursor });
        let mut page = client::call_within(target, connection, "files.list", params).await?;
        if let Value::Array(more) = page["entries"].take() {
            entries.extend(more);
        }
        if let Some(count) = page["unnameable"].as_u64() {
            eprintln!("{count} left out, whose paths are too long");
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
    if !long {
        return format!("{path}{mark}");
    }
    let owner = |name: &str, number: &str| match entry["owner"][name].as_str() {
        Some(name) => name.escape_debug().to_string(),
        None => entry["owner"][number].to_string(),
    };
    let (user, group) = (owner("user", "uid"), owner("group", "gid"));
    let (size, time) = (entry["size"].to_string(), text("modified_at"));
    let ignored = if entry["ignored"] == true { " (ignored)" } else { "" };
    format!("{} {user:<8} {group:<8} {size:>12} {time} {path}{mark}{target}{ignored}", permissions(entry))
}

/// As `ls` shows them: `drwxr-xr-x`.
fn permissions(entry: &Value) -> String {
    let kind = match entry["kind"].as_str() {
        Some("directory") => 'd',
        Some("symlink") => 'l',
        Some("other") => '?',
        _ => '-',
    };
    let mode = entry["mode"].as_u64().unwrap_or_default();
    let bits = (0..9).rev().zip("rwxrwxrwx".chars());
    std::iter::once(kind).chain(bits.map(|(bit, letter)| if mode >> bit & 1 == 1 { letter } else { '-' })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_command_to_the_terminal() {
        let entry = json!({ "kind": "file", "path": "a\u{1b}[2J\nb", "size": 1, "modified_at": "t" });
        assert_eq!(line(&entry, false), "a\\u{1b}[2J\\nb");
        let owner = json!({ "uid": 7, "gid": 8, "user": "me\u{1b}" });
        let folder = json!({ "kind": "directory", "path": "gr\u{fc}n", "size": 1, "modified_at": "t", "mode": 0o750, "owner": owner });
        assert_eq!(line(&folder, true), "drwxr-x--- me\\u{1b} 8                   1 t gr\u{fc}n/");
    }
}
