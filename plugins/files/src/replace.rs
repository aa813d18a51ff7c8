//! Replacing what a search finds: new contents from the lines that the host has made, as one set of changes.

use std::collections::BTreeMap;

use midplane_sdk::host::{
    files as disk,
    search::{self as host, News, Query},
};

use crate::{
    exports::midplane::files::files::{Change, CreateMode, Error, Replaced, WriteChange},
    midplane::host::search_async,
    sets,
};

/// Time for finding what is to be replaced. The deadline of the call holds all the same.
pub const TIMEOUT_MS: u64 = 60_000;

/// A file's version, and its lines that are others, by number.
type Lines = (String, BTreeMap<u64, String>);

/// Replaces everywhere, or says what would be.
///
/// # Errors
/// `too_large` when the search does not come to its end; those of the search and of `apply`.
pub async fn run(query: &Query, dry_run: bool) -> Result<Replaced, Error> {
    let (files, mut skipped) = find(query).await?;
    let (mut changes, mut lines) = (Vec::new(), 0);
    for (path, (version, replaced)) in files {
        let read = disk::read(&path, 0, None)?;
        let content = if read.version == version { changed(read.bytes, &replaced) } else { None };
        match content {
            Some(content) => {
                lines += replaced.len();
                changes.push(Change::Write(WriteChange {
                    path,
                    content: Some(content),
                    content_base64: None,
                    if_version: Some(version),
                    create: Some(CreateMode::Never),
                    create_dirs: None,
                }));
            }
            None => skipped.push(path),
        }
    }
    let outcomes = disk::apply(&sets::changes(changes.clone())?, dry_run)?;
    Ok(Replaced {
        changes: if dry_run { changes } else { Vec::new() },
        outcomes: outcomes.into_iter().map(sets::outcome).collect(),
        lines: u32::try_from(lines).unwrap_or(u32::MAX),
        skipped,
    })
}

/// The lines to be replaced, and files that changed while they were searched.
async fn find(query: &Query) -> Result<(BTreeMap<String, Lines>, Vec<String>), Error> {
    let searching = host::start(query)?;
    let (mut files, mut skipped) = (BTreeMap::<String, Lines>::new(), Vec::new());
    loop {
        match search_async::next(&searching).await? {
            News::Found(found) => {
                for file in found {
                    let Some(version) = file.version else {
                        skipped.push(file.path);
                        continue;
                    };
                    let (_, lines) = files.entry(file.path).or_insert_with(|| (version, BTreeMap::new()));
                    lines.extend(file.hits.into_iter().filter_map(|hit| Some((hit.line.number, hit.replaced?))));
                }
            }
            News::Done(summary) if summary.limit.is_some() => {
                return Err(Error::new("too_large", "too much to replace at once; narrow it by include or path"));
            }
            News::Done(_) => return Ok((files, skipped)),
        }
    }
}

/// The content with these lines in place of its own; ends of lines stay. None for what is no UTF-8.
fn changed(bytes: Vec<u8>, replaced: &BTreeMap<u64, String>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    // A search does not see the mark.
    let (mark, text) = text.strip_prefix('\u{feff}').map_or(("", text.as_str()), |rest| ("\u{feff}", rest));
    let mut content = mark.to_owned();
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        match replaced.get(&number) {
            Some(replaced) => {
                let body = line.strip_suffix('\n').unwrap_or(line);
                let body = body.strip_suffix('\r').unwrap_or(body);
                content.push_str(replaced);
                content.push_str(&line[body.len()..]);
            }
            None => content.push_str(line),
        }
    }
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_replaced_and_their_ends_stay() {
        let replaced = BTreeMap::from([(1, "A".to_owned()), (3, "C".to_owned())]);
        let content = changed(b"\xef\xbb\xbfa\r\nb\nc".to_vec(), &replaced);
        assert_eq!(content.as_deref(), Some("\u{feff}A\r\nb\nC"));
        assert_eq!(changed(vec![0xff], &replaced), None);
    }
}
