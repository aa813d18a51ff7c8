//! Components from JavaScript and Python. Their tools are fetched once, into `target`; without Node.js or Python these
//! guests are left out, and the tests that need them say so.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use anyhow::{Context, Result};

use crate::{
    publish::{self, Files},
    repo::Repo,
    step::{quiet, skipped, step},
    toolchain::version,
};

/// Pinned: another version may make another component of the same source.
const COMPONENTIZE_JS: &str = "componentize-qjs@0.4.5";
const COMPONENTIZE_PY: &str = "componentize-py==0.25.1";
const JS_GUEST: &str = "greeter-js";
const PY_GUEST: &str = "greeter-py";
pub const NODE_REMEDY: &str = "install Node.js 20 or newer, with npm";
pub const PYTHON_REMEDY: &str = "install Python 3.10 or newer, with venv";

/// One guest on its way: its sources, the WIT it is built against, and what comes out.
struct Guest {
    name: &'static str,
    source: PathBuf,
    wit: PathBuf,
    component: PathBuf,
}

/// Builds what can be built here; gives the names of the guests.
pub fn build_guests(repo: &Repo) -> Result<Vec<String>> {
    if version("npm", "--version").is_some() {
        build(repo, JS_GUEST, javascript)?;
    } else {
        skipped(JS_GUEST, &format!("npm is missing; {NODE_REMEDY}"));
    }
    if version("python3", "--version").is_some() {
        build(repo, PY_GUEST, python)?;
    } else {
        skipped(PY_GUEST, &format!("python3 is missing; {PYTHON_REMEDY}"));
    }
    Ok(vec![JS_GUEST.to_owned(), PY_GUEST.to_owned()])
}

fn build(repo: &Repo, name: &'static str, make: fn(&Repo, &Guest) -> Result<()>) -> Result<()> {
    let source = repo.path("tests/guests").join(name);
    let scratch = repo.target("guests-build").join(name);
    let guest = Guest { name, wit: scratch.join("wit"), component: scratch.join("component.wasm"), source };
    // Other languages' tools take one folder, so the guest's WIT and the host's are put together.
    let mut wit: Files = publish::folder(&guest.source.join("wit"))?;
    let host = publish::folder(&repo.path("wit/host"))?;
    wit.extend(host.into_iter().map(|(path, bytes)| (Path::new("deps/midplane-host").join(path), bytes)));
    publish::sync(&guest.wit, &wit)?;
    if is_stale(&guest)? {
        make(repo, &guest)?;
    }
    publish::plugin(&guest.source, &guest.source.join("wit"), &guest.component, &repo.target("guests").join(name))
}

fn javascript(repo: &Repo, guest: &Guest) -> Result<()> {
    let tools = repo.target("js");
    let program = tools.join("node_modules/.bin/componentize-qjs");
    if !program.exists() {
        step(COMPONENTIZE_JS, || {
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&tools).arg(COMPONENTIZE_JS);
            quiet(&mut npm, NODE_REMEDY)
        })?;
    }
    step(guest.name, || {
        let mut componentize = Command::new(&program);
        componentize.arg("--js").arg(guest.source.join("greeter.js")).arg("--wit").arg(&guest.wit);
        // The contract's functions are plain `func`, so the smaller runtime without the asynchronous ABI will do.
        componentize.args(["--world", "guest", "--sync", "--output"]).arg(&guest.component);
        quiet(&mut componentize, NODE_REMEDY).map(drop)
    })
}

fn python(repo: &Repo, guest: &Guest) -> Result<()> {
    let tools = repo.target("py");
    let program = tools.join("bin/componentize-py");
    if !program.exists() {
        step(COMPONENTIZE_PY, || {
            let mut venv = Command::new("python3");
            quiet(venv.args(["-m", "venv"]).arg(&tools), PYTHON_REMEDY)?;
            let mut pip = Command::new(tools.join("bin/pip"));
            quiet(pip.args(["install", "--quiet", "--disable-pip-version-check", COMPONENTIZE_PY]), PYTHON_REMEDY)
        })?;
    }
    step(guest.name, || {
        let mut componentize = Command::new(&program);
        componentize.arg("--wit-path").arg(&guest.wit).args(["--world", "guest", "componentize", "--python-path"]);
        componentize.arg(&guest.source).arg("app").arg("--output").arg(&guest.component);
        quiet(&mut componentize, PYTHON_REMEDY).map(drop)
    })
}

/// Whether a source is newer than the component: making one takes up to ten seconds.
fn is_stale(guest: &Guest) -> Result<bool> {
    let Ok(built) = modified(&guest.component) else { return Ok(true) };
    for root in [&guest.source, &guest.wit] {
        for path in publish::folder(root)?.into_keys() {
            if modified(&root.join(path))? > built {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn modified(path: &Path) -> Result<SystemTime> {
    fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .with_context(|| format!("looking at {}", path.display()))
}
