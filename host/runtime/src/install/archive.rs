//! A `.tar.gz` of a plugin folder. Nothing of it touches the disk before all of it has been looked at.

use std::{collections::BTreeMap, io::Read, path::Path};

use flate2::read::GzDecoder;
use midplane_model::limits::{PACKAGE_BYTES_MAX, PACKAGE_FILES_MAX};
use tar::{Archive, EntryType};

use super::{
    MANIFEST, SourceError,
    collected::{Collected, entry_path},
};

/// Bytes of a tar header or of padding per entry that are no content.
const ENTRY_OVERHEAD_BYTES: usize = 2048;

/// Reads an archive that holds the plugin's files at its top, or inside one folder.
pub fn read(path: &Path, compressed: impl Read) -> Result<BTreeMap<String, Vec<u8>>, SourceError> {
    let unpack = |cause| SourceError::Unpack { path: path.to_owned(), cause };
    // Also what is skipped has to end: a long tail of nothing, or a name of a gigabyte.
    let bound = (PACKAGE_BYTES_MAX + PACKAGE_FILES_MAX * ENTRY_OVERHEAD_BYTES) as u64;
    let mut archive = Archive::new(GzDecoder::new(compressed).take(bound));
    let mut collected = Collected::default();
    for entry in archive.entries().map_err(unpack)? {
        let entry = entry.map_err(unpack)?;
        let name = entry.path_bytes().into_owned();
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        if let Some(what) = unwanted(kind) {
            return Err(SourceError::Kind { entry: String::from_utf8_lossy(&name).into_owned(), what });
        }
        if let Some(path) = entry_path(&name)?.filter(|_| kind != EntryType::Directory) {
            collected.add(path, entry)?;
        }
    }
    Ok(without_top_folder(collected.files))
}

/// What an entry is that no plugin holds.
fn unwanted(kind: EntryType) -> Option<&'static str> {
    match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::Directory => None,
        EntryType::Symlink | EntryType::Link => Some("a link"),
        EntryType::Char | EntryType::Block => Some("a device"),
        EntryType::Fifo => Some("a pipe"),
        _ => Some("of a kind that this host does not unpack"),
    }
}

/// `spell/plugin.toml` and the rest beside it, without `spell/`.
fn without_top_folder(files: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let top = files.keys().next().and_then(|path| path.split_once('/')).map(|(top, _)| format!("{top}/"));
    match top {
        Some(top) if !files.contains_key(MANIFEST) && files.keys().all(|path| path.starts_with(&top)) => {
            files.into_iter().map(|(path, bytes)| (path[top.len()..].to_owned(), bytes)).collect()
        }
        _ => files,
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};
    use tar::{Builder, Header};

    use super::*;

    /// An archive of `(name, kind, content)`; the names go in as they are, also those that a sane archiver would refuse.
    fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, kind, content) in entries {
            let mut header = Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    fn read_it(entries: &[(&str, EntryType, &str)]) -> Result<Vec<String>, SourceError> {
        let bytes = archive(entries);
        read(Path::new("a.tar.gz"), &bytes[..]).map(|files| files.into_keys().collect())
    }

    #[test]
    fn files_come_from_the_top_or_from_one_folder() {
        let file = EntryType::Regular;
        let flat =
            read_it(&[("./plugin.toml", file, "x"), ("wit/", EntryType::Directory, ""), ("wit/a.wit", file, "")]);
        assert_eq!(flat.unwrap(), ["plugin.toml", "wit/a.wit"]);
        assert_eq!(
            read_it(&[("s/plugin.toml", file, "x"), ("s/s.wasm", file, "")]).unwrap(),
            ["plugin.toml", "s.wasm"]
        );
    }

    #[test]
    fn what_leads_out_or_is_no_file_is_refused_by_name() {
        for (name, kind, told) in [
            ("../../evil", EntryType::Regular, "leads out"),
            ("/etc/evil", EntryType::Regular, "leads out"),
            ("a/../../evil", EntryType::Directory, "leads out"),
            ("evil", EntryType::Symlink, "a link"),
            ("evil", EntryType::Link, "a link"),
            ("evil", EntryType::Char, "a device"),
            ("evil", EntryType::Block, "a device"),
            ("evil", EntryType::Fifo, "a pipe"),
            ("evil", EntryType::new(b'V'), "does not unpack"),
        ] {
            let error = read_it(&[("plugin.toml", EntryType::Regular, "x"), (name, kind, "")]).unwrap_err().to_string();
            assert!(error.contains(told) && error.contains("evil"), "{name}: {error}");
        }
    }

    #[test]
    fn a_bomb_ends_at_the_bound() {
        let mut header = Header::new_gnu();
        header.set_path("bomb").unwrap();
        header.set_size(PACKAGE_BYTES_MAX as u64 + 1);
        header.set_cksum();
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        builder.append(&header, std::io::repeat(0).take(PACKAGE_BYTES_MAX as u64 + 1)).unwrap();
        let bytes = builder.into_inner().unwrap().finish().unwrap();
        let error = read(Path::new("a.tar.gz"), &bytes[..]).unwrap_err();
        assert!(matches!(error, SourceError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn half_an_archive_is_no_archive() {
        let bytes = archive(&[("plugin.toml", EntryType::Regular, "0123456789")]);
        let error = read(Path::new("a.tar.gz"), &bytes[..bytes.len() / 2]).unwrap_err();
        assert!(matches!(error, SourceError::Unpack { .. } | SourceError::Read { .. }), "{error}");
    }
}
