//! `plugins.lock` on disk: TOML that a person can read, replaced as a whole.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use midplane_model::PluginName;
use serde::{Deserialize, Serialize};

use super::{Entry, Pin};

pub type Entries = BTreeMap<PluginName, Entry>;

/// The only form of the file that this program writes and reads.
const FORMAT: u32 = 1;
const HEAD: &str =
    "# Which plugins this host trusts, and with which grants. Written by midplane; see `midplane plugin --help`.\n";

/// Why the lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("the plugin lock {path} cannot be read: {cause}", path = .path.display())]
    Read { path: PathBuf, cause: io::Error },
    #[error(
        "the plugin lock {path} is damaged: {reason}; restore it from a copy, or remove it to trust what is in the plugin folder again",
        path = .path.display()
    )]
    Damaged { path: PathBuf, reason: String },
    #[error("the plugin lock {path} cannot be written: {cause}", path = .path.display())]
    Write { path: PathBuf, cause: io::Error },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    format: u32,
    #[serde(default)]
    plugins: BTreeMap<String, RawEntry>,
}

/// An entry as a table of its own: a pin is there whole or not at all, which `flatten` could not say in an error.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    package: Option<Pin>,
}

/// Reads the lock; a file that is not there is an empty one.
pub fn read(path: &Path) -> Result<Entries, LockError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Entries::new()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(LockError::Damaged { path: path.to_owned(), reason: "it is no text".to_owned() });
        }
        Err(cause) => return Err(LockError::Read { path: path.to_owned(), cause }),
    };
    parse(&text).map_err(|reason| LockError::Damaged { path: path.to_owned(), reason })
}

fn parse(text: &str) -> Result<Entries, String> {
    let raw: RawFile = toml::from_str(text).map_err(|error| error.to_string())?;
    if raw.format != FORMAT {
        return Err(format!("its format is {}, this program knows {FORMAT}", raw.format));
    }
    let entry = |(name, raw): (String, RawEntry)| {
        let name = PluginName::parse(&name).map_err(|fault| fault.message)?;
        let entry = Entry { pin: raw.package, enabled: raw.enabled };
        match &entry.pin {
            Some(pin) if !is_sha256(&pin.sha256) => {
                Err(format!("plugins.{name}: {:?} is no sha256: 64 hexadecimal digits", pin.sha256))
            }
            _ => Ok((name, entry)),
        }
    };
    raw.plugins.into_iter().map(entry).collect()
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

/// Whoever reads, also after a loss of power, finds the old lock or the new one.
pub fn write(path: &Path, entries: &Entries) -> Result<(), LockError> {
    let plugins = entries
        .iter()
        .map(|(name, entry)| (name.to_string(), RawEntry { enabled: entry.enabled, package: entry.pin.clone() }));
    let raw = RawFile { format: FORMAT, plugins: plugins.collect() };
    let written = toml::to_string(&raw)
        .map_err(io::Error::other)
        .and_then(|text| midplane_durable::replace(path, format!("{HEAD}{text}").as_bytes()));
    written.map_err(|cause| LockError::Write { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn entries() -> Entries {
        let pin = Pin {
            version: "1.2.3".parse().unwrap(),
            sha256: "ab".repeat(32),
            source: "spell".into(),
            grants: serde_json::from_value(serde_json::json!({
                "files": [{"path": "docs", "access": "read"}], "methods": ["files.read"], "terminals": true,
            }))
            .unwrap(),
        };
        Entries::from([
            (PluginName::parse("files").unwrap(), Entry { pin: None, enabled: false }),
            (PluginName::parse("spell").unwrap(), Entry { pin: Some(pin), enabled: true }),
        ])
    }

    #[test]
    fn what_is_written_is_read_back_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugins.lock");
        assert!(read(&path).unwrap().is_empty(), "no file is an empty lock");
        write(&path, &entries()).unwrap();
        assert_eq!(read(&path).unwrap(), entries());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing temporary stays");
    }

    #[test]
    fn a_damaged_lock_is_an_error_that_names_file_place_and_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugins.lock");
        for (text, told) in [
            ("format = 1\n[plugins.spell\n", "line 2"),
            ("format = 2\n", "format is 2"),
            ("format = 1\n[plugins.Spell]\nenabled = true\n", "Spell"),
            ("format = 1\n[plugins.spell]\nenabled = true\ncolour = 1\n", "colour"),
            ("format = 1\n[plugins.spell]\nenabled = true\n[plugins.spell.package]\nversion = \"1.0.0\"\n", "sha256"),
            (
                "format = 1\n[plugins.spell]\nenabled = true\n[plugins.spell.package]\nversion = \"1.0.0\"\nsha256 = \"a\"\nsource = \"spell\"\n",
                "64 hexadecimal",
            ),
        ] {
            fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(told) && error.contains("plugins.lock") && error.contains("remove it"), "{error}");
        }
    }
}
