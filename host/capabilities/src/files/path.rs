//! The one form in which files are named: relative to the root, `/`-separated, without a way out.

use std::{cmp::Ordering, fmt, sync::Arc};

use midplane_model::limits::PATH_BYTES_MAX;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{error::FilesError, naming::canonical, staging::OWN_FOLDER};

/// A normal workspace-relative path: segments joined by `/`, none of them empty, `.` or `..`; the root is `""`.
///
/// A name that is not UTF-8 is spelled as [`super::naming`] says, in one way only.
///
/// Being normal says nothing about links: the jail asks the kernel about those, at every use.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RelativePath(Arc<str>);

impl RelativePath {
    /// Parses what a client sent. `.` and `""` are the root; `..` may go up, but not beyond the root.
    ///
    /// # Errors
    /// [`FilesError::OutsideRoot`] for absolute and escaping paths and for NUL, [`FilesError::InvalidPath`] for empty
    /// segments and for more than `PATH_BYTES_MAX` bytes, [`FilesError::Reserved`] for the host's own folder.
    pub fn parse(text: &str) -> Result<Self, FilesError> {
        let path = Self::normal(text)?;
        if path.segments().next() == Some(OWN_FOLDER) {
            return Err(FilesError::Reserved { path: path.0 });
        }
        Ok(path)
    }

    fn normal(text: &str) -> Result<Self, FilesError> {
        let outside = || FilesError::OutsideRoot { path: text.replace('\0', "\\0").into() };
        if text.len() > PATH_BYTES_MAX {
            return Err(FilesError::InvalidPath { path: "…".into(), problem: "is too long" });
        }
        if text.starts_with('/') || text.contains('\0') {
            return Err(outside());
        }
        let text = &*canonical(text);
        let mut segments = Vec::new();
        for segment in text.split('/').filter(|_| !text.is_empty()) {
            match segment {
                "" => return Err(FilesError::InvalidPath { path: text.into(), problem: "has an empty segment" }),
                "." => {}
                ".." => drop(segments.pop().ok_or_else(outside)?),
                name => segments.push(name),
            }
        }
        Ok(Self(segments.join("/").into()))
    }

    /// The root itself.
    #[must_use]
    pub fn root() -> Self {
        Self("".into())
    }

    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The text; empty for the root.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names on the way down; none for the root.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// The last segment; empty for the root.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The directory that holds this; none for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        Some(Self(self.0.rsplit_once('/').map_or("", |(parent, _)| parent).into()))
    }

    /// This path with one more segment, which must be a plain name as directories hold them.
    #[must_use]
    pub(crate) fn join(&self, name: &str) -> Self {
        debug_assert!(!matches!(name, "" | "." | "..") && !name.contains('/'), "{name:?} is no name of an entry");
        if self.is_root() { Self(name.into()) } else { Self(format!("{}/{name}", self.0).into()) }
    }

    /// Whether this is `other` or lies below it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        match self.0.strip_prefix(&*other.0) {
            Some(rest) => other.is_root() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    /// This path with its beginning `from` replaced by `to`; none when it does not lie within `from`.
    pub(crate) fn rebase(&self, from: &Self, to: &Self) -> Option<Self> {
        if !self.is_within(from) {
            return None;
        }
        let rest = self.0[from.0.len()..].trim_start_matches('/');
        Some(if rest.is_empty() {
            to.clone()
        } else if to.is_root() {
            Self(rest.into())
        } else {
            Self(format!("{}/{rest}", to.0).into())
        })
    }

    /// The deepest directory that holds both.
    #[must_use]
    pub fn common_ancestor(&self, other: &Self) -> Self {
        let shared = self.segments().zip(other.segments()).take_while(|(mine, theirs)| mine == theirs);
        Self(shared.map(|(segment, _)| segment).collect::<Vec<_>>().join("/").into())
    }
}

/// Segment by segment, so that a directory comes right before what is in it (`a`, `a/b`, `a-b`).
impl Ord for RelativePath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.segments().cmp(other.segments())
    }
}

impl PartialOrd for RelativePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for RelativePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Only for what the host wrote itself: paths of its own folder are among them.
impl<'de> Deserialize<'de> for RelativePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::normal(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "." } else { &self.0 })
    }
}

impl fmt::Debug for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> RelativePath {
        RelativePath::parse(text).expect(text)
    }

    #[test]
    fn paths_become_normal() {
        for (text, normal) in
            [("", ""), (".", ""), ("./a", "a"), ("a/./b", "a/b"), ("a/../b", "b"), ("a/..", ""), ("…/ü", "…/ü")]
        {
            assert_eq!(parse(text).as_str(), normal, "{text}");
        }
    }

    #[test]
    fn ways_out_are_outside_the_root() {
        for text in ["/", "/etc/passwd", "..", "../a", "a/../..", "a/../../b", "./..", "a\0b"] {
            assert!(matches!(RelativePath::parse(text), Err(FilesError::OutsideRoot { .. })), "{text:?}");
        }
    }

    #[test]
    fn empty_segments_and_endless_paths_are_invalid() {
        for text in ["a//b", "a/", "./", &"x".repeat(PATH_BYTES_MAX + 1)] {
            assert!(matches!(RelativePath::parse(text), Err(FilesError::InvalidPath { .. })), "{text:?}");
        }
    }

    #[test]
    fn within_counts_whole_segments() {
        assert!(parse("a/b").is_within(&parse("a")));
        assert!(parse("a").is_within(&parse("a")) && parse("a").is_within(&RelativePath::root()));
        assert!(!parse("ab").is_within(&parse("a")) && !parse("a").is_within(&parse("a/b")));
        assert_eq!(parse("a/b/c").common_ancestor(&parse("a/bc")), parse("a"));
        assert_eq!(parse("a/b/c").rebase(&parse("a"), &parse("x/y")), Some(parse("x/y/b/c")));
    }

    proptest! {
        #[test]
        fn whatever_parses_is_normal_and_parses_to_itself(text in "[ab./\0-]{0,16}") {
            if let Ok(path) = RelativePath::parse(&text) {
                prop_assert!(path.segments().all(|s| !matches!(s, "" | "." | "..") && !s.contains('\0')));
                prop_assert!(!path.as_str().starts_with('/'));
                prop_assert_eq!(RelativePath::parse(path.as_str()).expect("normal"), path);
            }
        }

        #[test]
        fn order_puts_a_directory_right_before_its_content(a in "[ab-]{1,3}(/[ab-]{1,3}){0,2}", b in "[ab-]{1,3}(/[ab-]{1,3}){0,2}") {
            let (a, b) = (parse(&a), parse(&b));
            if b > a && !b.is_within(&a) {
                let last_inside = a.join("\u{10ffff}");
                prop_assert!(b > last_inside);
            }
        }
    }
}
