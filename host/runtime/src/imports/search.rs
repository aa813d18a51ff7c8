//! Searching, as far as `[grants] files` goes for reading. A search belongs to the call that began it.

use std::time::Duration;

use midplane_capabilities::{
    find::{self, FindQuery, Findings, FoundFile},
    search::{self as native, Case, FileHits, Hit, Limit, News, Query, Search, Summary},
};
use midplane_model::{ErrorCode, Fault, limits::SEARCH_ANSWER_TIME};
use wasmtime::component::{Accessor, HasSelf, Resource};

use super::files::Granted;
use crate::{
    bindings::{
        Error,
        imports::{search, search_async},
    },
    instance::Guest,
    manifest::Access,
};

/// What the resource of the guest stands for; empty while somebody waits for its news.
pub struct Searching(Option<Search>);

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Guest {
    fn start_search(&self, query: search::Query) -> Result<Search, Fault> {
        let Granted { root, path, .. } = self.granted(&query.path, Access::Read)?;
        let context = self.outgoing();
        let remaining = context.deadline.remaining().saturating_sub(SEARCH_ANSWER_TIME);
        let query = Query {
            text: query.text,
            regex: query.regex,
            case: match query.letter_case {
                search::LetterCase::Smart => Case::Smart,
                search::LetterCase::Sensitive => Case::Sensitive,
                search::LetterCase::Insensitive => Case::Insensitive,
            },
            word: query.word,
            include: query.include,
            exclude: query.exclude,
            path,
            hidden: query.hidden,
            ignored: query.ignored,
            context_lines: query.context_lines as usize,
            results_max: query.results_max as usize,
            replacement: query.replacement,
            ..Query::new("", Duration::from_millis(query.timeout_ms).min(remaining))
        };
        Ok(self.host.parts.searches.start(&root, query, &context.cancel))
    }

    fn take_search(&mut self, searching: &Resource<Searching>) -> wasmtime::Result<Result<Search, Fault>> {
        let taken = self.table().get_mut(searching)?.0.take();
        Ok(taken.ok_or_else(|| Fault::new(ErrorCode::Conflict, "the news of this search are waited for already")))
    }

    /// Gives it back, if the guest has not dropped it meanwhile.
    fn put_search(&mut self, searching: &Resource<Searching>, search: Search) {
        if let Ok(place) = self.table().get_mut(searching) {
            place.0 = Some(search);
        }
    }
}

impl search::Host for Guest {
    async fn start(&mut self, query: search::Query) -> Answer<Resource<Searching>> {
        match self.start_search(query) {
            Ok(search) => Ok(Ok(self.table().push(Searching(Some(search)))?)),
            Err(fault) => Ok(Err(fault.into())),
        }
    }

    async fn next(&mut self, searching: Resource<Searching>) -> Answer<search::News> {
        let mut taken = match self.take_search(&searching)? {
            Ok(taken) => taken,
            Err(fault) => return Ok(Err(fault.into())),
        };
        let next = taken.next().await;
        self.put_search(&searching, taken);
        Ok(next.map(news).map_err(|error| Fault::from(error).into()))
    }

    async fn find(&mut self, query: String, limit: u32) -> Answer<search::Findings> {
        let (scope, watcher) = (self.readable(), self.host.parts.watcher.clone());
        let cancel = self.outgoing().cancel;
        let find = async move {
            let query = FindQuery { text: query, results_max: limit as usize, scope: scope? };
            Ok(find::find(&watcher, query, cancel).await?)
        };
        Ok(self.in_time(find).await.map(findings).map_err(Error::from))
    }
}

impl search::HostSearching for Guest {
    async fn drop(&mut self, searching: Resource<Searching>) -> wasmtime::Result<()> {
        self.table().delete(searching)?;
        Ok(())
    }
}

impl search_async::Host for Guest {}

impl search_async::HostWithStore<Guest> for HasSelf<Guest> {
    async fn next(accessor: &Accessor<Guest>, searching: Resource<Searching>) -> Answer<search::News> {
        let mut taken = match accessor.with(|mut access| access.get().take_search(&searching))? {
            Ok(taken) => taken,
            Err(fault) => return Ok(Err(fault.into())),
        };
        let next = taken.next().await;
        accessor.with(|mut access| access.get().put_search(&searching, taken));
        Ok(next.map(news).map_err(|error| Fault::from(error).into()))
    }
}

fn news(news: News) -> search::News {
    match news {
        News::Found(files) => search::News::Found(files.into_iter().map(file_hits).collect()),
        News::Done(summary) => search::News::Done(done(summary)),
    }
}

fn file_hits(file: FileHits) -> search::FileHits {
    search::FileHits {
        path: file.path.as_str().to_owned(),
        version: file.version.map(|version| version.as_str().to_owned()),
        hits: file.hits.into_iter().map(hit).collect(),
    }
}

fn hit(hit: Hit) -> search::Hit {
    search::Hit {
        line: line(hit.line),
        spans: hit.spans.into_iter().map(span).collect(),
        before: hit.before.into_iter().map(line).collect(),
        after: hit.after.into_iter().map(line).collect(),
        replaced: hit.replaced,
    }
}

fn span(span: native::Span) -> search::Span {
    search::Span { column: span.column, length: span.length }
}

fn line(line: native::Line) -> search::Line {
    search::Line { number: line.number, text: line.text, column: line.column, cut: line.cut }
}

fn done(summary: Summary) -> search::Summary {
    search::Summary {
        limit: summary.limit.map(|limit| match limit {
            Limit::Results => search::Limit::Results,
            Limit::Bytes => search::Limit::Bytes,
            Limit::Time => search::Limit::Time,
            Limit::Cancelled => search::Limit::Cancelled,
        }),
        results: u32::try_from(summary.results).unwrap_or(u32::MAX),
        files: summary.files,
        binary: summary.binary,
        unreadable: summary.unreadable,
    }
}

fn findings(findings: Findings) -> search::Findings {
    let file = |file: FoundFile| search::FoundFile {
        path: file.path.as_str().to_owned(),
        score: file.score,
        spans: file.spans.into_iter().map(span).collect(),
    };
    let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
    search::Findings {
        files: findings.files.into_iter().map(file).collect(),
        fitting: count(findings.fitting),
        known: count(findings.known),
    }
}
