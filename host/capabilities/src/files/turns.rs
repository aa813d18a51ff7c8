//! Whose turn it is to change a path: writers of one path go one after the other, writers of different paths do not meet.
//!
//! So of two writers with the same `if_version` exactly one wins. The line is as long as there are callers: each waits in
//! its own call, and calls in flight are bounded where they come in.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

use super::path::RelativePath;

type Lines = Arc<Mutex<HashMap<RelativePath, Arc<tokio::sync::Mutex<()>>>>>;

/// The lines of waiting writers, by real path. A line exists as long as somebody is in it.
#[derive(Default)]
pub(super) struct Turns(Lines);

/// The right to change some paths, until dropped. It may move to another thread, so that the work keeps its turn when
/// the caller goes away.
pub(super) struct Turn {
    held: Vec<(RelativePath, Option<OwnedMutexGuard<()>>)>,
    lines: Lines,
}

impl Turns {
    /// Waits for the turn on all of `paths`. They are taken in one order by everybody, so two movers cannot block each
    /// other. Dropping the future leaves the line.
    pub async fn wait(&self, mut paths: Vec<RelativePath>) -> Turn {
        paths.sort();
        paths.dedup();
        let mut turn = Turn { held: Vec::with_capacity(paths.len()), lines: self.0.clone() };
        for path in paths {
            let line = lock(&self.0).entry(path.clone()).or_default().clone();
            turn.held.push((path, None));
            let guard = line.lock_owned().await;
            if let Some((_, slot)) = turn.held.last_mut() {
                *slot = Some(guard);
            }
        }
        turn
    }

    /// Those who are in line for a path, the one whose turn it is included.
    #[cfg(test)]
    pub fn in_line(&self, path: &RelativePath) -> usize {
        lock(&self.0).get(path).map_or(0, |line| Arc::strong_count(line) - 1)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        lock(&self.0).len()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lines = lock(&self.lines);
        for (path, guard) in self.held.drain(..) {
            drop(guard);
            // Clones are made under the lock, so a count of one means that nobody else is in line.
            if lines.get(&path).is_some_and(|line| Arc::strong_count(line) == 1) {
                lines.remove(&path);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelativePath {
        RelativePath::parse(text).expect("path")
    }

    #[tokio::test]
    async fn the_second_writer_waits_for_the_first_and_lines_vanish_with_their_last_waiter() {
        let turns = Turns::default();
        let first = turns.wait(vec![path("a")]).await;
        let mut second = Box::pin(turns.wait(vec![path("b"), path("a")]));
        assert!(poll_once(&mut second).await.is_none());
        drop(turns.wait(vec![path("c")]).await);
        drop(first);
        let second = second.await;
        assert_eq!(turns.len(), 2);
        drop(second);
        assert_eq!(turns.len(), 0);
    }

    #[tokio::test]
    async fn a_writer_that_gives_up_leaves_no_line_behind() {
        let turns = Turns::default();
        let first = turns.wait(vec![path("a")]).await;
        let mut second = Box::pin(turns.wait(vec![path("a")]));
        assert!(poll_once(&mut second).await.is_none());
        drop(first);
        drop(second);
        drop(turns.wait(vec![path("a")]).await);
        assert_eq!(turns.len(), 0);
    }

    async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }
}
