//! `cargo xtask fuzz [TARGET] [SECONDS]`: the fuzz targets, with the stable toolchain. A sanitizer would need another one, and
//! has little to find in safe Rust: without one, every flag that cargo-fuzz gives the compiler is a stable one.

use std::{fs, process::Command};

use anyhow::{Context, Result, bail};

use crate::{
    repo::Repo,
    step::{quiet, shown, step},
    toolchain::{RUSTUP_REMEDY, cargo, version},
};

const TARGETS: &[&str] = &[
    "manifest",
    "lifting",
    "inspection",
    "envelope",
    "frame",
    "topics",
    "rest",
    "upload",
    "reading",
    "entry",
    "recording",
];
/// Pinned: the flags that it gives the compiler are part of the claim above.
const CARGO_FUZZ: &str = "cargo-fuzz@0.13.2";
const SECONDS_DEFAULT: u64 = 60;

/// Fuzzes one target, or each in turn, for so many seconds. What is found is in `fuzz/artifacts`: mend it, and move it to
/// `fuzz/regressions`, which `cargo test` runs again.
pub fn fuzz(repo: &Repo, arguments: &[&str]) -> Result<()> {
    let (targets, seconds) = match arguments {
        [] => (TARGETS, SECONDS_DEFAULT),
        [target, rest @ ..] => {
            let Some(index) = TARGETS.iter().position(|known| known == target) else {
                bail!("there is no target {target:?}; there are {}", TARGETS.join(", "));
            };
            let seconds = rest.first().map_or(Ok(SECONDS_DEFAULT), |text| text.parse());
            (&TARGETS[index..=index], seconds.context("SECONDS is a number")?)
        }
    };
    if version("cargo-fuzz", "--version").is_none() {
        step(CARGO_FUZZ, || {
            quiet(Command::new("cargo").args(["install", "--locked", CARGO_FUZZ]), RUSTUP_REMEDY).map(drop)
        })?;
    }
    targets.iter().try_for_each(|target| run(repo, target, seconds))
}

fn run(repo: &Repo, target: &str, seconds: u64) -> Result<()> {
    let corpus = repo.path("fuzz/corpus").join(target);
    fs::create_dir_all(&corpus).with_context(|| corpus.display().to_string())?;
    let mut fuzz = cargo(&repo.root);
    fuzz.args(["fuzz", "run", "--sanitizer", "none", target]).arg(&corpus);
    fuzz.arg(repo.path("fuzz/regressions").join(target));
    // Five seconds for one input is a hang: the largest that comes in is read in milliseconds.
    fuzz.arg("--").arg(format!("-max_total_time={seconds}")).args(["-timeout=5", "-max_len=65536"]);
    shown(&mut fuzz)
}
