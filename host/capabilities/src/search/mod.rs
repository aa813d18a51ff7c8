//! Searching for text below a root, on the threads of the search's own and never on those of the runtime.
//!
//! [`Searches`] is the handle. A search walks the tree in the order of paths ([`walk`]), its workers look into the files
//! ([`scan`]), and what they find is put in order again ([`order`]) and handed on in batches through a bounded channel. What
//! ends it early ([`Stop`]) is looked at for every entry, every 64 KiB and every match, so nothing goes on for long that
//! nobody waits for. Knows nothing of requests or JSON.

mod error;
mod line;
mod order;
mod query;
mod run;
mod scan;
mod stop;
mod walk;

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

pub use error::SearchError;
pub use line::{Line, Span};
use midplane_model::limits::{SEARCH_BATCHES_QUEUED_MAX, SEARCHES_MAX};
pub use query::{Case, Query};
use stop::Stop;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::files::{RelativePath, Root, Version};

/// A line in which something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    pub line: Line,
    /// Where in the line, in order; at most `SEARCH_SPANS_MAX`. Empty for a line that is found without a character of it.
    pub spans: Vec<Span>,
    /// Lines before it that were not told with the hit before.
    pub before: Vec<Line>,
    pub after: Vec<Line>,
    /// The whole line as it would be, where the query has a replacement.
    pub replaced: Option<String>,
}

/// A file in which something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHits {
    pub path: RelativePath,
    /// Of what was looked at; none where the file changed meanwhile.
    pub version: Option<Version>,
    pub hits: Vec<Hit>,
}

/// Why a search ended before the end of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// There are more than `results_max` lines.
    Results,
    /// They do not fit into `bytes_max`.
    Bytes,
    Time,
    /// Nobody waits for it any more.
    Cancelled,
}

/// What became of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// None when the whole tree was looked through.
    pub limit: Option<Limit>,
    /// Lines that were told.
    pub results: usize,
    /// Files that were looked into.
    pub files: u64,
    /// Files with a NUL byte, which are left out whole.
    pub binary: u64,
    /// Files and directories that could not be read, or whose lines have no end.
    pub unreadable: u64,
}

/// News of a search.
#[derive(Debug)]
pub enum News {
    /// Files in the order of their paths. What a file has many of goes on in the next batch.
    Found(Vec<FileHits>),
    /// The last one.
    Done(Summary),
}

/// Every search of the host; cheap to clone. At most `SEARCHES_MAX` run, further ones wait for their turn.
#[derive(Clone)]
pub struct Searches {
    inner: Arc<Inner>,
}

struct Inner {
    turns: Semaphore,
    work: TaskTracker,
    stop: CancellationToken,
    counts: Counts,
}

/// What is counted about searches. The figures are independent of each other, so relaxed order is enough.
#[derive(Default)]
struct Counts {
    running: AtomicUsize,
    begun: AtomicU64,
    files: AtomicU64,
}

/// Figures of all searches since the host started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchStats {
    /// Searches that have a thread at work now.
    pub running: usize,
    pub begun: u64,
    /// Files that were looked into.
    pub files: u64,
}

impl Default for Searches {
    fn default() -> Self {
        let (work, stop, counts) = (TaskTracker::new(), CancellationToken::new(), Counts::default());
        Self { inner: Arc::new(Inner { turns: Semaphore::new(SEARCHES_MAX), work, stop, counts }) }
    }
}

impl Searches {
    /// Begins a search below `root`. It ends when the tree does, at a limit of the query, when `cancel` is cancelled, or when
    /// the handle is dropped. What is wrong with the query is said by [`Search::next`]. Must be called within the runtime.
    #[must_use]
    pub fn start(&self, root: &Root, query: Query, cancel: &CancellationToken) -> Search {
        // When full, the search waits for its reader.
        let (news, receiver) = mpsc::channel(SEARCH_BATCHES_QUEUED_MAX);
        let stop = Stop::new(cancel.child_token(), query.time_max);
        let search = Search { news: receiver, stop: stop.clone() };
        if self.inner.stop.is_cancelled() {
            return search;
        }
        let (inner, root) = (self.inner.clone(), root.clone());
        self.inner.work.spawn(async move {
            let turn = tokio::select! {
                turn = inner.turns.acquire() => turn,
                () = stop.late() => {
                    let summary = Summary { limit: Some(Limit::Time), ..Summary::default() };
                    _ = news.try_send(Ok(News::Done(summary)));
                    return;
                }
                () = stop.cancelled() => return,
                () = inner.stop.cancelled() => return,
            };
            let job = run::Job { root, query, stop: stop.clone(), news };
            let (shared, host) = (inner.clone(), tokio::runtime::Handle::current());
            let work = tokio::task::spawn_blocking(move || {
                let _running = Running::begin(&shared.counts);
                run::run(job, &host, &shared.counts);
            });
            tokio::pin!(work);
            // Whoever closes waits for the thread, too.
            tokio::select! {
                _ = &mut work => {}
                () = inner.stop.cancelled() => {
                    stop.cancel();
                    _ = work.await;
                }
            }
            drop(turn);
        });
        search
    }

    #[must_use]
    pub fn stats(&self) -> SearchStats {
        let Counts { running, begun, files } = &self.inner.counts;
        SearchStats { running: running.load(Relaxed), begun: begun.load(Relaxed), files: files.load(Relaxed) }
    }

    /// Ends all searches, and waits for their threads.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        self.inner.work.close();
        self.inner.work.wait().await;
    }
}

/// Counts a search as running until all its threads have ended.
struct Running<'a>(&'a Counts);

impl<'a> Running<'a> {
    fn begin(counts: &'a Counts) -> Self {
        counts.running.fetch_add(1, Relaxed);
        counts.begun.fetch_add(1, Relaxed);
        Self(counts)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Relaxed);
    }
}

/// A search. Dropping it ends the work.
#[derive(Debug)]
pub struct Search {
    news: mpsc::Receiver<Result<News, SearchError>>,
    stop: Stop,
}

impl Search {
    /// The next batch, and at last the summary. Cancel safe.
    ///
    /// # Errors
    /// What is wrong with the query, or why its path cannot be searched; `unavailable` after [`News::Done`] and when the
    /// host is stopping.
    pub async fn next(&mut self) -> Result<News, SearchError> {
        self.news.recv().await.unwrap_or(Err(SearchError::Over))
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests;
