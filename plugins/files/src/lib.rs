//! The plugin `files`: what clients may ask of the served directory, on top of the host's jailed files.
//!
//! The host knows bytes, paths and versions; here are the defaults, text and base64, ranges, and what a file is to a
//! client. Calls come from the host's registry, bytes from `midplane:host/files`; what the watcher tells goes out as the
//! event `files.changed`. Keeps nothing in memory between calls.

mod archives;
mod category;
mod changes;
mod encoding;
mod entry;
mod media;
mod replace;
mod search;
mod sets;
mod uploads;

use encoding::Span;
use exports::midplane::{
    files::files::{
        Change, Content, CreateMode, Deleted, Done, Edited, Emptied, Encoding, Entry, Error, Findings, Guest as Files,
        LetterCase, Outcome, Page, Range, Replaced, Replacement, SearchResult, Sent, Trashed, WriteMode, Written,
    },
    host::{
        lifecycle::{Ending, Guest as Lifecycle, Occasion},
        subscriber::{Event, Guest as Subscriber},
    },
};
use midplane_sdk::host::{content, events, files as disk, search as text, watch};

midplane_sdk::generate!({ path: ["../../wit/host", "../../wit/files", "wit"], world: "midplane:files-plugin/plugin" });

struct Plugin;

export!(Plugin);

/// Levels of a listing where the caller names none: the directory itself.
const LIST_DEPTH_DEFAULT: u32 = 1;
/// Deepest listing.
const LIST_DEPTH_MAX: u32 = 16;
/// Entries of a page where the caller names no limit.
const LIST_ENTRIES_DEFAULT: u32 = 1000;
/// Entries of the longest page.
const LIST_ENTRIES_MAX: u32 = 5000;

impl Lifecycle for Plugin {
    fn start(_: Occasion) -> Result<(), Error> {
        watch::start()
    }

    fn stop(_: Ending) {}

    fn health() -> Result<(), Error> {
        Ok(())
    }
}

impl Subscriber for Plugin {
    fn on_event(event: Event) -> Result<(), Error> {
        if event.topic != "midplane.files" {
            return Ok(());
        }
        let news = changes::news(&event.payload)?;
        if let Some(degraded) = news.degraded {
            events::publish("files.watch_degraded", &degraded)?;
        }
        for payload in news.changed {
            events::publish("files.changed", &payload)?;
        }
        Ok(())
    }
}

impl Files for Plugin {
    fn stat(path: String) -> Result<Entry, Error> {
        Ok(entry::looked_at(disk::describe(&path)?))
    }

    fn list(
        path: Option<String>,
        depth: Option<u32>,
        limit: Option<u32>,
        cursor: Option<String>,
        hidden: Option<bool>,
        ignored: Option<bool>,
    ) -> Result<Page, Error> {
        let depth = within("params.depth", depth.unwrap_or(LIST_DEPTH_DEFAULT), LIST_DEPTH_MAX)?;
        let limit = within("params.limit", limit.unwrap_or(LIST_ENTRIES_DEFAULT), LIST_ENTRIES_MAX)?;
        let path = path.as_deref().unwrap_or(".");
        let (hidden, ignored) = (hidden.unwrap_or(false), ignored.unwrap_or(false));
        let page = disk::list_described(path, &disk::ListOptions { depth, limit, cursor, hidden, ignored })?;
        let entries = page.entries.into_iter().map(entry::listed).collect();
        let unnameable = Some(page.unnameable).filter(|count| *count > 0);
        Ok(Page { entries, next_cursor: page.next_cursor, unnameable })
    }

    fn read(path: String, range: Option<Range>, encoding: Option<Encoding>) -> Result<Content, Error> {
        let span = Span::of(range.map(|range| (range.start, range.end)))?;
        let read = disk::read(&path, span.offset, span.length)?;
        let encoding = encoding.unwrap_or(Encoding::Utf8);
        let content = match encoding {
            Encoding::Utf8 => encoding::text(&path, read.bytes)?,
            Encoding::Base64 => encoding::base64(&read.bytes),
        };
        Ok(Content { path, content, encoding, version: read.version, size: read.size_bytes })
    }

    fn write(
        path: String,
        content: Option<String>,
        content_base64: Option<String>,
        if_version: Option<String>,
        create: Option<CreateMode>,
        create_dirs: Option<bool>,
        durable: Option<bool>,
    ) -> Result<Written, Error> {
        let bytes = encoding::content(content, content_base64)?;
        let options = sets::write_options(if_version, create, create_dirs, durable);
        let written = disk::write(&path, &bytes, &options)?;
        let write_mode = sets::write_mode(written.mode);
        let disk::Written { version, size_bytes: size, created, unchanged, .. } = written;
        Ok(Written { path, version, size, created, unchanged, write_mode })
    }

    fn edit(
        path: String,
        edits: Vec<Replacement>,
        if_version: Option<String>,
        durable: Option<bool>,
        dry_run: Option<bool>,
    ) -> Result<Edited, Error> {
        let options =
            disk::EditOptions { if_version, durable: durable.unwrap_or(false), dry_run: dry_run.unwrap_or(false) };
        let edited = disk::edit(&path, &sets::replacements(edits), &options)?;
        Ok(sets::edited(path, edited))
    }

    fn apply(changes: Vec<Change>, dry_run: Option<bool>) -> Result<Vec<Outcome>, Error> {
        let outcomes = disk::apply(&sets::changes(changes)?, dry_run.unwrap_or(false))?;
        Ok(outcomes.into_iter().map(sets::outcome).collect())
    }

    fn mkdir(path: String, parents: Option<bool>) -> Result<Done, Error> {
        disk::mkdir(&path, parents.unwrap_or(false))?;
        Ok(Done { path })
    }

    fn move_(from: String, to: String, overwrite: Option<bool>, if_version: Option<String>) -> Result<Done, Error> {
        let overwrite = overwrite.unwrap_or(false);
        match if_version {
            Some(version) => disk::move_version(&from, &to, &version, overwrite)?,
            None => disk::move_(&from, &to, overwrite)?,
        }
        Ok(Done { path: to })
    }

    fn delete(
        path: String,
        recursive: Option<bool>,
        trash: Option<bool>,
        if_version: Option<String>,
    ) -> Result<Deleted, Error> {
        let id = match (if_version, trash.unwrap_or(false)) {
            (Some(version), trash) => disk::delete_version(&path, &version, trash)?,
            (None, true) => Some(disk::trash(&path)?),
            (None, false) => {
                disk::delete(&path, recursive.unwrap_or(false))?;
                None
            }
        };
        Ok(Deleted { path, id })
    }

    fn copy(from: String, to: String, overwrite: Option<bool>) -> Result<Done, Error> {
        disk::copy(&from, &to, overwrite.unwrap_or(false))?;
        Ok(Done { path: to })
    }

    fn list_trash() -> Result<Vec<Trashed>, Error> {
        Ok(disk::list_trash()?.into_iter().map(entry::trashed).collect())
    }

    fn restore(id: String, to: Option<String>, overwrite: Option<bool>) -> Result<Done, Error> {
        let path = disk::restore(&id, to.as_deref(), overwrite.unwrap_or(false))?;
        Ok(Done { path })
    }

    fn empty_trash(id: Option<String>) -> Result<Emptied, Error> {
        let count = disk::empty_trash(id.as_deref())?;
        Ok(Emptied { count })
    }

    fn download(path: String, attachment: Option<bool>) -> Result<Sent, Error> {
        let media = media::of(&path);
        let content::Served { version, size_bytes: size } =
            content::serve(&path, &media.name, attachment.unwrap_or(!media.shown))?;
        Ok(Sent { path, version, size })
    }

    /// The host answers when the bytes have come; until then nothing is written.
    fn upload(
        path: String,
        if_version: Option<String>,
        create: Option<CreateMode>,
        create_dirs: Option<bool>,
        durable: Option<bool>,
    ) -> Result<Written, Error> {
        let options = sets::write_options(if_version, create, create_dirs, durable);
        content::receive(&path, &options)?;
        let (version, write_mode) = (String::new(), WriteMode::Atomic);
        Ok(Written { path, version, size: 0, created: false, unchanged: false, write_mode })
    }

    async fn search(
        query: String,
        regex: Option<bool>,
        case: Option<LetterCase>,
        word: Option<bool>,
        include: Option<Vec<String>>,
        exclude: Option<Vec<String>>,
        path: Option<String>,
        context: Option<u32>,
        hidden: Option<bool>,
        ignored: Option<bool>,
        max_results: Option<u32>,
        timeout_ms: Option<u64>,
    ) -> Result<SearchResult, Error> {
        let results_max = max_results.unwrap_or(search::RESULTS_DEFAULT);
        let asked = search::Asked { query, regex, case, word, include, exclude, path, hidden, ignored };
        let query = text::Query {
            context_lines: context.unwrap_or(0),
            results_max: within("params.max_results", results_max, search::RESULTS_MAX)?,
            timeout_ms: timeout_ms.unwrap_or(search::TIMEOUT_MS_DEFAULT),
            ..asked.into()
        };
        search::run(&query).await
    }

    async fn replace(
        query: String,
        replacement: String,
        regex: Option<bool>,
        case: Option<LetterCase>,
        word: Option<bool>,
        include: Option<Vec<String>>,
        exclude: Option<Vec<String>>,
        path: Option<String>,
        hidden: Option<bool>,
        ignored: Option<bool>,
        dry_run: Option<bool>,
    ) -> Result<Replaced, Error> {
        let asked = search::Asked { query, regex, case, word, include, exclude, path, hidden, ignored };
        let query = text::Query {
            results_max: search::RESULTS_MAX,
            timeout_ms: replace::TIMEOUT_MS,
            replacement: Some(replacement),
            ..asked.into()
        };
        replace::run(&query, dry_run.unwrap_or(false)).await
    }

    fn find(query: String, limit: Option<u32>) -> Result<Findings, Error> {
        let limit = limit.unwrap_or(search::FOUND_DEFAULT);
        text::find(&query, within("params.limit", limit, search::FOUND_MAX)?).map(Findings::from)
    }
}

/// A number from 1 to `max`, refused by the name of its parameter otherwise.
fn within(path: &str, value: u32, max: u32) -> Result<u32, Error> {
    if (1..=max).contains(&value) {
        return Ok(value);
    }
    Err(Error::invalid_params(path, format!("{path}: must be 1 to {max}, got {value}")))
}
