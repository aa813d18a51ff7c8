//! Searching: the defaults, and what is told while it runs.
//!
//! Where the client listens to progress it gets the batches as the host finds them, and the answer has none; else they
//! gather in the answer, as far as one message goes.

use midplane_sdk::{
    host::search::{self as host, Limit, News, Query, Searching},
    json,
};
use serde_json::{Value, json};

use crate::{
    exports::midplane::files::files::{
        ContextLine, Error, FileHits, Findings, FoundFile, Hit, LetterCase, SearchLimit, SearchResult, Span,
    },
    midplane::host::{context_async, search_async},
};

/// Hits where the caller names no number.
pub const RESULTS_DEFAULT: u32 = 1000;
/// The most that a caller may ask for.
pub const RESULTS_MAX: u32 = 20_000;
/// Time where the caller names none.
pub const TIMEOUT_MS_DEFAULT: u64 = 10_000;
/// Files that are found where the caller names no number, and the most.
pub const FOUND_DEFAULT: u32 = 50;
pub const FOUND_MAX: u32 = 1000;
/// Bytes of JSON that an answer holds, so that it stays below the largest message.
const ANSWER_BYTES_MAX: usize = 512 * 1024;

/// What `files.search` and `files.replace` look for and where, as the caller says it.
pub struct Asked {
    pub query: String,
    pub regex: Option<bool>,
    pub case: Option<LetterCase>,
    pub word: Option<bool>,
    pub include: Option<Vec<String>>,
    pub exclude: Option<Vec<String>>,
    pub path: Option<String>,
    pub hidden: Option<bool>,
    pub ignored: Option<bool>,
}

impl From<Asked> for Query {
    fn from(asked: Asked) -> Self {
        Self {
            text: asked.query,
            regex: asked.regex.unwrap_or(false),
            letter_case: letter_case(asked.case),
            word: asked.word.unwrap_or(false),
            include: asked.include.unwrap_or_default(),
            exclude: asked.exclude.unwrap_or_default(),
            path: asked.path.unwrap_or_else(|| ".".into()),
            hidden: asked.hidden.unwrap_or(false),
            ignored: asked.ignored.unwrap_or(false),
            context_lines: 0,
            results_max: RESULTS_DEFAULT,
            timeout_ms: TIMEOUT_MS_DEFAULT,
            replacement: None,
        }
    }
}

fn letter_case(case: Option<LetterCase>) -> host::LetterCase {
    match case.unwrap_or(LetterCase::Smart) {
        LetterCase::Smart => host::LetterCase::Smart,
        LetterCase::Sensitive => host::LetterCase::Sensitive,
        LetterCase::Insensitive => host::LetterCase::Insensitive,
    }
}

/// Searches to the end, or to a limit.
///
/// # Errors
/// What is wrong with the query.
pub async fn run(query: &Query) -> Result<SearchResult, Error> {
    let searching = host::start(query)?;
    let mut answer = Answer::default();
    loop {
        match search_async::next(&searching).await? {
            News::Found(files) => {
                let files: Vec<FileHits> = files.into_iter().map(FileHits::from).collect();
                if !answer.tell(&files).await? && !answer.gather(files) {
                    return Ok(cut_off(searching, answer));
                }
            }
            News::Done(summary) => {
                return Ok(SearchResult {
                    files: answer.files,
                    truncated: summary.limit.map(SearchLimit::from),
                    hits: summary.results,
                    files_searched: summary.files,
                    files_binary: summary.binary,
                    files_unreadable: summary.unreadable,
                });
            }
        }
    }
}

/// The answer is full: the rest of the search is spared.
fn cut_off(searching: Searching, answer: Answer) -> SearchResult {
    drop(searching);
    let hits = answer.files.iter().map(|file| file.hits.len()).sum::<usize>();
    SearchResult {
        // How many files that took nobody has said.
        files_searched: answer.files.len() as u64,
        files: answer.files,
        truncated: Some(SearchLimit::MaxBytes),
        hits: u32::try_from(hits).unwrap_or(u32::MAX),
        files_binary: 0,
        files_unreadable: 0,
    }
}

#[derive(Default)]
struct Answer {
    files: Vec<FileHits>,
    bytes: usize,
    /// The client does not listen to progress.
    silent: bool,
}

impl Answer {
    /// Tells a batch as progress. False where the client does not listen.
    async fn tell(&mut self, files: &[FileHits]) -> Result<bool, Error> {
        if !self.silent {
            let part = json!({ "files": files.iter().map(shown).collect::<Vec<_>>() });
            self.silent = !context_async::report_part(json::text(&part)?).await?;
        }
        Ok(!self.silent)
    }

    /// Puts a batch into the answer. False when it does not fit any more.
    fn gather(&mut self, files: Vec<FileHits>) -> bool {
        for mut file in files {
            let fits = file.hits.iter().take_while(|hit| {
                self.bytes += hit_bytes(hit);
                self.bytes <= ANSWER_BYTES_MAX
            });
            let fitting = fits.count();
            let full = fitting < file.hits.len();
            file.hits.truncate(fitting);
            match self.files.last_mut() {
                _ if file.hits.is_empty() => {}
                Some(last) if last.path == file.path => last.hits.append(&mut file.hits),
                _ => self.files.push(file),
            }
            if full {
                return false;
            }
        }
        true
    }
}

/// About what a hit takes in an answer.
fn hit_bytes(hit: &Hit) -> usize {
    const BESIDE_THE_TEXT: usize = 96;
    let around = hit.before.iter().chain(&hit.after).map(|line| line.text.len() + BESIDE_THE_TEXT / 2);
    hit.text.len() + BESIDE_THE_TEXT + hit.spans.len() * 24 + around.sum::<usize>()
}

/// As the host would write it into the answer.
fn shown(file: &FileHits) -> Value {
    let lines = |lines: &[ContextLine]| -> Vec<Value> {
        lines.iter().map(|line| json!({ "line": line.line, "text": line.text })).collect()
    };
    let spans = |spans: &[Span]| -> Vec<Value> {
        spans.iter().map(|span| json!({ "column": span.column, "length": span.length })).collect()
    };
    let hit = |hit: &Hit| {
        json!({
            "line": hit.line,
            "text": hit.text,
            "text_column": hit.text_column,
            "cut": hit.cut,
            "spans": spans(&hit.spans),
            "before": lines(&hit.before),
            "after": lines(&hit.after),
        })
    };
    let mut json = json!({ "path": file.path, "hits": file.hits.iter().map(hit).collect::<Vec<_>>() });
    if let Some(version) = &file.version {
        json["version"] = version.as_str().into();
    }
    json
}

impl From<host::FileHits> for FileHits {
    fn from(file: host::FileHits) -> Self {
        Self { path: file.path, version: file.version, hits: file.hits.into_iter().map(Hit::from).collect() }
    }
}

impl From<host::Hit> for Hit {
    fn from(hit: host::Hit) -> Self {
        let lines = |lines: Vec<host::Line>| {
            lines.into_iter().map(|line| ContextLine { line: line.number, text: line.text }).collect()
        };
        Self {
            line: hit.line.number,
            text: hit.line.text,
            text_column: hit.line.column,
            cut: hit.line.cut,
            spans: hit.spans.into_iter().map(Span::from).collect(),
            before: lines(hit.before),
            after: lines(hit.after),
        }
    }
}

impl From<host::Span> for Span {
    fn from(span: host::Span) -> Self {
        Self { column: span.column, length: span.length }
    }
}

impl From<host::Findings> for Findings {
    fn from(findings: host::Findings) -> Self {
        let file = |file: host::FoundFile| FoundFile {
            path: file.path,
            score: file.score,
            spans: file.spans.into_iter().map(Span::from).collect(),
        };
        let files = findings.files.into_iter().map(file).collect();
        Self { files, fitting: findings.fitting, known: findings.known }
    }
}

impl From<Limit> for SearchLimit {
    fn from(limit: Limit) -> Self {
        match limit {
            Limit::Results => Self::MaxResults,
            Limit::Bytes => Self::MaxBytes,
            Limit::Time => Self::Timeout,
            Limit::Cancelled => Self::Cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(count: usize) -> Vec<Hit> {
        let hit = |line| Hit {
            line: line as u64,
            text: "x".repeat(1000),
            text_column: 1,
            cut: false,
            spans: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
        };
        (0..count).map(hit).collect()
    }

    fn file(path: &str, count: usize) -> FileHits {
        FileHits { path: path.into(), version: None, hits: hits(count) }
    }

    #[test]
    fn an_answer_takes_what_fits_and_a_file_in_parts_is_one() {
        let mut answer = Answer::default();
        assert!(answer.gather(vec![file("a", 2), file("b", 1)]));
        assert!(answer.gather(vec![file("b", 1)]));
        assert_eq!(answer.files.iter().map(|file| file.hits.len()).collect::<Vec<_>>(), [2, 2]);
        assert!(!answer.gather(vec![file("c", 1000)]));
        let told: usize = answer.files.iter().map(|file| file.hits.len()).sum();
        assert!((400..500).contains(&told), "{told}");
    }
}
