//! `cargo xtask conformance`: judges that know nothing of us. Schemathesis reads `/openapi.json` and sends what it allows, and what it
//! does not, to a running host; the parsers of AsyncAPI and OpenRPC read the documents for them; the conformance suite of the Model
//! Context Protocol is an agent at `/mcp`; Autobahn tries the WebSocket. The tools are fetched once, into `target`.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::{
    autobahn::autobahn,
    commands, crates, publish,
    repo::Repo,
    scripts::{NODE_REMEDY, PYTHON_REMEDY},
    step::{quiet, shown, step},
};

/// Pinned: another version may find other things.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
const ASYNCAPI_PARSER: &str = "@asyncapi/parser@3.6.6";
const OPENRPC_PARSER: &str = "@open-rpc/schema-utils-js@2.2.1";
const MCP_SUITE: &str = "@modelcontextprotocol/conformance@0.2.0-alpha.12";
/// The suite needs a newer Node.js than many systems have; this package is the program itself.
const MCP_NODE: &str = "node@22.23.3";
/// The revisions of the protocol whose requirements are run, each on its own wire.
const MCP_REVISIONS: [&str; 2] = ["2025-11-25", "2026-07-28"];
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// What would open terminals, load plugins (`trigger_tool_change` does) or end tokens while it is tried; and what is answered with a status above 500 as it should
/// be, which counts as an error of the server: 501 where only a connection has it, 503 where nobody listens.
const EXCLUDED: &str =
    r"plugin|trigger|auth|tokens|terminals|session\.(open|info)|event\.(subscribe|unsubscribe|recover|request)$";

pub fn conformance(repo: &Repo, only: Option<&str>) -> Result<()> {
    if only.is_none_or(|only| only == "sockets") {
        autobahn(repo)?;
    }
    if only == Some("sockets") {
        return Ok(());
    }
    commands::plugins(repo)?;
    crates::build_guests(repo)?;
    // As the tests have it: alone, the program would be built once more.
    commands::tests(repo)?;
    let folder = repo.target("conformance");
    let (host, url) = Host::start(repo, &folder)?;
    // Agents last: for them a plugin comes and goes.
    let judges: [(&str, Judge); 3] = [("documents", documents), ("rest", rest), ("mcp", agents)];
    for (name, judge) in judges {
        if only.is_none_or(|only| only == name) {
            judge(repo, &folder, &url)?;
        }
    }
    drop(host);
    Ok(())
}

/// Gets the folder for its tools and the address of the host.
type Judge = fn(&Repo, &Path, &str) -> Result<()>;

fn documents(repo: &Repo, folder: &Path, url: &str) -> Result<()> {
    let tools = folder.join("js");
    node_tools(&tools, &[ASYNCAPI_PARSER, OPENRPC_PARSER])?;
    for (script, document) in [("asyncapi.mjs", "asyncapi.json"), ("openrpc.mjs", "openrpc.json")] {
        // A script finds its packages beside itself.
        let source = repo.path("tests/conformance").join(script);
        fs::copy(&source, tools.join(script)).with_context(|| source.display().to_string())?;
        shown(Command::new("node").current_dir(&tools).args([script, &format!("{url}/{document}")]))?;
    }
    Ok(())
}

/// What the host does not offer is listed in a file for each revision, with the reason; the suite fails for anything else that
/// fails, and for what is listed and passes.
fn agents(repo: &Repo, folder: &Path, url: &str) -> Result<()> {
    let tools = folder.join("mcp");
    node_tools(&tools, &[MCP_NODE, MCP_SUITE])?;
    for revision in MCP_REVISIONS {
        let mut suite = Command::new(tools.join("node_modules/.bin/node"));
        suite.current_dir(&tools).arg("node_modules/@modelcontextprotocol/conformance/dist/index.js");
        suite.args(["server", "--url", &format!("{url}/mcp"), "--requirements", revision, "--output-dir", revision]);
        let absent = repo.path("tests/conformance").join(format!("mcp-{revision}.yml"));
        shown(suite.arg("--expected-failures").arg(absent))?;
    }
    Ok(())
}

fn rest(_: &Repo, folder: &Path, url: &str) -> Result<()> {
    let python = folder.join("py");
    step(SCHEMATHESIS, || python_tool(&python))?;
    let mut schemathesis = Command::new(python.join("bin/st"));
    schemathesis.current_dir(folder).arg("run").arg(format!("{url}/openapi.json")).args(["--checks", CHECKS]);
    schemathesis.args(["--phases", "coverage,fuzzing", "--max-examples", "20", "--exclude-path-regex", EXCLUDED]);
    shown(&mut schemathesis)
}

fn python_tool(folder: &Path) -> Result<()> {
    if !folder.join("bin/st").exists() {
        quiet(Command::new("python3").args(["-m", "venv"]).arg(folder), PYTHON_REMEDY)?;
        quiet(Command::new(folder.join("bin/pip")).args(["install", "--quiet", SCHEMATHESIS]), PYTHON_REMEDY)?;
    }
    Ok(())
}

fn node_tools(folder: &Path, packages: &[&str]) -> Result<()> {
    let here = |package: &str| {
        let name = package.rsplit_once('@').map_or(package, |(name, _)| name);
        folder.join("node_modules").join(name).exists()
    };
    if packages.iter().all(|package| here(package)) {
        return Ok(());
    }
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    step(&packages.join(" "), || {
        let mut install = Command::new("npm");
        install.current_dir(folder).args(["install", "--prefix", ".", "--no-audit", "--no-fund"]).args(packages);
        quiet(&mut install, NODE_REMEDY).map(drop)
    })
}

/// A host over an empty folder, with the tools of the suite's reference server as a plugin; ended when dropped.
struct Host(Child);

impl Host {
    /// Gives its address, too.
    fn start(repo: &Repo, folder: &Path) -> Result<(Self, String)> {
        let served = folder.join("served");
        // What an earlier run has left would change what this one finds.
        _ = fs::remove_dir_all(&served);
        _ = fs::remove_dir_all(folder.join("data"));
        fs::create_dir_all(&served).with_context(|| served.display().to_string())?;
        let plugins = folder.join("plugins");
        // An earlier run may have been ended while the plugin that comes and goes was there.
        publish::keep_only(&plugins, &["test".to_owned()])?;
        let guests = repo.target("guests");
        let mut test = publish::folder(&guests.join("reference"))?;
        let manifest = test.get_mut(Path::new("plugin.toml")).context("the manifest of the guest `reference`")?;
        manifest.extend(format!("\n[config]\nspare = {:?}\n", guests.join("overlap")).into_bytes());
        publish::sync(&plugins.join("test"), &test)?;
        let mut command = Command::new(repo.program("debug", "midplane"));
        command.arg("serve").arg(&served).arg("--data").arg(folder.join("data"));
        command.arg("--plugins").arg(&plugins).args(["--listen", "127.0.0.1:0", "--no-auth"]).stdout(Stdio::piped());
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
