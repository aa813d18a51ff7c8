//! The rules of ARCHITECTURE.md and CONTRIBUTING.md that a machine can check.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

/// Each crate of the host and the crates of the host that it may know.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("durable", &[]),
    ("model", &[]),
    ("router", &["model"]),
    ("broker", &["durable", "model"]),
    ("protocol", &["model"]),
    ("capabilities", &["durable", "model"]),
    ("gateway", &["model", "router", "broker", "protocol"]),
    ("runtime", &["durable", "model", "router", "broker", "capabilities"]),
    ("midplane", &["durable", "model", "router", "broker", "protocol", "capabilities", "gateway", "runtime"]),
];

/// What only one crate may depend on, by the beginning of its name.
const ONE_OWNER: &[(&str, &str)] = &[
    ("wasmtime", "runtime"),
    ("axum", "gateway"),
    ("portable-pty", "capabilities"),
    ("notify", "capabilities"),
    ("clap", "midplane"),
];

/// What only the program may do, as it is written.
const FOR_THE_PROGRAM: &[&str] = &["env::var", "env::args", "process::exit"];

const LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// All files below a folder whose names end so.
fn files(folder: &Path, end: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, end)?);
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    Ok(found)
}

fn names_of_folders(folder: &Path) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(folder)?.filter_map(Result::ok).filter(|entry| entry.path().is_dir());
    Ok(entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

/// Names of what a crate is built from, without what only its tests need.
fn dependencies(crate_folder: &Path) -> Result<Vec<String>> {
    let manifest: toml::Table = read(&crate_folder.join("Cargo.toml"))?.parse()?;
    let names = |key: &str| manifest.get(key).and_then(toml::Value::as_table).map(|table| table.keys().cloned());
    Ok(["dependencies", "build-dependencies"].into_iter().filter_map(names).flatten().collect())
}

#[test]
fn crates_know_only_those_that_their_layer_may() -> Result<()> {
    let host = root().join("host");
    let known: BTreeSet<String> = MAY_KNOW.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names_of_folders(&host)?, known, "ARCHITECTURE.md, and the table above it here, name every crate");
    for (name, allowed) in MAY_KNOW {
        for dependency in dependencies(&host.join(name))? {
            let other = dependency.strip_prefix("midplane-");
            ensure!(other.is_none_or(|other| allowed.contains(&other)), "{name} may not depend on {dependency}");
            for (technology, owner) in ONE_OWNER {
                ensure!(
                    !dependency.starts_with(technology) || name == owner,
                    "only {owner} may depend on {dependency}, not {name}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn only_the_program_reads_its_environment_and_arguments_or_exits() -> Result<()> {
    for (name, _) in MAY_KNOW.iter().filter(|(name, _)| *name != "midplane") {
        let source = root().join("host").join(name).join("src");
        for file in files(&source, ".rs")? {
            // `tests.rs`, `hard_tests.rs` and `tests/` are no part of the program.
            let is_test = |part: &std::ffi::OsStr| part == "tests" || part.to_string_lossy().ends_with("tests.rs");
            if file.strip_prefix(&source)?.iter().any(is_test) {
                continue;
            }
            let text = read(&file)?;
            let found = FOR_THE_PROGRAM.iter().find(|forbidden| text.contains(*forbidden));
            ensure!(found.is_none(), "{} uses {}", file.display(), found.unwrap_or(&""));
        }
    }
    Ok(())
}

#[test]
fn every_path_that_the_architecture_names_is_there() -> Result<()> {
    let text = read(&root().join("ARCHITECTURE.md"))?;
    let mut paths = BTreeSet::new();
    let mut folder = String::new();
    let plan = text.split("```").nth(1).context("the ground plan")?;
    for line in plan.lines().filter(|line| !line.trim().is_empty()) {
        let path = line.split_whitespace().next().unwrap_or_default();
        if line.starts_with(' ') {
            paths.insert(format!("{folder}{path}"));
        } else {
            path.clone_into(&mut folder);
            paths.insert(path.to_owned());
        }
    }
    ensure!(paths.len() > 10, "the ground plan is read: {paths:?}");
    let is_path =
        |code: &&str| code.contains('/') && !code.starts_with('/') && !code.contains([':', ' ', '{', '*', '@']);
    paths.extend(text.split('`').skip(1).step_by(2).filter(is_path).map(str::to_owned));
    for path in paths {
        ensure!(root().join(&path).exists() || root().join("host").join(&path).exists(), "there is no {path}");
    }
    Ok(())
}

#[test]
fn no_file_of_the_host_is_too_long_to_be_one_idea() -> Result<()> {
    for file in files(&root().join("host"), ".rs")? {
        let lines = read(&file)?.lines().count();
        ensure!(lines <= LINES_MAX, "{} has {lines} lines; {LINES_MAX} is the most", file.display());
    }
    Ok(())
}

#[test]
fn every_guest_is_used_by_a_journey() -> Result<()> {
    let journeys: String =
        files(&root().join("tests/journeys"), ".rs")?.iter().map(|file| read(file)).collect::<Result<_>>()?;
    for guest in names_of_folders(&root().join("tests/guests"))?.into_iter().filter(|name| name != "target") {
        ensure!(journeys.contains(&format!("\"{guest}\"")), "no journey uses the guest {guest}");
    }
    Ok(())
}

/// Cargo finds no test by itself in a folder with a `main.rs`: a file that it does not name is never compiled.
#[test]
fn every_test_file_is_in_its_binary() -> Result<()> {
    let mut mains = files(&root().join("tests"), "main.rs")?;
    for (name, _) in MAY_KNOW {
        let tests = root().join("host").join(name).join("tests");
        if tests.is_dir() {
            mains.extend(files(&tests, "main.rs")?);
        }
    }
    ensure!(mains.len() > 2, "the binaries are found: {mains:?}");
    for main in mains {
        let (text, folder) = (read(&main)?, main.parent().context("a folder")?);
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            // A folder is a module, a file of another kind is none.
            if path.extension().is_some_and(|extension| extension != "rs") {
                continue;
            }
            let module = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let named = text.lines().any(|line| line.trim_start_matches("pub ").trim() == format!("mod {module};"));
            ensure!(named || module == "main", "{} is not in {}", path.display(), main.display());
        }
    }
    Ok(())
}
