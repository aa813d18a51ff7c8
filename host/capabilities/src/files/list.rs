//! Listing a directory, some levels deep, in pages that do not shift when the tree changes between them.

use std::os::fd::OwnedFd;

use midplane_model::limits::{LIST_DEPTH_MAX, LIST_ENTRIES_MAX, PATH_BYTES_MAX};
use rustix::{
    fs::{Dir, OFlags},
    io::Errno,
};

use super::{
    Root,
    accounts::Names,
    entry::{self, Entry},
    error::FilesError,
    facts::Facts,
    jail::Jail,
    naming::text_of,
    path::RelativePath,
    replace::is_ours,
    walk::Place,
};
use crate::ignores::{Rules, Verdict};

/// What becomes of entries that the rules of the tree (`.gitignore` and its like) ignore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// The rules are not read, and no entry says that it is ignored.
    Unasked,
    /// Listed, and said to be ignored.
    Told,
    /// Left out, but where the directory that is listed is itself ignored: whoever names it wants to see it.
    LeftOut,
}

/// What to list.
#[derive(Debug, Clone)]
pub struct ListOptions {
    /// Levels; 1 is the directory's own entries. At most `LIST_DEPTH_MAX`.
    pub depth: usize,
    /// Entries of a page. At most `LIST_ENTRIES_MAX`.
    pub limit: usize,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Also names that begin with a dot.
    pub hidden: bool,
    pub ignored: Ignored,
}

impl Default for ListOptions {
    fn default() -> Self {
        Self { depth: 1, limit: LIST_ENTRIES_MAX, cursor: None, hidden: false, ignored: Ignored::Unasked }
    }
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// In byte order of their names, each directory right before its content.
    pub entries: Vec<Entry>,
    /// Where the next page begins; none on the last page. Opaque.
    pub next_cursor: Option<String>,
    /// Entries of this page left out because their paths would be longer than `PATH_BYTES_MAX`, so that nobody could send them back.
    pub unnameable: usize,
}

pub(super) fn list(root: &Root, path: &RelativePath, options: &ListOptions) -> Result<Listing, FilesError> {
    let fail = |errno| FilesError::from_errno("list", path, errno);
    // The cursor is the path of the last entry: whatever comes and goes, "after this name" stays where it is.
    let after = options.cursor.as_deref().map(RelativePath::parse).transpose()?;
    let limit = options.limit.clamp(1, LIST_ENTRIES_MAX);
    let directory = root.jail.open_existing(path, OFlags::RDONLY | OFlags::DIRECTORY).map_err(fail)?;
    let (rules, ignored) = match options.ignored {
        Ignored::Unasked => (Rules::default(), false),
        _ => Rules::of(&root.jail, path, true),
    };
    let listing = Listing { entries: Vec::new(), next_cursor: None, unnameable: 0 };
    let names = root.inner.accounts.names();
    let mut page = Page { jail: &root.jail, names, after, limit, options, listing };
    let top = Level { directory, path: path.clone(), rules, ignored, left_out: ignored };
    page.fill(top, options.depth.clamp(1, LIST_DEPTH_MAX)).map_err(fail)?;
    Ok(page.listing)
}

struct Page<'a> {
    jail: &'a Jail,
    names: Names,
    after: Option<RelativePath>,
    limit: usize,
    options: &'a ListOptions,
    listing: Listing,
}

/// A directory that is listed.
struct Level {
    directory: OwnedFd,
    path: RelativePath,
    /// Of the directories above it.
    rules: Rules,
    /// Everything in it is.
    ignored: bool,
    /// It is listed though it is ignored, and so is what is below.
    left_out: bool,
}

impl Page<'_> {
    /// Adds the entries of one directory and what is below; false once the page is full.
    fn fill(&mut self, level: Level, depth: usize) -> Result<bool, Errno> {
        let Level { directory, path, rules, ignored, left_out } = level;
        let names = names(&directory)?;
        let rules = match self.options.ignored {
            Ignored::Unasked => rules,
            _ => rules.enter(&path, &directory, |name| names.binary_search_by(|entry| (**entry).cmp(name)).is_ok()),
        };
        let mut place = Place { parent: directory, name: String::new(), path: path.clone() };
        let hidden = self.options.hidden;
        for name in names.into_iter().filter(|name| hidden || !name.starts_with('.')) {
            let child = path.join(&name);
            let is_new = self.after.as_ref().is_none_or(|after| child > *after);
            let is_above_cursor = self.after.as_ref().is_some_and(|after| after.is_within(&child));
            if !is_new && !is_above_cursor {
                continue;
            }
            if child.as_str().len() > PATH_BYTES_MAX {
                self.listing.unnameable += usize::from(is_new);
                continue;
            }
            place.name = name;
            // It may have gone since the directory was read; then it is not listed.
            let Ok(facts) = Facts::at(&place.parent, &place.name) else { continue };
            let ignored = ignored || rules.verdict(&child, facts.is_dir()) == Verdict::Ignored;
            if ignored && !left_out && self.options.ignored == Ignored::LeftOut {
                continue;
            }
            if is_new && !self.add(&child, &place, &facts, ignored) {
                return Ok(false);
            }
            // A directory that cannot be opened is listed without its content.
            if depth > 1
                && facts.is_dir()
                && let Ok(directory) = place.open(OFlags::RDONLY | OFlags::DIRECTORY)
                && !self.fill(Level { directory, path: child, rules: rules.clone(), ignored, left_out }, depth - 1)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn add(&mut self, path: &RelativePath, place: &Place, facts: &Facts, ignored: bool) -> bool {
        if self.listing.entries.len() == self.limit {
            self.listing.next_cursor = self.listing.entries.last().map(|last| last.path.as_str().to_owned());
            return false;
        }
        let entry = entry::describe(self.jail, path, place, facts, &self.names);
        self.listing.entries.push(Entry { ignored, ..entry });
        true
    }
}

/// The names in a directory, sorted, without our temporary files.
pub(crate) fn names(directory: &OwnedFd) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        match &*text_of(entry?.file_name().to_bytes()) {
            "." | ".." => {}
            name if is_ours(name) => {}
            name => names.push(name.to_owned()),
        }
    }
    names.sort_unstable();
    Ok(names)
}
