//! Paths with `*`, `?`, `[…]` and `**`, matched against what the host lists. What is ignored fits like anything else, but for `**`:
//! that would walk through all that was ever built.

use globset::{GlobBuilder, GlobMatcher};
use serde_json::{Value, json};

use super::list::{self, Wanted};
use crate::{
    cli::Target,
    client::{self, Connection, Failure},
};

/// As deep as a listing goes.
const DEPTH_MAX: usize = 16;

/// Whether a path is to be matched: an entry that really has such a name, as `[id].tsx`, comes first.
pub async fn is_pattern(target: &Target, connection: &mut Connection, path: &str) -> bool {
    path.contains(['*', '?', '[', '{'])
        && client::call_within(target, connection, "files.stat", json!({ "path": path })).await.is_err()
}

/// The paths that a command is about: as given, or those that fit.
///
/// # Errors
/// `not_found` for a pattern that nothing fits.
pub async fn expand(target: &Target, connection: &mut Connection, paths: &[String]) -> Result<Vec<String>, Failure> {
    let mut expanded = Vec::new();
    for path in paths {
        if !is_pattern(target, connection, path).await {
            expanded.push(path.clone());
            continue;
        }
        let found = matches(target, connection, path, Wanted::default()).await?;
        expanded.extend(found.iter().filter_map(|entry| entry["path"].as_str().map(str::to_owned)));
    }
    Ok(expanded)
}

/// The entries that fit a pattern, in the order of their paths.
///
/// # Errors
/// `not_found` when there is none.
pub async fn matches(
    target: &Target,
    connection: &mut Connection,
    pattern: &str,
    wanted: Wanted,
) -> Result<Vec<Value>, Failure> {
    let pattern = pattern.trim_start_matches("./");
    let matcher = compile(pattern)?;
    let (folder, depth) = reach(pattern);
    // Names that begin with a dot are asked for by a dot.
    let wanted = Wanted {
        hidden: wanted.hidden || pattern.split('/').any(|segment| segment.starts_with('.')),
        ignored: wanted.ignored || !pattern.contains("**"),
    };
    let depth = u32::try_from(depth).unwrap_or(1);
    let entries = list::all(target, connection, if folder.is_empty() { "." } else { folder }, depth, wanted).await?;
    let fits = |entry: &Value| entry["path"].as_str().is_some_and(|path| matcher.is_match(path));
    let found: Vec<Value> = entries.into_iter().filter(fits).collect();
    if found.is_empty() {
        let message = format!("nothing fits {pattern:?}");
        return Err(Failure::Answer(json!({ "message": message, "data": { "code": "not_found" } })));
    }
    Ok(found)
}

fn compile(pattern: &str) -> Result<GlobMatcher, Failure> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| Failure::Usage(error.to_string()))
}

/// The directory above the first segment that is a pattern, and how many levels are to be looked at from there.
fn reach(pattern: &str) -> (&str, usize) {
    let first = pattern.find(['*', '?', '[', '{']).unwrap_or(pattern.len());
    let folder = pattern[..first].rfind('/').map_or("", |slash| &pattern[..slash]);
    let below = &pattern[folder.len()..];
    let levels = below.trim_start_matches('/').split('/').count();
    (folder, if below.contains("**") { DEPTH_MAX } else { levels.min(DEPTH_MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_pattern_can_reach_is_listed() {
        for (pattern, expected) in [
            ("*.rs", ("", 1)),
            ("src/*.rs", ("src", 1)),
            ("src/a?/b/*", ("src", 3)),
            ("src/**/*.rs", ("src", DEPTH_MAX)),
            ("{a,b}/c", ("", 2)),
        ] {
            assert_eq!(reach(pattern), expected, "{pattern}");
        }
        let fits = |pattern: &str, path: &str| compile(pattern).ok().is_some_and(|glob| glob.is_match(path));
        assert!(fits("src/*.rs", "src/a.rs") && !fits("src/*.rs", "src/b/a.rs") && fits("src/**/*.rs", "src/b/a.rs"));
        assert!(compile("[").is_err());
    }
}
