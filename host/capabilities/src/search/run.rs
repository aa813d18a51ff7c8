//! A search at work: its threads, and the one that tells what they find.

use std::{
    num::NonZero,
    sync::{
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use midplane_model::limits::{SEARCH_BATCH_BYTES, SEARCH_THREADS_MAX};
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    Counts, FileHits, Limit, News, Query, SearchError, Summary,
    order::{Line, Waiting},
    scan::{Replacement, Room, Scanned, Scanner, hit_bytes},
    stop::Stop,
    walk::{Candidate, Walk},
};
use crate::files::Root;

/// How long answers of a worker wait for more; what was found goes at once.
const ANSWER_HOLD: Duration = Duration::from_millis(2);
/// How long what was found waits for more, once something was told.
const BATCH_HOLD: Duration = Duration::from_millis(50);

/// A search that is to be done.
pub(super) struct Job {
    pub root: Root,
    pub query: Query,
    pub stop: Stop,
    pub news: mpsc::Sender<Result<News, SearchError>>,
}

/// Does the search on this thread and some more, and returns when all of them have ended.
pub(super) fn run(job: Job, host: &Handle, counts: &Counts) {
    let Job { root, query, stop, news } = job;
    let teller = Teller::new(&query, news, stop.clone(), host);
    match prepare(&root, &query, &stop) {
        Ok((line, scanners)) => search(&line, scanners, teller, &stop, counts),
        Err(error) => teller.fail(error),
    }
}

fn prepare(root: &Root, query: &Query, stop: &Stop) -> Result<(Line, Vec<Scanner>), SearchError> {
    query.check()?;
    let (matcher, choice) = (query.matcher()?, query.choice()?);
    let walk = Walk::new(root.jail(), &query.path, choice, stop.clone())?;
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(SEARCH_THREADS_MAX);
    let scanner = || Scanner {
        searcher: query.searcher(),
        matcher: matcher.clone(),
        stop: stop.clone(),
        replacement: query.replacement.clone().map(|text| Replacement { text, groups: query.regex }),
    };
    Ok((Line::new(walk), std::iter::repeat_with(scanner).take(threads).collect()))
}

fn search(line: &Line, scanners: Vec<Scanner>, mut teller: Teller<'_>, stop: &Stop, counts: &Counts) {
    // When full, the workers wait for the one who tells.
    let (answers, answered) = sync_channel(2 * SEARCH_THREADS_MAX);
    let (results, bytes) = (AtomicUsize::new(teller.room.results), AtomicUsize::new(teller.room.bytes));
    let mut workers = 0;
    std::thread::scope(|scope| {
        for mut scanner in scanners {
            let (answers, results, bytes) = (answers.clone(), &results, &bytes);
            let mut scan = move |candidate: &Candidate| {
                // Every file has an answer, lest what was found in later ones wait for it.
                if stop.is_set() {
                    return Scanned::Nothing;
                }
                let room = Room { results: results.load(Relaxed), bytes: bytes.load(Relaxed) };
                counts.files.fetch_add(1, Relaxed);
                scanner.scan(candidate, room)
            };
            let work = move || while answer(line.take(stop), &mut scan, &answers) {};
            match std::thread::Builder::new().name("search".into()).spawn_scoped(scope, work) {
                Ok(_) => workers += 1,
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "a search has a thread less"),
            }
        }
        drop(answers);
        let mut waiting = Waiting::default();
        // Ends when all workers have.
        while let Ok(answers) = answered.recv() {
            for scanned in waiting.add(answers, line) {
                teller.take(scanned);
            }
            results.store(teller.room.results, Relaxed);
            bytes.store(teller.room.bytes, Relaxed);
        }
    });
    match workers {
        0 => teller.fail(SearchError::Over),
        _ => teller.finish(line.unreadable()),
    }
}

/// A worker's share of the files; false when there is none, or nobody hears the answers.
fn answer(
    share: Vec<(u64, Candidate)>,
    mut scan: impl FnMut(&Candidate) -> Scanned,
    answers: &SyncSender<Vec<(u64, Scanned)>>,
) -> bool {
    if share.is_empty() {
        return false;
    }
    let (mut ready, mut sent) = (Vec::with_capacity(share.len()), Instant::now());
    for (number, candidate) in share {
        let scanned = scan(&candidate);
        let found = matches!(scanned, Scanned::Found(..));
        ready.push((number, scanned));
        if found || sent.elapsed() >= ANSWER_HOLD {
            if answers.send(std::mem::take(&mut ready)).is_err() {
                return false;
            }
            sent = Instant::now();
        }
    }
    ready.is_empty() || answers.send(ready).is_ok()
}

/// Tells what was found, in batches, as long as there is room.
struct Teller<'a> {
    news: mpsc::Sender<Result<News, SearchError>>,
    stop: Stop,
    host: &'a Handle,
    /// What may still be told.
    room: Room,
    batch: Vec<FileHits>,
    batch_bytes: usize,
    told: Option<Instant>,
    summary: Summary,
}

impl<'a> Teller<'a> {
    fn new(query: &Query, news: mpsc::Sender<Result<News, SearchError>>, stop: Stop, host: &'a Handle) -> Self {
        let room = Room { results: query.results_max, bytes: query.bytes_max };
        Self { news, stop, host, room, batch: Vec::new(), batch_bytes: 0, told: None, summary: Summary::default() }
    }

    fn take(&mut self, scanned: Scanned) {
        self.summary.files += 1;
        match scanned {
            Scanned::Nothing => {}
            Scanned::Binary => self.summary.binary += 1,
            Scanned::Unreadable => self.summary.unreadable += 1,
            Scanned::Found(file, _) if self.summary.limit.is_none() => self.found(file),
            Scanned::Found(..) => {}
        }
        if !self.batch.is_empty() && self.told.is_none_or(|told| told.elapsed() >= BATCH_HOLD) {
            self.tell();
        }
    }

    /// The worker knew of more room than there is by now, since files before this one have taken of it.
    fn found(&mut self, mut file: FileHits) {
        if file.hits.len() > self.room.results {
            file.hits.truncate(self.room.results);
            self.enough(Limit::Results);
        }
        let mut bytes: usize = file.hits.iter().map(hit_bytes).sum();
        while bytes > self.room.bytes
            && let Some(hit) = file.hits.pop()
        {
            bytes -= hit_bytes(&hit);
            self.enough(Limit::Bytes);
        }
        self.room.results -= file.hits.len();
        self.room.bytes -= bytes;
        self.summary.results += file.hits.len();
        self.add(file);
    }

    /// A file with many lines goes into several batches.
    fn add(&mut self, file: FileHits) {
        let FileHits { path, version, hits } = file;
        let part = |hits| FileHits { path: path.clone(), version: version.clone(), hits };
        let mut part_hits = Vec::new();
        for hit in hits {
            self.batch_bytes += hit_bytes(&hit);
            part_hits.push(hit);
            if self.batch_bytes >= SEARCH_BATCH_BYTES {
                self.batch.push(part(std::mem::take(&mut part_hits)));
                self.tell();
            }
        }
        if !part_hits.is_empty() {
            self.batch.push(part(part_hits));
        }
    }

    fn enough(&mut self, limit: Limit) {
        self.summary.limit.get_or_insert(limit);
        self.stop.enough();
    }

    fn tell(&mut self) {
        self.batch_bytes = 0;
        self.told = Some(Instant::now());
        let batch = std::mem::take(&mut self.batch);
        self.send(Ok(News::Found(batch)));
    }

    fn fail(self, error: SearchError) {
        self.send(Err(error));
    }

    /// Waits for the reader, as long as there is one.
    fn send(&self, news: Result<News, SearchError>) {
        let sent = self.host.block_on(async {
            tokio::select! {
                biased;
                sent = self.news.send(news) => sent.is_ok(),
                () = self.stop.cancelled() => false,
            }
        });
        if !sent {
            self.stop.cancel();
        }
    }

    fn finish(mut self, unreadable: u64) {
        if !self.batch.is_empty() {
            self.tell();
        }
        self.summary.unreadable += unreadable;
        self.summary.limit = self.summary.limit.or_else(|| self.stop.limit());
        self.send(Ok(News::Done(self.summary)));
    }
}
