//! Which names and links of an archive are taken. Everything else makes the whole archive refused: an archive that needs it is no
//! honest one, and half of one is of no use.

use std::ffi::CString;

use midplane_model::limits::{COPY_DEPTH_MAX, PATH_BYTES_MAX};

use super::super::{error::FilesError, replace::is_ours};

/// The parts of a path below where the archive is unpacked; none for that place itself (`./`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name(Vec<CString>);

impl Name {
    /// # Errors
    /// [`FilesError::BadArchive`] for names that lead elsewhere, or cannot be there.
    pub fn parse(raw: &[u8]) -> Result<Self, FilesError> {
        let bad = |problem| Err(bad(raw, problem));
        if raw.len() > PATH_BYTES_MAX {
            return bad("has a name that is too long");
        }
        if raw.starts_with(b"/") {
            return bad("has an absolute name");
        }
        let mut parts = Vec::new();
        for part in raw.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return bad("has a name with \"..\""),
                // What a program for Windows has written; here it would be one odd name.
                part if part.contains(&b'\\') => return bad("has a name with a backslash"),
                part if std::str::from_utf8(part).is_ok_and(is_ours) => {
                    return bad("has a name that is the host's own");
                }
                part => match CString::new(part) {
                    Ok(part) => parts.push(part),
                    Err(_) => return bad("has a name with a NUL"),
                },
            }
        }
        if parts.len() > COPY_DEPTH_MAX {
            return bad("is too deep");
        }
        Ok(Self(parts))
    }

    pub fn parts(&self) -> &[CString] {
        &self.0
    }

    pub fn split_last(&self) -> Option<(&CString, &[CString])> {
        self.0.split_last()
    }

    /// Whether a link here may say this: a way that stays below where the archive is unpacked, wherever other links lead.
    pub fn may_point(&self, target: &[u8]) -> bool {
        if target.is_empty() || target.starts_with(b"/") || target.contains(&0) {
            return false;
        }
        let mut depth = self.0.len().saturating_sub(1);
        let mut below = false;
        for part in target.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                // Behind a name that may be a link itself nobody can say where `..` is.
                b".." if below => return false,
                b".." if depth == 0 => return false,
                b".." => depth -= 1,
                _ => below = true,
            }
        }
        true
    }
}

pub(super) fn bad(entry: &[u8], problem: &'static str) -> FilesError {
    let entry = String::from_utf8_lossy(&entry[..entry.len().min(256)]).escape_debug().to_string();
    FilesError::BadArchive { entry: entry.into(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_down_and_nowhere_else() {
        for (raw, parts) in [("a/b", 2), ("./a//b/", 2), (".", 0), ("", 0), ("a b\n\u{fc}", 1), ("...", 1)] {
            assert_eq!(Name::parse(raw.as_bytes()).map(|name| name.parts().len()).ok(), Some(parts), "{raw}");
        }
        assert!(Name::parse(b"\xff\xfe").is_ok());
        for raw in ["/a", "..", "a/../b", "../a", "a/..", "a\\b", "..\\a", "a\0b", ".midplane/staging", "x/.midplane"] {
            assert!(Name::parse(raw.as_bytes()).is_err(), "{raw}");
        }
        assert!(Name::parse(&[b'x'; PATH_BYTES_MAX + 1]).is_err());
        assert!(Name::parse("a/".repeat(COPY_DEPTH_MAX + 1).as_bytes()).is_err());
    }

    #[test]
    fn links_stay_below() {
        let may = |name: &str, target: &str| Name::parse(name.as_bytes()).is_ok_and(|n| n.may_point(target.as_bytes()));
        for (name, target) in [("a", "b"), ("a/b", "../c"), ("a/b/c", "../../d"), ("a", "./b/c"), ("a/b", "..")] {
            assert!(may(name, target), "{name} -> {target}");
        }
        for (name, target) in
            [("a", ".."), ("a/b", "../../c"), ("a", "/etc"), ("a", ""), ("a/b", "c/../../d"), ("a", "./..")]
        {
            assert!(!may(name, target), "{name} -> {target}");
        }
    }
}
