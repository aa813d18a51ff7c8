//! What the pages of the tests show: packages from npm as they are, fetched once into `target`. Without npm they are left out,
//! and the tests that need them say so.

use std::{fs, process::Command};

use anyhow::{Context, Result};

use crate::{
    repo::Repo,
    scripts::NODE_REMEDY,
    step::{quiet, skipped, step},
    toolchain::version,
};

/// Pinned: the terminal that most pages have, and its addon that needs nothing but a WebSocket.
const XTERM: [&str; 2] = ["@xterm/xterm@6.0.0", "@xterm/addon-attach@0.12.0"];

pub fn fetch(repo: &Repo) -> Result<()> {
    let folder = repo.target("pages");
    let is_there = |package: &&str| {
        let (name, version) = package.rsplit_once('@').unwrap_or((package, ""));
        let manifest = folder.join("node_modules").join(name).join("package.json");
        fs::read_to_string(manifest).is_ok_and(|text| text.contains(&format!("\"version\": \"{version}\"")))
    };
    if XTERM.iter().all(is_there) {
        return Ok(());
    }
    if version("npm", "--version").is_none() {
        skipped("xterm.js", &format!("npm is missing; {NODE_REMEDY}"));
        return Ok(());
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    step("xterm.js", || {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(&folder).args(XTERM);
        quiet(&mut npm, NODE_REMEDY)
    })
    .map(drop)
}
