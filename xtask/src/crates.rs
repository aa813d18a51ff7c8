//! Components from Rust crates.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    publish,
    repo::Repo,
    step::{quiet, step},
    toolchain::{RUSTUP_REMEDY, WASM_TARGET, cargo},
};

/// The first-party plugins and the SDK's examples; they share a build folder, so that the SDK is compiled once.
pub fn build_plugins(repo: &Repo) -> Result<()> {
    let build = repo.target("plugins-build");
    let workspace = repo.path("plugins");
    step("plugins", || compile(&workspace, &build))?;
    let plugins = folders(&workspace)?;
    for source in &plugins {
        // The service's WIT is public: it lives in `wit/<name>`, the plugin's own holds only its world.
        let wit = repo.path("wit").join(file_name(source));
        publish::plugin(source, &wit, &artifact(&build, source), &repo.target("plugins").join(file_name(source)))?;
    }
    publish::keep_only(&repo.target("plugins"), &names(&plugins))?;
    let examples = repo.examples();
    for source in &examples {
        step(&format!("example {}", file_name(source)), || compile(source, &build))?;
        let target = repo.target("examples").join(file_name(source));
        publish::plugin(source, &source.join("wit"), &artifact(&build, source), &target)?;
    }
    publish::keep_only(&repo.target("examples"), &names(&examples))
}

/// The guests of the tests that are written in Rust; gives their names.
pub fn build_guests(repo: &Repo) -> Result<Vec<String>> {
    let build = repo.target("guests-build");
    let workspace = repo.path("tests/guests");
    step("guests", || compile(&workspace, &build))?;
    let guests: Vec<PathBuf> =
        folders(&workspace)?.into_iter().filter(|source| source.join("Cargo.toml").exists()).collect();
    for source in &guests {
        let target = repo.target("guests").join(file_name(source));
        publish::plugin(source, &wit_of_guest(source), &artifact(&build, source), &target)?;
    }
    Ok(names(&guests))
}

/// Generations of one plugin (`counter-v2`) share the WIT of the first one.
fn wit_of_guest(source: &Path) -> PathBuf {
    let own = source.join("wit");
    if own.exists() {
        return own;
    }
    let first = file_name(source).split('-').next().unwrap_or_default().to_owned();
    source.with_file_name(first).join("wit")
}

fn compile(workspace: &Path, build: &Path) -> Result<()> {
    let mut command = cargo(workspace);
    command.args(["build", "--release", "--target", WASM_TARGET, "--target-dir"]).arg(build);
    quiet(&mut command, RUSTUP_REMEDY).map(drop)
}

/// A package bears the name of its folder.
fn artifact(build: &Path, source: &Path) -> PathBuf {
    let name = file_name(source).replace('-', "_");
    build.join(WASM_TARGET).join("release").join(name).with_extension("wasm")
}

/// The plugin folders below a folder, sorted.
pub fn folders(root: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(root).with_context(|| format!("reading {}", root.display()))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut folders: Vec<PathBuf> = paths.filter(|path| path.join("plugin.toml").exists()).collect();
    folders.sort();
    Ok(folders)
}

fn names(folders: &[PathBuf]) -> Vec<String> {
    folders.iter().map(|folder| file_name(folder)).collect()
}

pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
