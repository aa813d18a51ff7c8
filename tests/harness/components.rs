//! Components that `cargo xtask test` has compiled from source.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// A guest of `tests/guests`.
pub fn guest(name: &str) -> Result<PathBuf> {
    built("guests", name)
}

/// An example of the SDK.
pub fn example(name: &str) -> Result<PathBuf> {
    built("examples", name)
}

/// A first-party plugin.
pub fn first_party(name: &str) -> Result<PathBuf> {
    built("plugins", name)
}

fn built(kind: &str, name: &str) -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target").join(kind).join(name);
    ensure!(
        folder.join("plugin.toml").exists(),
        "{kind}/{name} is not built; run `cargo xtask test`, or `cargo xtask guests`"
    );
    Ok(folder)
}

/// A file of a package from npm that `cargo xtask test` has fetched for the pages of tests.
pub fn fetched(path: &str) -> Result<Vec<u8>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/pages/node_modules").join(path);
    std::fs::read(&file)
        .with_context(|| format!("{path} is not here; install Node.js and npm, then `cargo xtask guests`"))
}

/// Copies a folder with everything in it.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Replaces the first line of a manifest that begins with `key`.
pub fn set_in_manifest(folder: &Path, key: &str, line: &str) -> Result<()> {
    let path = folder.join("plugin.toml");
    let text = std::fs::read_to_string(&path)?;
    let mut found = false;
    let lines: Vec<&str> = text
        .lines()
        .map(|old| {
            if !found && old.trim_start().starts_with(key) {
                found = true;
                line
            } else {
                old
            }
        })
        .collect();
    ensure!(found, "no line {key:?} in {}", path.display());
    Ok(std::fs::write(path, lines.join("\n") + "\n")?)
}

/// Core modules with nothing but one thing in them, for [`crowd`].
pub mod core {
    /// `(module)`.
    pub const EMPTY: &[u8] = b"\0asm\x01\0\0\0";
    /// `(module (memory 1))`: 64 KiB.
    pub const MEMORY: &[u8] = b"\0asm\x01\0\0\0\x05\x03\x01\0\x01";
    /// `(module (table 1 funcref))`.
    pub const TABLE: &[u8] = b"\0asm\x01\0\0\0\x04\x04\x01\x70\0\x01";
    /// `(module (table 100000 funcref))`.
    pub const LARGE_TABLE: &[u8] = b"\0asm\x01\0\0\0\x04\x06\x01\x70\0\xa0\x8d\x06";
}

/// A component that is so many instances of a core module and exports nothing.
#[must_use]
pub fn crowd(module: &[u8], instances: usize) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    section(&mut bytes, 1, module);
    let mut content = Vec::new();
    unsigned(&mut content, instances);
    // Each instantiates the first module with nothing.
    content.extend(std::iter::repeat_n([0, 0, 0], instances).flatten());
    section(&mut bytes, 2, &content);
    bytes
}

/// Makes a component at least this many bytes larger without changing what it does: by a custom section behind the others.
pub fn enlarge(component: &Path, by: usize) -> Result<()> {
    let mut bytes = std::fs::read(component).with_context(|| component.display().to_string())?;
    let content: Vec<u8> = b"\x07padding".iter().copied().chain(std::iter::repeat_n(0, by)).collect();
    section(&mut bytes, 0, &content);
    Ok(std::fs::write(component, bytes)?)
}

fn section(bytes: &mut Vec<u8>, id: u8, content: &[u8]) {
    bytes.push(id);
    unsigned(bytes, content.len());
    bytes.extend_from_slice(content);
}

/// In LEB128, as WebAssembly writes numbers.
fn unsigned(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}
