//! Plugin folders: `plugin.toml`, the component and its WIT, put together where the host and the tests look for them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// First bytes of every component: the magic of WebAssembly, then version 13, layer 1. A core module has 1 and 0 there.
const COMPONENT_MAGIC: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// The files of a folder by their path in it.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Puts a plugin together in `target`: the manifest of `source`, `component`, and `wit` with the WIT of those plugins beside
/// `source` that it depends on, so that everything it says can be read.
pub fn plugin(source: &Path, wit: &Path, component: &Path, target: &Path) -> Result<()> {
    let manifest = read(&source.join("plugin.toml"))?;
    let text = String::from_utf8_lossy(&manifest).into_owned();
    let name = component_name(&text)
        .with_context(|| format!("{}: no line `component = \"….wasm\"`", source.join("plugin.toml").display()))?;
    let mut files = Files::from([(name.into(), checked_component(component)?), ("plugin.toml".into(), manifest)]);
    let mut add = |below: &Path, wit: &Path| -> Result<()> {
        files.extend(folder(wit)?.into_iter().map(|(path, bytes)| (below.join(path), bytes)));
        Ok(())
    };
    // A plugin that serves pages alone has no WIT of its own.
    if wit.is_dir() {
        add(Path::new("wit"), wit)?;
    }
    for name in dependencies(&text) {
        let wit = source.with_file_name(name).join("wit");
        if wit.is_dir() {
            add(&Path::new("wit/deps").join(name), &wit)?;
        }
    }
    sync(target, &files)
}

/// The value of `component = "…"`.
fn component_name(manifest: &str) -> Option<String> {
    let value = manifest.lines().find_map(|line| line.strip_prefix("component")?.trim_start().strip_prefix('='))?;
    value.trim().strip_prefix('"')?.split_once('"').map(|(name, _)| name.to_owned())
}

/// The names in the table `[dependencies]`.
pub fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let table = manifest.lines().skip_while(|line| line.trim() != "[dependencies]").skip(1);
    table.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once('=').map(|(name, _)| name.trim()))
}

fn checked_component(path: &Path) -> Result<Vec<u8>> {
    let bytes = read(path)?;
    if !is_component(&bytes) {
        bail!("{} is no WebAssembly component", path.display());
    }
    Ok(bytes)
}

pub fn is_component(bytes: &[u8]) -> bool {
    bytes.starts_with(&COMPONENT_MAGIC)
}

/// All files below a folder.
pub fn folder(root: &Path) -> Result<Files> {
    let mut files = Files::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(below) = waiting.pop() {
        let path = root.join(&below);
        for entry in fs::read_dir(&path).with_context(|| format!("reading {}", path.display()))? {
            let entry = entry.with_context(|| format!("reading {}", path.display()))?;
            let relative = below.join(entry.file_name());
            if entry.path().is_dir() {
                waiting.push(relative);
            } else {
                files.insert(relative, read(&entry.path())?);
            }
        }
    }
    Ok(files)
}

/// Makes a folder hold these files and no others. What is the same already is not touched, so that nobody who watches it
/// (Cargo, a running host) sees a change where there is none.
pub fn sync(root: &Path, files: &Files) -> Result<()> {
    fs::create_dir_all(root).with_context(|| format!("making {}", root.display()))?;
    let present = folder(root)?;
    for (path, bytes) in files.iter().filter(|(path, bytes)| present.get(*path) != Some(bytes)) {
        write(&root.join(path), bytes)?;
    }
    for path in present.keys().filter(|path| !files.contains_key(*path)) {
        let path = root.join(path);
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    }
    Ok(())
}

/// Removes the folders below `root` that are not named: plugins that exist no more.
pub fn keep_only(root: &Path, names: &[String]) -> Result<()> {
    fs::create_dir_all(root).with_context(|| format!("making {}", root.display()))?;
    for entry in fs::read_dir(root).with_context(|| format!("reading {}", root.display()))? {
        let path = entry.with_context(|| format!("reading {}", root.display()))?.path();
        let known = path.file_name().is_some_and(|name| names.iter().any(|known| name == known.as_str()));
        if path.is_dir() && !known {
            fs::remove_dir_all(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}

/// Whole or not at all: a running host may be reading.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let parent = path.parent().context("a file has a folder")?;
    let temporary = path.with_extension("new");
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(&temporary, bytes))
        .and_then(|()| fs::rename(&temporary, path))
        .with_context(|| format!("writing {}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_is_named_by_the_manifest() {
        let manifest = "[plugin]\nname = \"a\"\ncomponent = \"a.wasm\"  # built\n";
        assert_eq!(component_name(manifest).as_deref(), Some("a.wasm"));
        assert_eq!(component_name("[plugin]\nname = \"a\"\n"), None);
    }

    #[test]
    fn dependencies_end_with_their_table() {
        let manifest =
            "[plugin]\nname = \"a\"\n\n[dependencies]\nspell = \"^1\"\necho = \"^0.1\"\n\n[grants]\nterminals = true\n";
        assert_eq!(dependencies(manifest).collect::<Vec<_>>(), ["spell", "echo"]);
        assert_eq!(dependencies("[plugin]\n").count(), 0);
    }

    #[test]
    fn a_core_module_is_no_component() {
        assert!(is_component(b"\0asm\x0d\0\x01\0rest"));
        assert!(!is_component(b"\0asm\x01\0\0\0rest"));
    }
}
