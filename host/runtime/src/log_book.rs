//! The newest log lines of a plugin, and how somebody waits for the next one.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use midplane_model::limits::PLUGIN_LOG_LINES_MAX;
use tokio::sync::watch;

use crate::log_line::LogLine;

/// Levels by weight, the lightest first.
pub const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

/// A line with its number: 1, 2, 3 … within the life of the host. A hole in what a reader sees is lines that were forgotten.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Numbered {
    pub seq: u64,
    #[serde(flatten)]
    pub line: LogLine,
}

/// Which lines a reader wants.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// The newest so many; with `after` the oldest so many.
    pub limit: usize,
    /// The lightest level.
    pub level: Option<&'static str>,
    /// Only lines after this number.
    pub after: Option<u64>,
}

/// Holds `PLUGIN_LOG_LINES_MAX` lines; one more forgets the oldest.
pub struct LogBook {
    lines: Mutex<VecDeque<Numbered>>,
    /// The number of the newest line.
    newest: watch::Sender<u64>,
}

impl Default for LogBook {
    fn default() -> Self {
        Self { lines: Mutex::default(), newest: watch::Sender::new(0) }
    }
}

impl LogBook {
    pub fn push(&self, line: LogLine) {
        let mut lines = self.lines();
        if lines.len() >= PLUGIN_LOG_LINES_MAX {
            lines.pop_front();
        }
        let seq = lines.back().map_or(0, |last| last.seq) + 1;
        lines.push_back(Numbered { seq, line });
        // Under the lock, so that the numbers never go back.
        self.newest.send_replace(seq);
    }

    /// The lines that are there, oldest first.
    pub fn read(&self, query: &LogQuery) -> Vec<Numbered> {
        let weight = |level: &str| LEVELS.iter().position(|known| *known == level);
        let lightest = query.level.and_then(weight);
        let lines = self.lines();
        let wanted = lines.iter().filter(|numbered| {
            query.after.is_none_or(|after| numbered.seq > after) && weight(numbered.line.level) >= lightest
        });
        match query.after {
            Some(_) => wanted.take(query.limit).cloned().collect(),
            None => {
                let mut newest: Vec<Numbered> = wanted.rev().take(query.limit).cloned().collect();
                newest.reverse();
                newest
            }
        }
    }

    /// As `read`, but where there is nothing yet waits for it, at most `wait`. Cancel safe.
    pub async fn read_or_wait(&self, query: &LogQuery, wait: Duration) -> Vec<Numbered> {
        let mut newest = self.newest.subscribe();
        let line = async {
            loop {
                // Marked as seen before it is read: what comes meanwhile is a change.
                newest.borrow_and_update();
                let lines = self.read(query);
                if !lines.is_empty() || newest.changed().await.is_err() {
                    return lines;
                }
            }
        };
        tokio::time::timeout(wait, line).await.unwrap_or_default()
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<Numbered>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(levels: &[&'static str]) -> LogBook {
        let book = LogBook::default();
        for level in levels {
            book.push(LogLine::new(level, "m", Vec::new()));
        }
        book
    }

    fn seqs(book: &LogBook, limit: usize, level: Option<&'static str>, after: Option<u64>) -> Vec<u64> {
        book.read(&LogQuery { limit, level, after }).iter().map(|numbered| numbered.seq).collect()
    }

    #[test]
    fn the_newest_lines_or_those_after_one_of_a_level_at_least() {
        let book = book(&["info", "warn", "debug", "error"]);
        assert_eq!(seqs(&book, 2, None, None), [3, 4]);
        assert_eq!(seqs(&book, 9, Some("warn"), None), [2, 4]);
        assert_eq!(seqs(&book, 1, Some("warn"), None), [4]);
        assert_eq!(seqs(&book, 2, None, Some(1)), [2, 3]);
        assert_eq!(seqs(&book, 9, None, Some(4)), [0; 0]);
    }

    #[test]
    fn the_oldest_line_is_forgotten_and_its_number_not_used_again() {
        let book = book(&vec!["info"; PLUGIN_LOG_LINES_MAX + 2]);
        let all = seqs(&book, usize::MAX, None, None);
        assert_eq!(
            (all.len(), all.first(), all.last()),
            (PLUGIN_LOG_LINES_MAX, Some(&3), Some(&(PLUGIN_LOG_LINES_MAX as u64 + 2)))
        );
    }

    #[tokio::test]
    async fn a_reader_waits_for_the_next_line_and_not_longer_than_it_said() {
        let book = std::sync::Arc::new(book(&["info"]));
        let query = LogQuery { limit: 9, level: Some("info"), after: Some(1) };
        assert!(book.read_or_wait(&query, Duration::ZERO).await.is_empty());
        let waiting = tokio::spawn({
            let (book, query) = (book.clone(), query.clone());
            async move { book.read_or_wait(&query, Duration::from_secs(60)).await }
        });
        book.push(LogLine::new("debug", "not this one", Vec::new()));
        book.push(LogLine::new("info", "m", Vec::new()));
        assert_eq!(waiting.await.unwrap()[0].seq, 3);
    }
}
