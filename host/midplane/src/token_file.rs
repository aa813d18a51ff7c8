//! The issued tokens in the data directory: hashes, names and scopes, never a secret.

use std::{io, path::PathBuf};

use anyhow::{Context, Result};
use midplane_gateway::{TokenRecord, TokenStore};
use serde::{Deserialize, Serialize};

/// `tokens.json`, `0600`, replaced as a whole by a rename.
pub struct TokenFile(PathBuf);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// Of this format. Another one is refused instead of being overwritten.
    version: u32,
    tokens: Vec<TokenRecord>,
}

const VERSION: u32 = 1;

impl TokenFile {
    /// Opens the file and reads what it holds; a missing one holds nothing.
    pub fn open(path: PathBuf) -> Result<(Self, Vec<TokenRecord>)> {
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Self(path), Vec::new())),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        let content: Content = serde_json::from_slice(&text).with_context(|| {
            format!("{} is damaged or of a newer host; mend it, or delete it to end every issued token", path.display())
        })?;
        anyhow::ensure!(
            content.version == VERSION,
            "{} has the format {}, this host reads {VERSION}; use the host that wrote it",
            path.display(),
            content.version
        );
        Ok((Self(path), content.tokens))
    }
}

impl TokenStore for TokenFile {
    fn save(&self, records: &[TokenRecord]) -> io::Result<()> {
        let content = Content { version: VERSION, tokens: records.to_vec() };
        midplane_durable::replace(&self.0, &serde_json::to_vec_pretty(&content)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        for text in ["{", r#"{"version": 2, "tokens": []}"#, r#"{"version": 1, "tokens": [], "more": 1}"#] {
            std::fs::write(&path, text).unwrap();
            let error = TokenFile::open(path.clone()).err().map(|error| format!("{error:#}")).unwrap();
            assert!(error.contains("tokens.json"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
