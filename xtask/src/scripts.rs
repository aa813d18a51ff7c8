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
    crates,
    publish::{self, Files},
    repo::Repo,
    step::{quiet, skipped, step},
    toolchain::version,
};

/// Pinned: another version may make another component of the same source.
const COMPONENTIZE_JS: &str = "componentize-qjs@0.4.5";
const COMPONENTIZE_PY: &str = "componentize-py==0.25.1";
/// What terminals are measured beside.
const TERMINADO: &str = "terminado==0.18.1";
pub const NODE_REMEDY: &str = "install Node.js 20 or newer, with npm";
pub const PYTHON_REMEDY: &str = "install Python 3.10 or newer, with venv";

#[derive(Clone, Copy)]
enum Language {
    JavaScript,
    Python,
}

impl Language {
    /// Told from the only script in a guest's folder.
    fn of(source: &Path) -> Result<Option<(Self, PathBuf)>> {
        let mut found = None;
        for path in publish::folder(source)?.into_keys() {
            let language = match path.extension().and_then(|extension| extension.to_str()) {
                Some("js") => Self::JavaScript,
                Some("py") => Self::Python,
                _ => continue,
            };
            found = Some((language, source.join(path)));
        }
        Ok(found)
    }

    /// The program that makes components, fetched if it is not there; none where the language itself is missing.
    fn tool(self, repo: &Repo) -> Result<Option<PathBuf>> {
        match self {
            Self::JavaScript if version("npm", "--version").is_none() => Ok(None),
            Self::JavaScript => javascript_tool(&repo.target("js")).map(Some),
            Self::Python if version("python3", "--version").is_none() => Ok(None),
            Self::Python => python_tool(&repo.target("py")).map(Some),
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::JavaScript => NODE_REMEDY,
            Self::Python => PYTHON_REMEDY,
        }
    }
}

/// One guest on its way: its sources, the WIT it is built against, and what comes out.
struct Guest {
    name: String,
    source: PathBuf,
    script: PathBuf,
    wit: PathBuf,
    component: PathBuf,
}

/// Builds what can be built here; gives the names of the guests.
pub fn build_guests(repo: &Repo) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for source in crates::folders(&repo.path("tests/guests"))? {
        let Some((language, script)) = Language::of(&source)? else { continue };
        let name = crates::file_name(&source);
        let scratch = repo.target("guests-build").join(&name);
        let guest = Guest {
            wit: scratch.join("wit"),
            component: scratch.join("component.wasm"),
            name: name.clone(),
            source,
            script,
        };
        match language.tool(repo)? {
            Some(tool) => build(repo, language, &tool, &guest)?,
            None => skipped(&name, &format!("its language is missing; {}", language.remedy())),
        }
        names.push(name);
    }
    Ok(names)
}

fn build(repo: &Repo, language: Language, tool: &Path, guest: &Guest) -> Result<()> {
    let own = guest.source.join("wit");
    publish::sync(&guest.wit, &wit(repo, guest)?)?;
    if is_stale(guest)? {
        let mut componentize = match language {
            Language::JavaScript => javascript(tool, guest),
            Language::Python => python(tool, guest),
        };
        step(&guest.name, || quiet(&mut componentize, language.remedy()))?;
    }
    publish::plugin(&guest.source, &own, &guest.component, &repo.target("guests").join(&guest.name))
}

/// These tools take one folder, so the guest's WIT, the host's and that of the plugins it depends on are put together.
fn wit(repo: &Repo, guest: &Guest) -> Result<Files> {
    let mut wit = publish::folder(&guest.source.join("wit"))?;
    let mut add = |name: &str, folder: &Path| -> Result<()> {
        let files = publish::folder(folder)?;
        wit.extend(files.into_iter().map(|(path, bytes)| (Path::new("deps").join(name).join(path), bytes)));
        Ok(())
    };
    add("midplane-host", &repo.path("wit/host"))?;
    for name in publish::dependencies(&fs::read_to_string(guest.source.join("plugin.toml"))?) {
        let folder = guest.source.with_file_name(name).join("wit");
        // A guest may bring another's WIT itself.
        if folder.is_dir() && !guest.source.join("wit/deps").join(name).exists() {
            add(name, &folder)?;
        }
    }
    Ok(wit)
}

/// Programs that benchmarks are compared with; without Python there are none.
pub fn fetch_peers(repo: &Repo) -> Result<()> {
    if version("python3", "--version").is_none() {
        skipped(TERMINADO, &format!("Python is missing; {PYTHON_REMEDY}"));
        return Ok(());
    }
    python_package(&repo.target("peers"), TERMINADO)
}

fn javascript_tool(tools: &Path) -> Result<PathBuf> {
    let program = tools.join("node_modules/.bin/componentize-qjs");
    if !program.exists() {
        step(COMPONENTIZE_JS, || {
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(tools).arg(COMPONENTIZE_JS);
            quiet(&mut npm, NODE_REMEDY)
        })?;
    }
    Ok(program)
}

fn javascript(tool: &Path, guest: &Guest) -> Command {
    let mut componentize = Command::new(tool);
    componentize.arg("--js").arg(&guest.script).arg("--wit").arg(&guest.wit);
    // The contract's functions are plain `func`, so the smaller runtime without the asynchronous ABI will do.
    componentize.args(["--world", "guest", "--sync", "--output"]).arg(&guest.component);
    componentize
}

fn python_tool(tools: &Path) -> Result<PathBuf> {
    let program = tools.join("bin/componentize-py");
    if !program.exists() {
        python_package(tools, COMPONENTIZE_PY)?;
    }
    Ok(program)
}

/// Installs a package into an environment of its own.
fn python_package(folder: &Path, package: &str) -> Result<()> {
    step(package, || {
        let mut venv = Command::new("python3");
        quiet(venv.args(["-m", "venv"]).arg(folder), PYTHON_REMEDY)?;
        let mut pip = Command::new(folder.join("bin/pip"));
        quiet(pip.args(["install", "--quiet", "--disable-pip-version-check", package]), PYTHON_REMEDY)
    })
    .map(drop)
}

fn python(tool: &Path, guest: &Guest) -> Command {
    let mut componentize = Command::new(tool);
    componentize.arg("--wit-path").arg(&guest.wit).args(["--world", "guest", "componentize", "--python-path"]);
    componentize.arg(&guest.source).arg(guest.script.file_stem().unwrap_or_default());
    componentize.arg("--output").arg(&guest.component);
    componentize
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
