//! Compiled code on disk: content-addressed and authenticated.
//!
//! An entry is native code that the host will run, so it is believed only if it carries a MAC under a key that lives in the
//! same private directory (`0700`, owned by this user). The name is the hash of the component and of the engine's settings.
//! Anything unreadable, foreign or damaged is compiled again and overwritten. When the disk refuses, nothing is cached.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

const MAC_BYTES: usize = 32;

pub struct CodeCache {
    directory: PathBuf,
    key: [u8; 32],
    /// Hash of wasmtime's version and settings.
    settings: [u8; 32],
}

impl CodeCache {
    pub fn open(directory: &Path, engine: &Engine) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
        let key = key(&directory.join("key"))?;
        if fs::metadata(directory)?.uid() != fs::metadata(directory.join("key"))?.uid() {
            return Err(io::Error::other("the directory belongs to somebody else"));
        }
        Ok(Self { directory: directory.to_owned(), key, settings: settings(engine) })
    }

    pub fn load(&self, engine: &Engine, wasm: &[u8]) -> Option<Component> {
        let path = self.path(wasm);
        let entry = fs::read(&path).ok()?;
        let (mac, code) = entry.split_at_checked(MAC_BYTES)?;
        if self.mac(&path, code).verify_slice(mac).is_err() {
            tracing::warn!(entry = ?path.file_name(), "compiled code was damaged or is not ours; compiling again");
            return None;
        }
        // SAFETY: the bytes carry our own MAC, so they are what `Component::serialize` gave this installation, for an
        // engine with the same settings (the name contains their hash).
        match unsafe { Component::deserialize(engine, code) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(%error, "compiled code does not fit this engine; compiling again");
                None
            }
        }
    }

    pub fn store(&self, wasm: &[u8], component: &Component) {
        let path = self.path(wasm);
        let written = component.serialize().map_err(io::Error::other).and_then(|code| self.write(&path, &code));
        if let Err(error) = written {
            tracing::warn!(%error, "compiled code could not be cached; the next start compiles again");
        }
    }

    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&self.mac(path, code).finalize().into_bytes())?;
        file.write_all(code)?;
        fs::rename(&temporary, path)
    }

    fn path(&self, wasm: &[u8]) -> PathBuf {
        let digest = Sha256::new().chain_update(self.settings).chain_update(wasm).finalize();
        self.directory.join(format!("{digest:x}.code"))
    }

    /// Covers the name too: an entry moved to another name is no entry.
    fn mac(&self, path: &Path, code: &[u8]) -> Hmac<Sha256> {
        let name = path.file_name().map(std::ffi::OsStr::as_encoded_bytes).unwrap_or_default();
        // A key of any length is fine for HMAC.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).unwrap_or_else(|_| unreachable!("HMAC takes any key"));
        mac.update(name);
        mac.update(code);
        mac
    }
}

fn key(path: &Path) -> io::Result<[u8; 32]> {
    if let Ok(bytes) = fs::read(path)
        && let Ok(key) = <[u8; 32]>::try_from(bytes)
    {
        return Ok(key);
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&key)?;
    Ok(key)
}

fn settings(engine: &Engine) -> [u8; 32] {
    struct Hasher(Sha256);
    impl std::hash::Hasher for Hasher {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut hasher = Hasher(Sha256::new());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut hasher);
    hasher.0.finalize().into()
}
