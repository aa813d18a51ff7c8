//! Editing a file by what it says: each old text is looked for, counted and replaced.
//!
//! An edit reads and writes within one turn, so edits of different places of one file need no version to keep apart: each
//! finds what the one before it left.

use std::sync::Arc;

use midplane_model::limits::{EDITS_MAX, FILE_HASH_BYTES_MAX};

use super::{
    Root,
    diff::unified,
    error::{FilesError, shown},
    path::RelativePath,
    version::Version,
    walk::Last,
    write::{Create, Job, Present, WriteMode, WriteOptions, Written, write},
};

/// A foreign writer may come between reading and writing; this often the edit begins anew.
const ATTEMPTS_MAX: u32 = 8;

/// One text in place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Not empty.
    pub old: String,
    pub new: String,
    /// How often `old` must be there; all of them are replaced. At least 1.
    pub count: u32,
}

/// How to edit.
#[derive(Debug, Clone, Default)]
pub struct EditOptions {
    /// Edit only if the file still has this version.
    pub if_version: Option<Version>,
    /// Return only when the content would survive a power cut.
    pub durable: bool,
    /// Change nothing; say what would change.
    pub dry_run: bool,
    /// The request that asks for it: comes back with the watcher's change.
    pub origin: Option<Arc<str>>,
}

/// What an edit did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    pub written: Written,
    /// Places where text was replaced.
    pub replaced: usize,
    /// Of a dry run: what would change, as a unified diff.
    pub diff: Option<String>,
}

impl Root {
    /// Edits a file of UTF-8 text, through a link what it leads to; one replacement after the other, each in what the one before
    /// it left. All of them or none.
    ///
    /// # Errors
    /// `conflict` when an old text is not there as often as it must be, with the place in the list and the count that was
    /// found, and for what is no text; `precondition_failed` when `if_version` is not the present version; `invalid_params` for
    /// an empty list or an empty old text; `too_large` beyond `FILE_HASH_BYTES_MAX`; else as [`Root::write`].
    pub async fn edit(
        &self,
        path: &RelativePath,
        edits: Vec<Replacement>,
        options: EditOptions,
    ) -> Result<Edited, FilesError> {
        check(&edits)?;
        let place = self.place("edit", path, Last::Follow).await?;
        let turn = self.inner.turns.wait(vec![place.path.clone()]).await;
        self.run(move |root| {
            let _turn = turn;
            let mut attempt = 1;
            loop {
                match edit(root, &place, &edits, &options) {
                    // Without a version of the caller's, only the file that was just read can be stale.
                    Err(FilesError::Stale { current: Some(_), .. })
                        if options.if_version.is_none() && attempt < ATTEMPTS_MAX =>
                    {
                        attempt += 1;
                    }
                    done => return done,
                }
            }
        })
        .await
    }
}

fn edit(
    root: &Root,
    place: &super::walk::Place,
    edits: &[Replacement],
    options: &EditOptions,
) -> Result<Edited, FilesError> {
    let path = &place.path;
    let read =
        WriteOptions { create: Create::Never, if_version: options.if_version.clone(), ..WriteOptions::default() };
    let look = Job { place, bytes: &[], options: &read, root };
    let Some(Present { file, facts }) = look.present()? else { return Err(look.absent()) };
    let (version, content) =
        Version::of_file(&file, &facts).map_err(|error| FilesError::from_io("read", path, error))?;
    look.may_replace(&version)?;
    let content =
        content.ok_or_else(|| FilesError::TooLarge { path: shown(path), limit_bytes: FILE_HASH_BYTES_MAX })?;
    let (new, replaced) = replaced(path, &content, edits, &version)?;
    if options.dry_run {
        let unchanged = new == content;
        let version = Version::of_bytes(&new).unwrap_or(version);
        let size = new.len() as u64;
        let written = Written { version, size, created: false, unchanged, write_mode: WriteMode::Atomic };
        let diff = Some(unified(path, Some(&content), Some(&new)));
        return Ok(Edited { written, replaced, diff });
    }
    let options = WriteOptions {
        if_version: Some(version),
        create: Create::Never,
        durable: options.durable,
        origin: options.origin.clone(),
        ..WriteOptions::default()
    };
    let written = write(&Job { place, bytes: &new, options: &options, root })?;
    Ok(Edited { written, replaced, diff: None })
}

/// What is wrong with the list itself.
pub(super) fn check(edits: &[Replacement]) -> Result<(), FilesError> {
    let wrong = |at: String, problem| Err(FilesError::InvalidParameter { at: at.into(), problem });
    if edits.is_empty() || edits.len() > EDITS_MAX {
        return wrong("edits".to_owned(), "has no edit, or too many");
    }
    for (index, edit) in edits.iter().enumerate() {
        if edit.old.is_empty() {
            return wrong(
                format!("edits[{index}].old_text"),
                "is empty, which is everywhere; give the text around the place",
            );
        }
        if edit.count == 0 {
            return wrong(format!("edits[{index}].expect_count"), "must be at least 1");
        }
    }
    Ok(())
}

/// The content after all edits, and how many places changed.
pub(super) fn replaced(
    path: &RelativePath,
    content: &[u8],
    edits: &[Replacement],
    version: &Version,
) -> Result<(Vec<u8>, usize), FilesError> {
    let text = std::str::from_utf8(content)
        .map_err(|_| FilesError::WrongType { path: shown(path), problem: "is no UTF-8 text and cannot be edited" })?;
    let (mut text, mut places) = (text.to_owned(), 0);
    for (index, edit) in edits.iter().enumerate() {
        let found = text.matches(&edit.old).count();
        if found != edit.count as usize {
            let (path, current) = (shown(path), version.clone());
            return Err(FilesError::Mismatch { path, edit: index, expected: edit.count, found, current });
        }
        text = text.replace(&edit.old, &edit.new);
        places += found;
        if text.len() as u64 > FILE_HASH_BYTES_MAX {
            return Err(FilesError::TooLarge { path: shown(path), limit_bytes: FILE_HASH_BYTES_MAX });
        }
    }
    Ok((text.into_bytes(), places))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(content: &str, edits: &[(&str, &str, u32)]) -> Result<(String, usize), FilesError> {
        let path = RelativePath::parse("a").expect("path");
        let edits: Vec<_> = edits
            .iter()
            .map(|(old, new, count)| Replacement { old: (*old).into(), new: (*new).into(), count: *count })
            .collect();
        check(&edits)?;
        let (bytes, places) = replaced(&path, content.as_bytes(), &edits, &Version::new("v"))?;
        Ok((String::from_utf8(bytes).expect("UTF-8"), places))
    }

    #[test]
    fn each_edit_finds_what_the_one_before_it_left() {
        assert_eq!(apply("a b", &[("a", "b", 1), ("b", "c", 2)]).expect("edit"), ("c c".to_owned(), 3));
        assert_eq!(apply("aaa", &[("aa", "b", 1)]).expect("edit").0, "ba", "places do not overlap");
    }

    #[test]
    fn a_text_that_is_not_there_as_often_as_expected_changes_nothing_and_is_named() {
        for (content, edits, place, count) in [
            ("a", &[("x", "y", 1)][..], 0, 0),
            ("a a", &[("a", "b", 1)], 0, 2),
            ("a b", &[("a", "c", 1), ("b", "d", 2)], 1, 1),
        ] {
            match apply(content, edits) {
                Err(FilesError::Mismatch { edit, found, .. }) => assert_eq!((edit, found), (place, count)),
                other => panic!("{other:?}"),
            }
        }
        for edits in [&[][..], &[("", "x", 1)], &[("a", "x", 0)]] {
            assert!(matches!(apply("a", edits), Err(FilesError::InvalidParameter { .. })), "{edits:?}");
        }
    }
}
