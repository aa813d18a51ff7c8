//! What kind of source it is, by what it begins with.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use bytes::Bytes;

use super::{MANIFEST, SourceError, WIT_FOLDER, archive, bare, collected::Collected, folder};
use crate::{manifest::Manifest, package::Files};

const GZIP: &[u8] = b"\x1f\x8b";
const WASM: &[u8] = b"\0asm";

/// A plugin's files in memory: manifest, component, WIT.
pub struct PluginFiles {
    pub manifest: Manifest,
    /// By path below the plugin's folder.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Reads a source; blocks on the disk. Of archives and folders only what makes a plugin is kept.
///
/// # Errors
/// What is wrong with it, by name.
pub fn read(source: &Path) -> Result<PluginFiles, SourceError> {
    if let Some(text) = source.to_str().filter(|text| text.starts_with("oci://") || text.starts_with("docker://")) {
        return Err(SourceError::Registry(text.to_owned()));
    }
    let shown = || source.display().to_string();
    let facts = match fs::metadata(source) {
        Ok(facts) => facts,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(SourceError::Missing(source.to_owned())),
        Err(cause) => return Err(SourceError::Read { path: shown(), cause }),
    };
    let files = if facts.is_dir() {
        folder::read(source)?
    } else if facts.is_file() {
        let fail = |cause| SourceError::Read { path: shown(), cause };
        let mut file = File::open(source).map_err(fail)?;
        let mut magic = Vec::new();
        file.by_ref().take(4).read_to_end(&mut magic).map_err(fail)?;
        let whole = magic.as_slice().chain(file);
        if magic.starts_with(GZIP) {
            archive::read(source, whole)?
        } else if magic.starts_with(WASM) {
            let mut collected = Collected::default();
            collected.add(String::new(), whole)?;
            bare::files(source, collected.files.remove("").unwrap_or_default())?
        } else {
            return Err(SourceError::Unknown(source.to_owned()));
        }
    } else {
        return Err(SourceError::Unknown(source.to_owned()));
    };
    PluginFiles::new(files)
}

impl PluginFiles {
    fn new(mut files: BTreeMap<String, Vec<u8>>) -> Result<Self, SourceError> {
        let text = files.get(MANIFEST).ok_or_else(|| SourceError::Absent(MANIFEST.to_owned()))?;
        let manifest = Manifest::parse(&String::from_utf8_lossy(text))?;
        if !files.contains_key(&manifest.component) {
            return Err(SourceError::Absent(manifest.component));
        }
        files.retain(|path, _| path == MANIFEST || *path == manifest.component || wit_name(path).is_some());
        Ok(Self { manifest, files })
    }

    /// As a package is made of them.
    pub fn package(&self) -> Files {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let wit = self.files.iter().filter_map(|(path, bytes)| Some((wit_name(path)?.to_owned(), text(bytes))));
        Files {
            manifest: self.files.get(MANIFEST).map(|bytes| text(bytes)).unwrap_or_default(),
            wasm: self.files.get(&self.manifest.component).cloned().map(Bytes::from).unwrap_or_default().into(),
            wit: wit.collect(),
        }
    }
}

/// The name of a WIT file below the WIT folder.
fn wit_name(path: &str) -> Option<&str> {
    path.strip_prefix(WIT_FOLDER)?.strip_prefix('/').filter(|name| name.ends_with(".wit"))
}
