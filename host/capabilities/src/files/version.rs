//! Versions: strong tags of a file's content, opaque to everybody else.
//!
//! Up to `FILE_HASH_BYTES_MAX` a version is a hash, so the same content has the same version wherever and whenever.
//! Above, reading it all for a tag would cost more than it is worth, and a version stands for identity, size and times.

use std::{fmt, fs::File, io::Read as _, sync::Arc};

use midplane_model::limits::FILE_HASH_BYTES_MAX;
use sha2::{Digest as _, Sha256};

use super::facts::Facts;

/// Bytes of the hash that are kept: 128 bits.
const HASH_BYTES: usize = 16;

/// A strong, opaque tag of a file's state; equal only when nothing has changed. Also the ETag.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Version(Arc<str>);

impl Version {
    /// A tag as a client sent it; any text will do, a foreign one just never matches.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The version of a file with exactly these bytes; none when a file of this size is not versioned by content.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() as u64 <= FILE_HASH_BYTES_MAX).then(|| Self(hex(&Sha256::digest(bytes)).into()))
    }

    /// The version of something whose content is not hashed.
    pub(crate) fn of_facts(facts: &Facts) -> Self {
        let mut hash = Sha256::new();
        for number in [facts.dev, facts.ino, facts.size, facts.mtime_ns.cast_unsigned(), facts.ctime_ns.cast_unsigned()]
        {
            hash.update(number.to_be_bytes());
        }
        Self(format!("m-{}", hex(&hash.finalize())).into())
    }

    /// The version of an open file, and its content where that had to be read for it.
    pub(crate) fn of_file(file: &File, facts: &Facts) -> std::io::Result<(Self, Option<Vec<u8>>)> {
        if !facts.is_file() || facts.size > FILE_HASH_BYTES_MAX {
            return Ok((Self::of_facts(facts), None));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(facts.size).unwrap_or(0) + 1);
        // One byte more than allowed shows that the file grew while it was being read.
        file.take(FILE_HASH_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        match Self::of_bytes(&bytes) {
            Some(version) => Ok((version, Some(bytes))),
            None => Ok((Self::of_facts(&Facts::of(file)?), None)),
        }
    }
}

/// The version of bytes that come piece by piece, all of them at most `FILE_HASH_BYTES_MAX`.
#[derive(Default)]
pub(crate) struct Hashing(Sha256);

impl Hashing {
    pub fn and(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    pub fn version(self) -> Version {
        Version(hex(&self.0.finalize()).into())
    }

    /// The whole hash in hexadecimal beside it.
    pub fn both(self) -> (String, Version) {
        let digest = self.0.finalize();
        (digest.iter().map(|byte| format!("{byte:02x}")).collect(), Version(hex(&digest).into()))
    }
}

fn hex(digest: &[u8]) -> String {
    digest[..HASH_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
