//! Tools that builds need: where they are, and how to get them.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

use crate::step::quiet;

pub const WASM_TARGET: &str = "wasm32-wasip2";
pub const RUSTUP_REMEDY: &str = "install Rust with rustup (https://rustup.rs)";

/// Cargo for another workspace, without what an outer Cargo or Clippy has set for this one.
pub fn cargo(folder: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(folder);
    for leaked in ["CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_TARGET_DIR"] {
        command.env_remove(leaked);
    }
    command
}

/// Whether the compiler can build components.
pub fn has_wasm_target(root: &Path) -> Result<bool> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(root).args(["--print", "target-libdir", "--target", WASM_TARGET]);
    let output = quiet(&mut rustc, RUSTUP_REMEDY)?;
    Ok(Path::new(String::from_utf8_lossy(&output.stdout).trim()).exists())
}

/// Installs the target for components where it is missing.
pub fn ensure_wasm_target(root: &Path) -> Result<()> {
    if has_wasm_target(root)? {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.current_dir(root).args(["target", "add", WASM_TARGET]);
    quiet(&mut rustup, &format!("add the target {WASM_TARGET} to your Rust toolchain"))?;
    if !has_wasm_target(root)? {
        bail!("the target {WASM_TARGET} is still missing: `rustc` in PATH is not the one of rustup");
    }
    Ok(())
}

/// The first line that a tool says about its version; none where it is missing.
pub fn version(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}
