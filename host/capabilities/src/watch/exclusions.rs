//! What is not watched: directories full of what no person edits, and what is the host's own.

use crate::files::{RelativePath, is_ours};

/// Names of directories that are seen but not entered, wherever they are in the tree.
#[derive(Debug, Clone)]
pub struct Exclusions {
    directories: Vec<String>,
    rules: bool,
}

impl Default for Exclusions {
    /// The insides of `.git`, `node_modules` and `target`, and of what the rules of the tree ignore.
    fn default() -> Self {
        Self::new([".git", "node_modules", "target"])
    }
}

impl Exclusions {
    #[must_use]
    pub fn new<'a>(directories: impl IntoIterator<Item = &'a str>) -> Self {
        Self { directories: directories.into_iter().map(str::to_owned).collect(), rules: true }
    }

    /// As by default, but the rules of the tree count for nothing.
    #[must_use]
    pub fn without_rules() -> Self {
        Self { rules: false, ..Self::default() }
    }

    pub(super) fn honour_rules(&self) -> bool {
        self.rules
    }

    /// Whether a directory is not entered.
    pub(super) fn is_closed(&self, directory: &RelativePath) -> bool {
        self.directories.iter().any(|name| name == directory.name())
    }

    /// Whether nobody hears of this path: it is the host's own or lies inside of a closed directory.
    pub(super) fn hides(&self, path: &RelativePath) -> bool {
        let mut above = path.segments();
        let name = above.next_back();
        name.is_some_and(is_ours)
            || above.any(|segment| is_ours(segment) || self.directories.iter().any(|name| name == segment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_directories_are_seen_and_their_insides_are_not() {
        let exclusions = Exclusions::default();
        // Not parsed: no client names what is the host's own.
        let path = |text: &str| text.split('/').fold(RelativePath::root(), |path, name| path.join(name));
        let hides = |text: &str| exclusions.hides(&path(text));
        for hidden in [".git/index", "a/node_modules/b/c", "target/debug", "a/.midplane-1-2.tmp", ".midplane/staging/1"]
        {
            assert!(hides(hidden), "{hidden}");
        }
        for seen in [".git", ".gitignore", "a/node_modules", "src/target", "targets/a", "a.tmp"] {
            assert!(!hides(seen), "{seen}");
        }
    }
}
