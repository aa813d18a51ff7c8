//! What each command does, step by step.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    crates, pages, publish,
    repo::Repo,
    scripts,
    step::{quiet, shown, step},
    toolchain::{RUSTUP_REMEDY, cargo, ensure_wasm_target},
};

pub fn plugins(repo: &Repo) -> Result<()> {
    step("toolchain", || ensure_wasm_target(&repo.root))?;
    crates::build_plugins(repo)
}

pub fn guests(repo: &Repo) -> Result<()> {
    step("toolchain", || ensure_wasm_target(&repo.root))?;
    let mut names = crates::build_guests(repo)?;
    names.extend(scripts::build_guests(repo)?);
    pages::fetch(repo)?;
    publish::keep_only(&repo.target("guests"), &names)
}

pub fn run(repo: &Repo, arguments: &[&str]) -> Result<()> {
    plugins(repo)?;
    program(repo)?;
    let split = arguments.iter().position(|argument| *argument == "--").unwrap_or(arguments.len());
    let (folder, rest) = arguments.split_at(split);
    let mut program = Command::new(repo.program("debug", "midplane"));
    program.arg("serve").args(folder).args(rest.iter().skip(1));
    replace_with(program)
}

/// The tests, and the program that the journeys run as a user would, from outside. Built together, so that every crate is
/// built once: alone, the program would ask for other features of what it shares with the tests.
pub fn tests(repo: &Repo) -> Result<()> {
    let arguments = ["build", "--workspace", "--bins", "--tests"];
    step("host and tests", || quiet(host_cargo(repo).args(arguments), RUSTUP_REMEDY)).map(drop)
}

/// The program itself.
pub fn program(repo: &Repo) -> Result<()> {
    step("host", || quiet(host_cargo(repo).args(["build", "--package", "midplane"]), RUSTUP_REMEDY)).map(drop)
}

pub fn build(repo: &Repo) -> Result<()> {
    plugins(repo)?;
    step("host, release", || {
        quiet(host_cargo(repo).args(["build", "--release", "--package", "midplane"]), RUSTUP_REMEDY)
    })?;
    eprintln!("\n{}", repo.program("release", "midplane").display());
    Ok(())
}

/// What stands on wasmtime is built together: a crate more or less would choose other features, and compile it again.
pub fn bench(repo: &Repo, arguments: &[&str]) -> Result<()> {
    plugins(repo)?;
    guests(repo)?;
    scripts::fetch_peers(repo)?;
    shown(host_cargo(repo).args([
        "bench",
        "--profile",
        "measure",
        "--package",
        "midplane-broker",
        "--bench",
        "publish",
    ]))?;
    let mut what = vec!["--profile", "measure"];
    for package in ["midplane", "midplane-runtime", "midplane-tests"] {
        what.extend(["--package", package]);
    }
    step("host, to be measured", || {
        quiet(host_cargo(repo).arg("build").args(&what).args(["--bins", "--bench", "calls"]), RUSTUP_REMEDY)
    })?;
    shown(host_cargo(repo).arg("bench").args(&what).args(["--bench", "calls"]))?;
    shown(Command::new(repo.program("measure", "bench")).current_dir(&repo.root).args(arguments))
}

pub fn test(repo: &Repo) -> Result<()> {
    plugins(repo)?;
    guests(repo)?;
    for (folder, build) in guest_workspaces(repo) {
        let name = folder.strip_prefix(&repo.root).unwrap_or(&folder).display().to_string();
        step(&format!("test {name}"), || {
            quiet(cargo(&folder).args(["test", "--workspace", "--target-dir"]).arg(build), RUSTUP_REMEDY)
        })?;
    }
    tests(repo)?;
    shown(host_cargo(repo).args(["test", "--workspace"]))
}

/// Tests of the host whose names contain the filter; what follows it goes to Cargo.
pub fn test_only(repo: &Repo, filter: &[&str]) -> Result<()> {
    plugins(repo)?;
    guests(repo)?;
    tests(repo)?;
    shown(host_cargo(repo).args(["test", "--workspace"]).args(filter))
}

pub fn ci(repo: &Repo) -> Result<()> {
    shown(host_cargo(repo).args(["fmt", "--all", "--check"]))?;
    for (folder, _) in guest_workspaces(repo) {
        shown(cargo(&folder).args(["fmt", "--check"]))?;
    }
    test(repo)?;
    let strict = ["clippy", "--workspace", "--all-targets"];
    shown(host_cargo(repo).args(strict).args(["--", "-D", "warnings"]))?;
    for (folder, build) in guest_workspaces(repo) {
        shown(cargo(&folder).args(strict).arg("--target-dir").arg(build).args(["--", "-D", "warnings"]))?;
    }
    shown(host_cargo(repo).env("RUSTDOCFLAGS", "-Dwarnings").args([
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ]))
}

/// Every Cargo workspace beside the host's, with the folder it is built in.
fn guest_workspaces(repo: &Repo) -> Vec<(PathBuf, PathBuf)> {
    let plugins = repo.target("plugins-build");
    let mut workspaces = vec![(repo.path("sdk/rust"), plugins.clone()), (repo.path("plugins"), plugins.clone())];
    workspaces.extend(repo.examples().into_iter().map(|example| (example, plugins.clone())));
    workspaces.push((repo.path("tests/guests"), repo.target("guests-build")));
    workspaces
}

/// Cargo for the host's own workspace, where the developer's target folder counts.
fn host_cargo(repo: &Repo) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(&repo.root);
    command
}

/// The program takes this one's place: signals and the terminal are its own.
#[cfg(unix)]
fn replace_with(mut program: Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    Err(program.exec()).with_context(|| format!("cannot run {}", program.get_program().to_string_lossy()))
}

#[cfg(not(unix))]
fn replace_with(mut program: Command) -> Result<()> {
    let status = program.status().context("cannot run midplane")?;
    std::process::exit(status.code().unwrap_or(1))
}
