//! `cargo xtask conformance`: judges that know nothing of us. Schemathesis reads `/openapi.json` and sends what it allows, and what it
//! does not, to a running host; the parser of AsyncAPI reads `/asyncapi.json`. The tools are fetched once, into `target`.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::{
    commands,
    repo::Repo,
    scripts::{NODE_REMEDY, PYTHON_REMEDY},
    step::{quiet, shown, step},
};

/// Pinned: another version may find other things.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
const ASYNCAPI_PARSER: &str = "@asyncapi/parser@3.6.6";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// What would open terminals, load plugins or end tokens while it is tried; and what only a connection has, which is answered with
/// 501 as it should be, and counts as an error of the server.
const EXCLUDED: &str = r"plugin|auth|tokens|terminals|session\.(open|info)|event\.(subscribe|unsubscribe|recover)$";

pub fn conformance(repo: &Repo) -> Result<()> {
    commands::plugins(repo)?;
    commands::program(repo)?;
    let folder = repo.target("conformance");
    let (python, node) = (folder.join("py"), folder.join("js"));
    step(SCHEMATHESIS, || python_tool(&python))?;
    step(ASYNCAPI_PARSER, || node_tool(&node))?;
    let (host, url) = Host::start(repo, &folder)?;
    let asyncapi = fs::read(repo.path("tests/conformance/asyncapi.mjs")).context("tests/conformance/asyncapi.mjs")?;
    fs::write(node.join("asyncapi.mjs"), asyncapi).context("the script for AsyncAPI")?;
    shown(Command::new("node").current_dir(&node).args(["asyncapi.mjs", &format!("{url}/asyncapi.json")]))?;
    let mut schemathesis = Command::new(python.join("bin/st"));
    schemathesis.current_dir(&folder).arg("run").arg(format!("{url}/openapi.json")).args(["--checks", CHECKS]);
    schemathesis.args(["--phases", "coverage,fuzzing", "--max-examples", "20", "--exclude-path-regex", EXCLUDED]);
    let judged = shown(&mut schemathesis);
    drop(host);
    judged
}

fn python_tool(folder: &Path) -> Result<()> {
    if !folder.join("bin/st").exists() {
        quiet(Command::new("python3").args(["-m", "venv"]).arg(folder), PYTHON_REMEDY)?;
        quiet(Command::new(folder.join("bin/pip")).args(["install", "--quiet", SCHEMATHESIS]), PYTHON_REMEDY)?;
    }
    Ok(())
}

fn node_tool(folder: &Path) -> Result<()> {
    if !folder.join("node_modules/@asyncapi/parser").exists() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let mut install = Command::new("npm");
        install.current_dir(folder).args(["install", "--prefix", ".", "--no-audit", "--no-fund", ASYNCAPI_PARSER]);
        quiet(&mut install, NODE_REMEDY)?;
    }
    Ok(())
}

/// A host over an empty folder; ended when dropped.
struct Host(Child);

impl Host {
    /// Gives its address, too.
    fn start(repo: &Repo, folder: &Path) -> Result<(Self, String)> {
        let served = folder.join("served");
        // What an earlier run has left would change what this one finds.
        _ = fs::remove_dir_all(&served);
        _ = fs::remove_dir_all(folder.join("data"));
        fs::create_dir_all(&served).with_context(|| served.display().to_string())?;
        let mut command = Command::new(repo.program("debug", "midplane"));
        command.arg("serve").arg(&served).arg("--data").arg(folder.join("data"));
        command.args(["--listen", "127.0.0.1:0", "--no-auth"]).stdout(Stdio::piped());
        let mut host = Self(command.spawn().context("the host cannot be started")?);
        let stdout = host.0.stdout.take().context("the host's output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("the host's first line")?;
        let url = line.trim().rsplit(' ').next().unwrap_or_default().trim_end_matches('/').to_owned();
        Ok((host, url))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It holds nothing that would have to be saved.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}
