//! Files on their way from a source into a package: each name checked, their number and size bounded.

use std::{collections::BTreeMap, io::Read};

use midplane_model::limits::{PACKAGE_BYTES_MAX, PACKAGE_FILES_MAX, PACKAGE_PATH_BYTES_MAX};

use super::SourceError;

/// Files by their path below the plugin's folder, `/`-separated.
#[derive(Default)]
pub struct Collected {
    pub files: BTreeMap<String, Vec<u8>>,
    bytes: usize,
}

impl Collected {
    /// Reads one file to its end.
    pub fn add(&mut self, path: String, content: impl Read) -> Result<(), SourceError> {
        if self.files.len() >= PACKAGE_FILES_MAX {
            return Err(SourceError::TooManyFiles);
        }
        if self.files.contains_key(&path) {
            return Err(SourceError::Twice(path));
        }
        let room = PACKAGE_BYTES_MAX - self.bytes;
        let mut bytes = Vec::new();
        let read = content.take(room as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|cause| SourceError::Read { path: path.clone(), cause })?;
        if bytes.len() > room {
            return Err(SourceError::TooLarge { entry: path });
        }
        self.bytes += bytes.len();
        self.files.insert(path, bytes);
        Ok(())
    }
}

/// The path of an entry, without `./`; none for the folder itself.
pub fn entry_path(name: &[u8]) -> Result<Option<String>, SourceError> {
    let shown = || String::from_utf8_lossy(name).into_owned();
    if name.len() > PACKAGE_PATH_BYTES_MAX {
        return Err(SourceError::LongName(shown()));
    }
    let text = std::str::from_utf8(name).map_err(|_| SourceError::Outside(shown()))?;
    // A backslash or a colon is a separator or a drive elsewhere: no honest plugin needs them in a name.
    if text.starts_with('/') || text.contains(['\0', '\\', ':']) {
        return Err(SourceError::Outside(shown()));
    }
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(SourceError::Outside(shown())),
            part => parts.push(part),
        }
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_the_folder() {
        for (name, path) in [("./", None), ("a", Some("a")), ("./wit//a.wit", Some("wit/a.wit")), ("a/", Some("a"))] {
            assert_eq!(entry_path(name.as_bytes()).unwrap().as_deref(), path, "{name}");
        }
        for bad in ["/etc/passwd", "..", "../a", "a/../../b", "a/..", "c:\\x", "a\\..\\b", "a\0b"] {
            let error = entry_path(bad.as_bytes()).unwrap_err();
            assert!(matches!(error, SourceError::Outside(_)), "{bad}: {error}");
        }
        assert!(entry_path(&[0xff]).is_err());
        assert!(matches!(entry_path(&[b'a'; PACKAGE_PATH_BYTES_MAX + 1]), Err(SourceError::LongName(_))));
    }

    #[test]
    fn a_name_comes_once_and_files_are_counted() {
        let mut collected = Collected::default();
        collected.add("a".into(), &b"1"[..]).unwrap();
        assert!(matches!(collected.add("a".into(), &b"2"[..]), Err(SourceError::Twice(_))));
        for index in 1..PACKAGE_FILES_MAX {
            collected.add(index.to_string(), &b""[..]).unwrap();
        }
        assert!(matches!(collected.add("b".into(), &b""[..]), Err(SourceError::TooManyFiles)));
    }

    #[test]
    fn a_file_without_end_is_cut_at_the_bound() {
        let error = Collected::default().add("endless".into(), std::io::repeat(0)).unwrap_err();
        assert!(matches!(error, SourceError::TooLarge { entry } if entry == "endless"));
    }
}
