//! A plugin folder somewhere on this machine: its manifest, its component and its WIT. What else lies there stays there.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::Path,
};

use super::{MANIFEST, SourceError, WIT_FOLDER, collected::Collected};
use crate::manifest::Manifest;

/// Deepest nesting of WIT folders (`wit/deps/name/file.wit` is three).
const WIT_DEPTH_MAX: usize = 4;

pub fn read(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, SourceError> {
    let mut collected = Collected::default();
    add(&mut collected, folder, MANIFEST)?;
    let manifest = String::from_utf8_lossy(&collected.files[MANIFEST]).into_owned();
    add(&mut collected, folder, &Manifest::parse(&manifest)?.component)?;
    add_wit(&mut collected, folder, WIT_FOLDER, WIT_DEPTH_MAX)?;
    Ok(collected.files)
}

fn add(collected: &mut Collected, folder: &Path, path: &str) -> Result<(), SourceError> {
    let full = folder.join(path);
    let fail = |cause| SourceError::Read { path: path.to_owned(), cause };
    match fs::symlink_metadata(&full) {
        Ok(facts) if facts.is_symlink() => Err(SourceError::Kind { entry: path.to_owned(), what: "a link" }),
        Ok(facts) if !facts.is_file() => Err(SourceError::Kind { entry: path.to_owned(), what: "no file" }),
        Ok(_) => collected.add(path.to_owned(), File::open(&full).map_err(fail)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(SourceError::Absent(path.to_owned())),
        Err(cause) => Err(fail(cause)),
    }
}

/// WIT files below a folder; that there are none is fine.
fn add_wit(collected: &mut Collected, folder: &Path, path: &str, depth: usize) -> Result<(), SourceError> {
    let fail = |cause| SourceError::Read { path: path.to_owned(), cause };
    let entries = match fs::read_dir(folder.join(path)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(fail(cause)),
    };
    for entry in entries {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name().into_string().map_err(|name| SourceError::Outside(name.display().to_string()))?;
        let path = format!("{path}/{name}");
        let kind = entry.file_type().map_err(fail)?;
        if kind.is_dir() && depth > 1 {
            add_wit(collected, folder, &path, depth - 1)?;
        } else if name.ends_with(".wit") {
            add(collected, folder, &path)?;
        }
    }
    Ok(())
}
