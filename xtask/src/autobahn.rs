//! The Autobahn fuzzing client, which knows RFC 6455 by heart, against an echo over the gateway's own socket code. It needs a Python
//! that is no longer made; where there is none, this says so and the rest goes on.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    repo::Repo,
    step::{quiet, shown, skipped, step},
    toolchain::cargo,
};

/// Pinned: another version may find other things.
const SUITE: &str = "autobahntestsuite==25.10.1";
const REMEDY: &str =
    "install Python 2.7 with pip (`pyenv install 2.7.18`), as `python2.7` or below `~/.pyenv/versions`";
const ECHO: &str = "socket::echo::echoes_until_its_input_ends";

pub fn autobahn(repo: &Repo) -> Result<()> {
    let Some(python) = python() else {
        skipped("Autobahn", REMEDY);
        return Ok(());
    };
    let folder = repo.target("conformance");
    let (packages, report) = (folder.join("py27"), folder.join("autobahn"));
    step(SUITE, || tool(&python, &packages))?;
    fs::create_dir_all(&report).with_context(|| report.display().to_string())?;
    let (echo, url) = Echo::start(repo)?;
    let mut client = Command::new(python);
    client.arg(repo.path("tests/conformance/sockets.py")).arg(packages).arg(url).arg(&report);
    let judged = shown(&mut client);
    drop(echo);
    judged
}

/// The first Python 2.7 that runs and has pip.
fn python() -> Option<PathBuf> {
    let installed = std::env::home_dir().and_then(|home| fs::read_dir(home.join(".pyenv/versions")).ok());
    let installed =
        installed.into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path().join("bin/python2.7"));
    let mut known = std::iter::once(PathBuf::from("python2.7")).chain(installed);
    known.find(|python| {
        Command::new(python).args(["-m", "pip", "--version"]).output().is_ok_and(|done| done.status.success())
    })
}

fn tool(python: &Path, packages: &Path) -> Result<()> {
    if !packages.join("autobahntestsuite").exists() {
        let mut install = Command::new(python);
        quiet(install.args(["-m", "pip", "install", "--quiet", "--target"]).arg(packages).arg(SUITE), REMEDY)?;
    }
    Ok(())
}

/// A test of the gateway that echoes until its input ends, that is, until this is dropped. What it says then is heard, too.
struct Echo(Child, BufReader<ChildStdout>);

impl Echo {
    /// Gives its address, too.
    fn start(repo: &Repo) -> Result<(Self, String)> {
        let mut command = cargo(&repo.root);
        command.args(["test", "--quiet", "--package", "midplane-gateway", "--lib", "--"]);
        command.args(["--ignored", "--exact", "--nocapture", ECHO]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("the echo cannot be started")?;
        let stdout = child.stdout.take().context("the echo's output")?;
        let mut echo = Self(child, BufReader::new(stdout));
        let mut line = String::new();
        while echo.1.read_line(&mut line).context("the echo's output")? > 0 {
            if let Some((_, url)) = line.trim_end().split_once("echo at ") {
                return Ok((echo, url.to_owned()));
            }
            line.clear();
        }
        bail!("the echo ended before it served; look at `cargo test -p midplane-gateway`")
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        _ = self.0.wait();
    }
}
