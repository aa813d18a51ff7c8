//! Finding files by parts of their names, in the index that the watcher keeps.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use midplane_model::{
    ErrorCode, Fault,
    limits::{FIND_QUERY_BYTES_MAX, FIND_RESULTS_MAX},
};
use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{CaseMatching, Normalization, Pattern},
};
use tokio_util::sync::CancellationToken;

use crate::{
    files::RelativePath,
    search::Span,
    watch::{Index, Scope, Watcher},
};

/// Files between two looks at whether anybody waits.
const FILES_BETWEEN_LOOKS: usize = 1024;
const HOUR_NS: i64 = 3_600_000_000_000;

/// What is sought.
#[derive(Debug, Clone)]
pub struct FindQuery {
    /// Words of characters that come in this order in the path, anywhere; with a capital letter, in this case. `^`, `$`, `'`
    /// and `!` at a word mean its beginning, its end, exactly it, and without it. Empty finds what was changed last.
    pub text: String,
    /// At most `FIND_RESULTS_MAX`.
    pub results_max: usize,
    pub scope: Scope,
}

/// A file that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    pub path: RelativePath,
    /// Higher is better; of use only beside other scores of this answer.
    pub score: u32,
    /// What of the path fits.
    pub spans: Vec<Span>,
}

/// The best files, and how many fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// The best first; equal ones the shortest path first.
    pub files: Vec<FoundFile>,
    /// Files that fit, ignored ones that were not looked at included.
    pub fitting: usize,
    /// Files that are known.
    pub known: usize,
}

/// Why nothing can be found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("params.query: at most {FIND_QUERY_BYTES_MAX} bytes")]
    QueryTooLong,
    #[error("params.limit: 1 to {FIND_RESULTS_MAX}, got {0}")]
    Limit(usize),
    #[error("the host is stopping")]
    Closed,
    #[error("nobody waits for the files any more")]
    Cancelled,
}

impl From<FindError> for Fault {
    fn from(error: FindError) -> Self {
        let message = error.to_string();
        match error {
            FindError::QueryTooLong => Fault::invalid_params("params.query", message),
            FindError::Limit(_) => Fault::invalid_params("params.limit", message),
            FindError::Closed => Fault::new(ErrorCode::Unavailable, message),
            FindError::Cancelled => Fault::new(ErrorCode::Cancelled, message),
        }
    }
}

/// Looks through everything that the watcher knows. Waits for the first index of a large tree; dropping it, or `cancel`, ends
/// the work.
///
/// # Errors
/// [`FindError`].
pub async fn find(watcher: &Watcher, query: FindQuery, cancel: CancellationToken) -> Result<Findings, FindError> {
    if query.text.len() > FIND_QUERY_BYTES_MAX {
        return Err(FindError::QueryTooLong);
    }
    if !(1..=FIND_RESULTS_MAX).contains(&query.results_max) {
        return Err(FindError::Limit(query.results_max));
    }
    let index = watcher.index().await.ok_or(FindError::Closed)?;
    let stop = cancel.child_token();
    let _ends = stop.clone().drop_guard();
    let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
    let now_ns = i64::try_from(now_ns).unwrap_or(i64::MAX);
    let work = tokio::task::spawn_blocking(move || best(&index, &query, now_ns, &stop));
    work.await.unwrap_or(None).ok_or(FindError::Cancelled)
}

/// None when it was stopped.
fn best(index: &Arc<Index>, query: &FindQuery, now_ns: i64, stop: &CancellationToken) -> Option<Findings> {
    let pattern = Pattern::parse(&query.text, CaseMatching::Smart, Normalization::Smart);
    let mut matcher = Matcher::new(Config::DEFAULT.match_paths());
    let mut characters = Vec::new();
    // The worst on top. Among equals the shorter path is the better one, then the one that comes first.
    let mut best = BinaryHeap::new();
    let mut fitting = 0;
    for (number, file) in index.files.iter().enumerate() {
        if number % FILES_BETWEEN_LOOKS == 0 && stop.is_cancelled() {
            return None;
        }
        let path = file.path.as_str();
        if !query.scope.holds(&file.path) {
            continue;
        }
        let Some(score) = pattern.score(Utf32Str::new(path, &mut characters), &mut matcher) else { continue };
        fitting += 1;
        let age_ns = if query.text.is_empty() { Reverse(now_ns.saturating_sub(file.modified_ns)) } else { Reverse(0) };
        let rank = (score + recency(now_ns, file.modified_ns), age_ns, Reverse(path.len()), Reverse(number));
        let full = best.len() == query.results_max;
        let enters = !full || best.peek().is_some_and(|Reverse(worst)| rank > *worst);
        if enters && !file.is_ignored() {
            best.push(Reverse(rank));
            if full {
                best.pop();
            }
        }
    }
    let found = best.into_sorted_vec().into_iter().map(|Reverse((score, _, _, Reverse(number)))| {
        let path = index.files[number].path.clone();
        let spans = spans(&pattern, &mut matcher, path.as_str());
        FoundFile { path, score, spans }
    });
    Some(Findings { files: found.collect(), fitting, known: index.files.len() })
}

/// A little more for what somebody works on: less than a character that fits well.
fn recency(now_ns: i64, modified_ns: i64) -> u32 {
    match now_ns.saturating_sub(modified_ns) / HOUR_NS {
        ..1 => 12,
        1..24 => 6,
        24..168 => 2,
        _ => 0,
    }
}

/// Neighbouring characters make one span.
fn spans(pattern: &Pattern, matcher: &mut Matcher, path: &str) -> Vec<Span> {
    let (mut characters, mut indices) = (Vec::new(), Vec::new());
    let haystack = Utf32Str::new(path, &mut characters);
    if pattern.indices(haystack, matcher, &mut indices).is_none() {
        return Vec::new();
    }
    indices.sort_unstable();
    indices.dedup();
    // The matcher counts characters as people see them, of which it keeps the first code point only; where there are others,
    // the places are not known.
    if haystack.len() != path.chars().count() {
        return Vec::new();
    }
    let mut spans: Vec<Span> = Vec::new();
    let mut wanted = indices.into_iter().peekable();
    let mut column = 1;
    for (index, character) in path.chars().enumerate() {
        let length = character.len_utf16() as u32;
        if wanted.next_if(|wanted| *wanted as usize == index).is_some() {
            match spans.last_mut() {
                Some(last) if last.column + last.length == column => last.length += length,
                _ => spans.push(Span { column, length }),
            }
        }
        column += length;
    }
    spans
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::{files::Root, watch::Exclusions};

    struct Tree {
        dir: tempfile::TempDir,
        watcher: Watcher,
    }

    impl Tree {
        async fn new(paths: &[&str]) -> Self {
            let dir = tempfile::tempdir().expect("temporary directory");
            paths.iter().for_each(|path| write(dir.path(), path));
            let root = Root::open(dir.path()).expect("root");
            let watcher = Watcher::start(&root, Exclusions::default()).await.expect("watcher");
            Self { dir, watcher }
        }

        async fn find(&self, query: FindQuery) -> Findings {
            find(&self.watcher, query, CancellationToken::new()).await.expect("found")
        }

        async fn paths(&self, text: &str) -> Vec<String> {
            self.find(query(text)).await.files.iter().map(|file| file.path.to_string()).collect()
        }

        /// Waits until the watcher has told of a path.
        async fn until(&self, batches: &mut tokio::sync::mpsc::Receiver<crate::watch::Batch>, path: &str) {
            while !batches.recv().await.expect("open").changes.iter().any(|change| change.path.as_str() == path) {}
        }
    }

    fn write(dir: &Path, path: &str) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
        fs::write(path, "").expect("write");
    }

    fn query(text: &str) -> FindQuery {
        FindQuery { text: text.into(), results_max: 10, scope: Scope::everything() }
    }

    #[tokio::test]
    async fn the_best_come_first_with_what_fits_of_them() {
        let tree = Tree::new(&["src/watch/engine.rs", "src/engine/watch.rs", "wide/a/t/c/h.txt", "other.md"]).await;
        assert_eq!(tree.paths("watch").await, ["src/engine/watch.rs", "src/watch/engine.rs", "wide/a/t/c/h.txt"]);
        assert_eq!(tree.paths("eng watch.rs$").await, ["src/engine/watch.rs"]);
        assert_eq!(tree.paths("nothing").await, Vec::<String>::new());
        let found = tree.find(FindQuery { results_max: 1, ..query("enginers") }).await;
        assert_eq!((found.files.len(), found.fitting, found.known), (1, 2, 4));
        assert_eq!(found.files[0].spans, [Span { column: 11, length: 6 }, Span { column: 18, length: 2 }]);
    }

    #[tokio::test]
    async fn columns_are_those_of_editors() {
        let tree = Tree::new(&["𝄞ü/naïve.md"]).await;
        let found = tree.find(query("ïve")).await;
        assert_eq!(found.files[0].spans, [Span { column: 7, length: 3 }]);
    }

    #[tokio::test]
    async fn what_comes_and_goes_and_is_ignored_is_known_after_it_was_told() {
        let tree = Tree::new(&["needle.rs", "needle.log"]).await;
        let mut batches = tree.watcher.subscribe(Scope::everything());
        assert_eq!(tree.paths("needle").await.len(), 2);
        fs::write(tree.dir.path().join(".gitignore"), "*.log\n").expect("write");
        fs::rename(tree.dir.path().join("needle.rs"), tree.dir.path().join("other.rs")).expect("rename");
        tree.until(&mut batches, "other.rs").await;
        assert_eq!(tree.paths("needle").await, Vec::<String>::new());
        write(tree.dir.path(), "deep/down/needle");
        tree.until(&mut batches, "deep/down/needle").await;
        assert_eq!(tree.paths("ddneedle").await, ["deep/down/needle"]);
        let narrow = FindQuery { scope: Scope::of(vec![RelativePath::parse("src").expect("path")]), ..query("") };
        assert_eq!(tree.find(narrow).await.fitting, 0);
    }

    #[tokio::test]
    async fn nothing_is_found_that_cannot_be_and_after_the_end() {
        let tree = Tree::new(&["a"]).await;
        let long = query(&"x".repeat(FIND_QUERY_BYTES_MAX + 1));
        let error = find(&tree.watcher, long, CancellationToken::new()).await;
        assert!(matches!(error, Err(FindError::QueryTooLong)));
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        assert!(matches!(find(&tree.watcher, query("a"), cancelled).await, Err(FindError::Cancelled)));
        tree.watcher.close().await;
        let error = find(&tree.watcher, query("a"), CancellationToken::new()).await;
        assert!(matches!(error, Err(FindError::Closed)));
    }
}
