//! What is searched for and where, and what is made of it: a matcher, a searcher, a choice of files.

use std::time::Duration;

use grep_matcher::LineTerminator;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder};
use ignore::overrides::{Override, OverrideBuilder};
use midplane_model::limits::{
    SEARCH_BYTES_MAX, SEARCH_CONTEXT_LINES_MAX, SEARCH_GLOBS_MAX, SEARCH_LINE_BUFFER_BYTES_MAX, SEARCH_QUERY_BYTES_MAX,
    SEARCH_REGEX_BYTES_MAX, SEARCH_RESULTS_MAX,
};

use super::{SearchError, walk::Choice};
use crate::files::RelativePath;

/// Whether letters are told from each other by their case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Case {
    /// Only if the query has a capital letter.
    #[default]
    Smart,
    Sensitive,
    Insensitive,
}

/// A search.
#[derive(Debug, Clone)]
pub struct Query {
    /// Within one line. At most `SEARCH_QUERY_BYTES_MAX`.
    pub text: String,
    /// `text` is a regular expression (of the crate `regex`: time linear in the input).
    pub regex: bool,
    pub case: Case,
    /// Only whole words.
    pub word: bool,
    /// Globs as in `.gitignore`, from the root on; without any, every file. What they name is searched though it is ignored.
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    /// A directory, or the one file to search.
    pub path: RelativePath,
    /// Also names that begin with a dot.
    pub hidden: bool,
    /// Also what rules ignore.
    pub ignored: bool,
    /// Lines shown around each hit. At most `SEARCH_CONTEXT_LINES_MAX`.
    pub context_lines: usize,
    /// Lines that are told. 1 to `SEARCH_RESULTS_MAX`.
    pub results_max: usize,
    /// Text that is told. At most `SEARCH_BYTES_MAX`.
    pub bytes_max: usize,
    pub time_max: Duration,
    /// What a line would be with this in place of each match; of an expression `$1` and `${name}` are its groups.
    pub replacement: Option<String>,
}

impl Query {
    /// The query for a text anywhere, with the largest limits and this much time.
    #[must_use]
    pub fn new(text: &str, time_max: Duration) -> Self {
        Self {
            text: text.to_owned(),
            regex: false,
            case: Case::default(),
            word: false,
            include: Vec::new(),
            exclude: Vec::new(),
            path: RelativePath::root(),
            hidden: false,
            ignored: false,
            context_lines: 0,
            results_max: SEARCH_RESULTS_MAX,
            bytes_max: SEARCH_BYTES_MAX,
            time_max,
            replacement: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), SearchError> {
        let query = |reason: String| Err(SearchError::Query { reason });
        if self.text.is_empty() {
            return query("must not be empty".into());
        }
        if self.text.len() > SEARCH_QUERY_BYTES_MAX {
            return query(format!("at most {SEARCH_QUERY_BYTES_MAX} bytes, got {}", self.text.len()));
        }
        for (parameter, got, max) in [
            ("include", self.include.len(), SEARCH_GLOBS_MAX),
            ("exclude", self.exclude.len(), SEARCH_GLOBS_MAX),
            ("context", self.context_lines, SEARCH_CONTEXT_LINES_MAX),
            ("max_results", self.results_max, SEARCH_RESULTS_MAX),
        ] {
            if got > max {
                return Err(SearchError::Parameter { parameter, reason: format!("at most {max}, got {got}") });
            }
        }
        Ok(())
    }

    pub(super) fn matcher(&self) -> Result<RegexMatcher, SearchError> {
        let mut builder = RegexMatcherBuilder::new();
        builder
            .fixed_strings(!self.regex)
            .case_smart(self.case == Case::Smart)
            .case_insensitive(self.case == Case::Insensitive)
            .word(self.word)
            .multi_line(true)
            .line_terminator(Some(b'\n'))
            .crlf(true)
            .size_limit(SEARCH_REGEX_BYTES_MAX)
            .dfa_size_limit(SEARCH_REGEX_BYTES_MAX);
        builder.build(&self.text).map_err(|error| SearchError::Query { reason: error.to_string() })
    }

    pub(super) fn searcher(&self) -> Searcher {
        SearcherBuilder::new()
            .line_number(true)
            .line_terminator(LineTerminator::crlf())
            .before_context(self.context_lines)
            .after_context(self.context_lines)
            .binary_detection(BinaryDetection::quit(0))
            // A line without end is not held in memory.
            .heap_limit(Some(SEARCH_LINE_BUFFER_BYTES_MAX))
            .build()
    }

    pub(super) fn choice(&self) -> Result<Choice, SearchError> {
        Ok(Choice { overrides: self.overrides()?, hidden: self.hidden, ignored: self.ignored })
    }

    fn overrides(&self) -> Result<Override, SearchError> {
        let mut builder = OverrideBuilder::new("");
        for (parameter, mark, globs) in [("include", "", &self.include), ("exclude", "!", &self.exclude)] {
            for glob in globs {
                let invalid = |reason: String| SearchError::Glob { parameter, glob: glob.clone(), reason };
                // It would mean the opposite.
                if glob.starts_with('!') {
                    return Err(invalid(format!("leave the ! out and use {}", other(parameter))));
                }
                builder.add(&format!("{mark}{glob}")).map_err(|error| invalid(error.to_string()))?;
            }
        }
        builder.build().map_err(|error| SearchError::Parameter { parameter: "include", reason: error.to_string() })
    }
}

fn other(parameter: &str) -> &'static str {
    if parameter == "include" { "exclude" } else { "include" }
}
