//! What `.gitignore`, `.ignore` and `.git/info/exclude` name, by the rules of git, from the root of the workspace on. What lies
//! above the root, or in the home of whoever started the host, decides nothing.
//!
//! `.gitignore` counts in directories that are no repository, too. It does not reach into a repository further below, and
//! `.ignore`, wherever it is, comes before it.

use std::{
    fs::File,
    io::Read as _,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use midplane_model::limits::IGNORE_FILE_BYTES_MAX;
use rustix::fs::{Mode, OFlags};

use crate::files::{Jail, RelativePath, regular};

/// The name of the file whose changes make rules anew.
pub(crate) const RULE_FILES: [&str; 2] = [".gitignore", ".ignore"];
const REPOSITORY: &str = ".git";

/// The rules that hold inside of one directory. Cheap to clone; directories without rules of their own share those above.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules(Option<Arc<Layer>>);

#[derive(Debug)]
struct Layer {
    /// Of `.ignore`.
    own: Gitignore,
    /// Of `.gitignore`.
    git: Gitignore,
    /// Of `.git/info/exclude`.
    exclude: Gitignore,
    /// A repository begins here.
    repository: bool,
    above: Rules,
}

/// What the rules say of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ignored,
    /// A rule takes it out of what others ignore.
    Kept,
    Unnamed,
}

impl Rules {
    /// The rules inside of `directory`, which is open and at `path`. `has` says which names are in it, as far as that is known.
    pub fn enter(&self, path: &RelativePath, directory: impl AsFd, has: impl Fn(&str) -> bool) -> Self {
        let directory = directory.as_fd();
        let [gitignore, ignore] = RULE_FILES;
        let repository = has(REPOSITORY) && is_there(directory, REPOSITORY);
        let rules = |name: &str| if has(name) { read(directory, &[name]) } else { None };
        let (own, git) = (rules(ignore), rules(gitignore));
        let exclude = if repository { read(directory, &[REPOSITORY, "info", "exclude"]) } else { None };
        if own.is_none() && git.is_none() && !repository {
            return self.clone();
        }
        let parse = |text: Option<String>| text.map_or_else(Gitignore::empty, |text| parse(path, &text));
        let layer =
            Layer { own: parse(own), git: parse(git), exclude: parse(exclude), repository, above: self.clone() };
        Self(Some(Arc::new(layer)))
    }

    /// The rules that come from the directories above `path`, as far as the jail reaches.
    pub fn above(jail: &Jail, path: &RelativePath) -> Self {
        Self::on_the_way(jail, path).0
    }

    /// As [`Rules::above`], and whether `path`, which is a directory or not, or one of the directories above it is ignored.
    pub fn of(jail: &Jail, path: &RelativePath, dir: bool) -> (Self, bool) {
        let (rules, inside) = Self::on_the_way(jail, path);
        let ignored = inside || rules.verdict(path, dir) == Verdict::Ignored;
        (rules, ignored)
    }

    fn on_the_way(jail: &Jail, path: &RelativePath) -> (Self, bool) {
        let mut ancestors: Vec<_> = std::iter::successors(path.parent(), RelativePath::parent).collect();
        ancestors.reverse();
        ancestors.iter().fold((Self::default(), false), |(rules, ignored), ancestor| {
            let ignored = ignored || rules.verdict(ancestor, true) == Verdict::Ignored;
            match jail.open_existing(ancestor, OFlags::RDONLY | OFlags::DIRECTORY) {
                Ok(directory) => (rules.enter(ancestor, directory, |_| true), ignored),
                Err(_) => (rules, ignored),
            }
        })
    }

    /// What is said of an entry of the directory itself, and of nothing deeper.
    pub fn verdict(&self, path: &RelativePath, dir: bool) -> Verdict {
        let (mut by_own, mut by_git, mut by_exclude) = (None, None, None);
        let mut inside = true;
        let mut next = self.0.as_deref();
        while let Some(layer) = next {
            let named = |rules: &Gitignore| named(rules, path, dir);
            by_own = by_own.or_else(|| named(&layer.own));
            if inside {
                by_git = by_git.or_else(|| named(&layer.git));
                by_exclude = by_exclude.or_else(|| named(&layer.exclude));
            }
            inside &= !layer.repository;
            next = layer.above.0.as_deref();
        }
        by_own.or(by_git).or(by_exclude).unwrap_or(Verdict::Unnamed)
    }
}

fn named(rules: &Gitignore, path: &RelativePath, dir: bool) -> Option<Verdict> {
    let named = rules.matched(path.as_str(), dir);
    if named.is_ignore() { Some(Verdict::Ignored) } else { named.is_whitelist().then_some(Verdict::Kept) }
}

/// A line that is no pattern is left out, as git does.
fn parse(directory: &RelativePath, text: &str) -> Gitignore {
    let mut builder = GitignoreBuilder::new(directory.as_str());
    for line in text.trim_start_matches('\u{feff}').lines() {
        _ = builder.add_line(None, line);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

fn is_there(directory: BorrowedFd<'_>, name: &str) -> bool {
    rustix::fs::accessat(directory, name, rustix::fs::Access::EXISTS, rustix::fs::AtFlags::empty()).is_ok()
}

/// A small regular file some names below a directory, without following a link.
fn read(directory: BorrowedFd<'_>, names: &[&str]) -> Option<String> {
    let (name, above) = names.split_last()?;
    let open = |directory: BorrowedFd<'_>, name: &str, flags: OFlags| {
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(directory, name, flags, Mode::empty()).ok()
    };
    let mut here: Option<OwnedFd> = None;
    for step in above {
        here = Some(open(here.as_ref().map_or(directory, AsFd::as_fd), step, OFlags::DIRECTORY)?);
    }
    let file = open(here.as_ref().map_or(directory, AsFd::as_fd), name, OFlags::NONBLOCK)?;
    let (file, _): (File, _) = regular(file).ok()?;
    let mut bytes = Vec::new();
    file.take(IGNORE_FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn rules(prepare: impl FnOnce(&Path), directory: &str) -> Rules {
        let dir = tempfile::tempdir().expect("temporary directory");
        prepare(dir.path());
        let jail = Jail::open(dir.path()).expect("jail");
        let inside = RelativePath::parse(directory).expect("path").join("any");
        Rules::above(&jail, &inside)
    }

    fn write(dir: &Path, path: &str, text: &str) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
        fs::write(path, text).expect("write");
    }

    fn verdict(rules: &Rules, path: &str) -> Verdict {
        let (path, dir) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
        rules.verdict(&RelativePath::parse(path).expect("path"), dir)
    }

    #[test]
    fn deeper_rules_come_before_those_above_and_anchors_hold_where_they_are() {
        let rules = rules(
            |dir| {
                write(dir, ".gitignore", "*.log\n/out\nbuild/\n");
                write(dir, "a/.gitignore", "!keep.log\n/only-here\n");
            },
            "a",
        );
        assert_eq!(verdict(&rules, "a/x.log"), Verdict::Ignored);
        assert_eq!(verdict(&rules, "a/keep.log"), Verdict::Kept);
        assert_eq!(verdict(&rules, "a/out"), Verdict::Unnamed);
        assert_eq!(verdict(&rules, "a/only-here"), Verdict::Ignored);
        assert_eq!(verdict(&rules, "a/build/"), Verdict::Ignored);
        assert_eq!(verdict(&rules, "a/build"), Verdict::Unnamed, "a file");
    }

    #[test]
    fn a_repository_inside_is_not_ruled_by_the_one_around_it_and_excludes_by_itself() {
        let rules = rules(
            |dir| {
                write(dir, ".gitignore", "*.log\n");
                write(dir, ".ignore", "*.tmp\n");
                write(dir, "inner/.git/info/exclude", "mine\n");
            },
            "inner",
        );
        assert_eq!(verdict(&rules, "inner/x.log"), Verdict::Unnamed);
        assert_eq!(verdict(&rules, "inner/x.tmp"), Verdict::Ignored);
        assert_eq!(verdict(&rules, "inner/mine"), Verdict::Ignored);
    }

    #[test]
    fn broken_lines_links_and_directories_in_place_of_rules_ignore_nothing() {
        let rules = rules(
            |dir| {
                write(dir, "a/.gitignore/x", "*\n");
                write(dir, "rules", "*\n");
                std::os::unix::fs::symlink("rules", dir.join(".ignore")).expect("link");
                write(dir, ".gitignore", "[\n*.o\n");
            },
            "a",
        );
        assert_eq!(verdict(&rules, "a/x"), Verdict::Unnamed);
        assert_eq!(verdict(&rules, "a/x.o"), Verdict::Ignored);
    }
}
