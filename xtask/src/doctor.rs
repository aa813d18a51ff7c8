//! What is here and what is missing.

use std::{fs, path::Path};

use anyhow::{Result, bail};

use crate::{
    crates, publish,
    repo::Repo,
    scripts::{NODE_REMEDY, PYTHON_REMEDY},
    toolchain::{RUSTUP_REMEDY, WASM_TARGET, has_wasm_target, version},
};

/// # Errors
/// When something is missing that every build needs, or a component is broken.
pub fn doctor(repo: &Repo) -> Result<()> {
    let rust = tool("rustc", "--version", RUSTUP_REMEDY) & tool("cargo", "--version", RUSTUP_REMEDY);
    let target = has_wasm_target(&repo.root).unwrap_or(false);
    line(WASM_TARGET, if target { "installed" } else { "missing: `cargo xtask plugins` installs it" });
    // Only the guests in these languages need them.
    tool("npm", "--version", NODE_REMEDY);
    tool("python3", "--version", PYTHON_REMEDY);
    let mut whole = true;
    for folder in ["plugins", "examples", "guests"] {
        whole &= components(&repo.target(folder), folder)?;
    }
    if rust && whole { Ok(()) } else { bail!("see above") }
}

fn tool(program: &str, argument: &str, remedy: &str) -> bool {
    let found = version(program, argument);
    line(program, &found.clone().unwrap_or_else(|| format!("missing: {remedy}")));
    found.is_some()
}

/// The built plugins of one folder; false when one of them is broken.
fn components(root: &Path, name: &str) -> Result<bool> {
    if !root.exists() {
        line(name, "not built yet");
        return Ok(true);
    }
    let mut whole = true;
    for folder in crates::folders(root)? {
        let plugin = format!("{name}/{}", folder.file_name().unwrap_or_default().to_string_lossy());
        let components = fs::read_dir(&folder)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let component = components.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).last();
        let bytes = component.map(fs::read).transpose()?.unwrap_or_default();
        let is_component = publish::is_component(&bytes);
        whole &= is_component;
        let size = format!("{} KiB", bytes.len().div_ceil(1024));
        line(&plugin, if is_component { &size } else { "no component: build it again" });
    }
    Ok(whole)
}

#[expect(clippy::print_stdout, reason = "the report is what this command is for")]
fn line(name: &str, state: &str) {
    println!("{name:<28}{state}");
}
