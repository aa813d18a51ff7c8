//! One file: what is found in it, within what may still be told.

use std::io::{self, Read, Seek as _};

use grep_matcher::{Captures as _, Matcher as _};
use grep_regex::RegexMatcher;
use grep_searcher::{Searcher, Sink, SinkContext, SinkContextKind, SinkFinish, SinkMatch};
use midplane_model::limits::SEARCH_SPANS_MAX;

use super::{
    FileHits, Hit, Line,
    line::{spans, trimmed},
    stop::Stop,
    walk::Candidate,
};
use crate::files::{Facts, Version};

/// Bytes that a line costs beside its text.
const LINE_BYTES: usize = 48;

/// What became of a file.
#[derive(Debug)]
pub(super) enum Scanned {
    Nothing,
    Found(FileHits, Room),
    Binary,
    Unreadable,
}

/// How much may be told, or how much was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub results: usize,
    pub bytes: usize,
}

/// What a line with its surroundings takes of the room.
pub(super) fn hit_bytes(hit: &Hit) -> usize {
    let around = hit.before.iter().chain(&hit.after).map(line_bytes).sum::<usize>();
    line_bytes(&hit.line) + size_of_val(&*hit.spans) + around + hit.replaced.as_ref().map_or(0, String::len)
}

fn line_bytes(line: &Line) -> usize {
    line.text.len() + LINE_BYTES
}

/// A worker's tools.
pub(super) struct Scanner {
    pub searcher: Searcher,
    pub matcher: RegexMatcher,
    pub stop: Stop,
    pub replacement: Option<Replacement>,
}

/// What takes the place of a match.
pub(super) struct Replacement {
    pub text: String,
    /// The text may name groups of the expression.
    pub groups: bool,
}

impl Replacement {
    fn of(&self, matcher: &RegexMatcher, line: &[u8]) -> String {
        let mut replaced = Vec::new();
        // The error of this matcher has no values.
        if let Ok(mut captures) = matcher.new_captures() {
            _ = matcher.replace_with_captures(line, &mut captures, &mut replaced, |captures, replaced| {
                if self.groups {
                    let group = |name: &str| matcher.capture_index(name);
                    captures.interpolate(group, line, self.text.as_bytes(), replaced);
                } else {
                    replaced.extend_from_slice(self.text.as_bytes());
                }
                true
            });
        }
        String::from_utf8_lossy(&replaced).into_owned()
    }
}

impl Scanner {
    /// Finds at most one line more than there is room for, which shows that there was more.
    pub fn scan(&mut self, candidate: &Candidate, room: Room) -> Scanned {
        let Ok((mut file, facts)) = candidate.open() else { return Scanned::Unreadable };
        let mut found = Found::new(&self.matcher, &self.stop, self.replacement.as_ref(), room);
        let searched = self.searcher.search_reader(&self.matcher, Stoppable(&file, &self.stop), &mut found);
        let Found { hits, binary, spent, .. } = found;
        match searched {
            Ok(()) if binary => Scanned::Binary,
            Ok(()) if hits.is_empty() => Scanned::Nothing,
            Ok(()) => {
                let version = version(&mut file, &facts);
                Scanned::Found(FileHits { path: candidate.path.clone(), version, hits }, spent)
            }
            // Stopped; whoever stopped it wants nothing more.
            Err(_) if self.stop.is_set() => Scanned::Nothing,
            Err(_) => Scanned::Unreadable,
        }
    }
}

/// None when the file has changed since it was opened: what was found may be of neither state.
fn version(file: &mut std::fs::File, before: &Facts) -> Option<Version> {
    file.rewind().ok()?;
    let (version, _) = Version::of_file(file, before).ok()?;
    let now = Facts::of(&*file).ok()?;
    (now == *before).then_some(version)
}

/// Reads until the search stops.
struct Stoppable<'a>(&'a std::fs::File, &'a Stop);

impl Read for Stoppable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.1.is_set() {
            return Err(io::Error::other("stopped"));
        }
        self.0.read(buffer)
    }
}

struct Found<'a> {
    matcher: &'a RegexMatcher,
    stop: &'a Stop,
    replacement: Option<&'a Replacement>,
    room: Room,
    spent: Room,
    hits: Vec<Hit>,
    /// Lines since the last hit, for the next one.
    before: Vec<Line>,
    binary: bool,
}

impl<'a> Found<'a> {
    fn new(matcher: &'a RegexMatcher, stop: &'a Stop, replacement: Option<&'a Replacement>, room: Room) -> Self {
        let spent = Room { results: 0, bytes: 0 };
        Self { matcher, stop, replacement, room, spent, hits: Vec::new(), before: Vec::new(), binary: false }
    }

    fn line(&mut self, number: Option<u64>, bytes: &[u8], around: usize) -> Line {
        let line = Line::of(number.unwrap_or_default(), bytes, around);
        self.spent.bytes += line_bytes(&line);
        line
    }
}

impl Sink for Found<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> Result<bool, io::Error> {
        let bytes = trimmed(found.bytes());
        let mut ranges = Vec::new();
        let matcher = self.matcher;
        _ = matcher.find_iter(bytes, |range| {
            ranges.push(range.start()..range.end());
            ranges.len() < SEARCH_SPANS_MAX
        });
        let around = ranges.first().map_or(0, |range: &std::ops::Range<usize>| range.start);
        let spans = spans(bytes, ranges.into_iter());
        self.spent.bytes += size_of_val(&*spans);
        let line = self.line(found.line_number(), bytes, around);
        let before = std::mem::take(&mut self.before);
        let replaced = self.replacement.map(|replacement| replacement.of(matcher, bytes));
        self.spent.bytes += replaced.as_ref().map_or(0, String::len);
        self.hits.push(Hit { line, spans, before, after: Vec::new(), replaced });
        self.spent.results += 1;
        Ok(self.spent.results <= self.room.results && self.spent.bytes <= self.room.bytes && !self.stop.is_set())
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> Result<bool, io::Error> {
        let line = self.line(context.line_number(), trimmed(context.bytes()), 0);
        match (context.kind(), self.hits.last_mut()) {
            (SinkContextKind::After, Some(hit)) => hit.after.push(line),
            _ => self.before.push(line),
        }
        Ok(true)
    }

    fn binary_data(&mut self, _: &Searcher, _: u64) -> Result<bool, io::Error> {
        self.binary = true;
        Ok(false)
    }

    fn finish(&mut self, _: &Searcher, finish: &SinkFinish) -> Result<(), io::Error> {
        self.binary |= finish.binary_byte_offset().is_some();
        Ok(())
    }
}
