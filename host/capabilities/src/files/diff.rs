//! What a change would do to a text, for a person: a unified diff.

use std::time::Duration;

use midplane_model::limits::DIFF_BYTES_MAX;
use similar::TextDiff;

use super::path::RelativePath;

/// Lines around each change.
const CONTEXT_LINES: usize = 3;
/// Time after which a diff is no longer made as small as possible.
const EFFORT_MAX: Duration = Duration::from_millis(200);

/// The unified diff of a file; none for content is a file that is not there. What is no UTF-8 is named and not shown, and a
/// diff of more than `DIFF_BYTES_MAX` is cut at a line and says so.
pub(super) fn unified(path: &RelativePath, old: Option<&[u8]>, new: Option<&[u8]>) -> String {
    let name = |prefix: &str, side: Option<&[u8]>| match side {
        Some(_) => format!("{prefix}/{path}"),
        None => "/dev/null".to_owned(),
    };
    let (from, to) = (name("a", old), name("b", new));
    let (Ok(old), Ok(new)) = (text(old), text(new)) else {
        return format!("Binary files {from} and {to} differ\n");
    };
    let diff = TextDiff::configure().timeout(EFFORT_MAX).diff_lines(old, new);
    cut(diff.unified_diff().context_radius(CONTEXT_LINES).header(&from, &to).to_string())
}

fn text(side: Option<&[u8]>) -> Result<&str, std::str::Utf8Error> {
    std::str::from_utf8(side.unwrap_or_default())
}

fn cut(mut diff: String) -> String {
    if diff.len() > DIFF_BYTES_MAX {
        let end = diff.as_bytes()[..DIFF_BYTES_MAX].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        diff.truncate(end);
        diff.push_str("\\ the rest of this diff is left out: it is too long\n");
    }
    diff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> RelativePath {
        RelativePath::parse("a/b").expect("path")
    }

    #[test]
    fn a_diff_names_both_sides_and_shows_what_changes() {
        let diff = unified(&path(), Some(b"one\ntwo\n"), Some(b"one\n2\n"));
        assert_eq!(diff, "--- a/a/b\n+++ b/a/b\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n");
        assert!(unified(&path(), None, Some(b"new\n")).starts_with("--- /dev/null\n+++ b/a/b\n"));
        assert!(unified(&path(), Some(b"old\n"), None).starts_with("--- a/a/b\n+++ /dev/null\n"));
        assert_eq!(unified(&path(), Some(b"\xff"), Some(b"")), "Binary files a/a/b and b/a/b differ\n");
    }

    #[test]
    fn a_long_diff_is_cut_at_a_line_and_says_so() {
        let new = "gr\u{fc}n\n".repeat(DIFF_BYTES_MAX / 4);
        let diff = unified(&path(), Some(b""), Some(new.as_bytes()));
        assert!(
            diff.len() <= DIFF_BYTES_MAX + 100
                && diff.ends_with("gr\u{fc}n\n\\ the rest of this diff is left out: it is too long\n")
        );
    }
}
