//! The program under test, spawned.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{Answering, Asking, Client, PATIENCE, Unanswered, ask, patience::Guard};

/// How a host is started.
#[derive(Default, Clone)]
pub struct Options {
    pub arguments: Vec<String>,
    /// Compiled code of its own. Else all hosts of all tests share one cache, which spares most of the compiling.
    pub own_cache: bool,
    /// What the host writes into its log, which is the file [`Host::log`] then.
    pub log: Option<String>,
}

/// A running host with directories of its own. Killed when dropped.
pub struct Host {
    /// The served directory.
    pub directory: PathBuf,
    /// The plugin folder.
    pub plugins: PathBuf,
    pub url: String,
    pub token: String,
    pub options: Options,
    home: TempDir,
    child: Child,
    _guard: Guard,
}

impl Host {
    /// Starts a host over an empty directory with an empty plugin folder.
    pub async fn start() -> Result<Self> {
        Self::start_with(Options::default(), |_| Ok(())).await
    }

    /// Starts a host; `prepare` may fill the plugin folder before.
    pub async fn start_with(options: Options, prepare: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let home = tempfile::tempdir()?;
        for folder in ["served", "plugins"] {
            std::fs::create_dir(home.path().join(folder))?;
        }
        prepare(&home.path().join("plugins"))?;
        Self::spawn(home, options).await
    }

    async fn spawn(home: TempDir, options: Options) -> Result<Self> {
        let (directory, plugins) =
            (home.path().join("served").canonicalize()?, home.path().join("plugins").canonicalize()?);
        let log = match &options.log {
            None => Stdio::inherit(),
            Some(_) => std::fs::File::create(home.path().join("log"))?.into(),
        };
        let mut child = serve(home.path(), &options)
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("the program cannot be started; `cargo xtask test` builds it")?;
        let guard = Guard::of(child.id().context("the host ended at once")?);
        let stdout = child.stdout.take().context("stdout")?;
        let line = tokio::time::timeout(PATIENCE, BufReader::new(stdout).lines().next_line()).await??;
        let line = line.context("the host ended before it was ready")?;
        let address = line.rsplit(' ').next().unwrap_or_default();
        let (url, token) = address.split_once("/#token=").unwrap_or((address.trim_end_matches('/'), ""));
        let known = url.starts_with("http://127.0.0.1:") || url.starts_with("https://127.0.0.1:");
        ensure!(known, "unexpected first line: {line}");
        let (url, token) = (url.to_owned(), token.to_owned());
        Ok(Self { directory, plugins, url, token, options, home, child, _guard: guard })
    }

    /// Kills the host as `kill -9` does and starts it again over the same directories.
    pub async fn kill_and_restart(mut self) -> Result<Self> {
        self.child.kill().await?;
        Self::spawn(self.home, self.options).await
    }

    /// Ends the host as SIGTERM does and starts it again over the same directories.
    pub async fn terminate_and_restart(mut self) -> Result<Self> {
        let code = self.stop().await?;
        ensure!(code == Some(0), "the host ended with {code:?}");
        Self::spawn(self.home, self.options).await
    }

    /// Kills the host and starts it where it must refuse to: exit code and standard error.
    pub async fn kill_and_fail_to_restart(mut self) -> Result<(Option<i32>, String)> {
        self.child.kill().await?;
        let output = serve(self.home.path(), &self.options).kill_on_drop(true).output();
        let output = tokio::time::timeout(PATIENCE, output).await.context("the host serves")??;
        Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    /// The host's own directory.
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// What it has written into its log since it started.
    pub fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(self.home.path().join("log"))?).into_owned())
    }

    /// Where a host with a cache of its own keeps compiled code.
    pub fn code_cache(&self) -> PathBuf {
        self.data().join("code")
    }

    /// Sends SIGTERM and returns the exit code. The directories are gone afterwards.
    pub async fn terminate(mut self) -> Result<Option<i32>> {
        self.stop().await
    }

    /// As [`Self::terminate`], but the directories stay as long as this value.
    pub async fn stop(&mut self) -> Result<Option<i32>> {
        self.signal().await?;
        self.ended().await
    }

    /// Sends SIGTERM.
    pub async fn signal(&self) -> Result<()> {
        let pid = self.child.id().context("the host has ended")?;
        let sent = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
        ensure!(sent.success(), "kill");
        Ok(())
    }

    /// Waits for the end of the host and returns the exit code.
    pub async fn ended(&mut self) -> Result<Option<i32>> {
        Ok(tokio::time::timeout(PATIENCE, self.child.wait()).await??.code())
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    pub async fn connect(&self) -> Result<Client> {
        Client::connect(&self.url, &self.token).await
    }

    /// Runs the command line against this host and returns exit code, standard output and standard error.
    pub async fn cli(&self, arguments: &[&str]) -> Result<(i32, String, String)> {
        let output = command(self.home.path())
            .args(arguments)
            .env("MIDPLANE_URL", &self.url)
            .env("MIDPLANE_TOKEN", &self.token)
            .output()
            .await?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok((output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr)))
    }

    /// Runs the command line as somebody whose environment says nothing of this host but what is given.
    pub async fn cli_with(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Result<(i32, String, String)> {
        let output = command(self.home.path())
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir("/")
            .output()
            .await?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok((output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr)))
    }

    /// The host's Unix socket.
    pub fn local_socket(&self) -> PathBuf {
        self.data().join("host.sock")
    }

    /// The program itself.
    pub fn program() -> PathBuf {
        program()
    }

    /// Copies a plugin folder into the plugin folder, as a user would.
    pub fn drop_in(&self, folder: &Path) -> Result<PathBuf> {
        let name = folder.file_name().context("a folder")?;
        let target = self.plugins.join(name);
        crate::copy_folder(folder, &target)?;
        Ok(target)
    }

    /// Writes a file below the served directory, as another program would.
    pub fn write_file(&self, path: &str, content: &str) -> Result<()> {
        std::fs::write(self.directory.join(path), content).with_context(|| path.to_owned())
    }

    /// Calls over `POST /rpc`.
    pub async fn rpc(&self, body: &str) -> Result<crate::Response> {
        let bearer = format!("Bearer {}", self.token);
        crate::request(
            &self.url,
            "POST",
            "/rpc",
            &[("authorization", &bearer), ("content-type", "application/json")],
            body,
        )
        .await
    }

    /// A request with the token, its body chunked if the method has one.
    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Result<(Asking, Unanswered)> {
        let mut all = headers.to_vec();
        if method != "GET" && method != "HEAD" {
            all.push(("transfer-encoding", "chunked"));
        }
        self.begin(method, path, &all).await
    }

    /// A request with the token, whose headers say how long its body is.
    pub async fn begin(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Result<(Asking, Unanswered)> {
        let bearer = format!("Bearer {}", self.token);
        ask(&self.url, method, path, &[&[("authorization", bearer.as_str())], headers].concat()).await
    }

    /// A request without a body, with the token: the head of its answer.
    pub async fn get(&self, path: &str) -> Result<Answering> {
        self.ask("GET", path, &[]).await?.1.head().await
    }

    pub async fn get_json(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.get_text(path).await?)?)
    }

    pub async fn get_text(&self, path: &str) -> Result<String> {
        let bearer = format!("Bearer {}", self.token);
        let response = crate::request(&self.url, "GET", path, &[("authorization", &bearer)], "").await?;
        ensure!(response.status == 200, "{path}: {} {}", response.status, response.body);
        Ok(response.body)
    }
}

/// `midplane serve` over the directories of `home`.
fn serve(home: &Path, options: &Options) -> Command {
    let mut command = command(home);
    command.arg("serve").arg(home.join("served")).args(["--listen", "127.0.0.1:0", "--plugins"]);
    command.arg(home.join("plugins")).arg("--data").arg(home.join("data")).args(&options.arguments);
    if let Some(log) = &options.log {
        command.env("MIDPLANE_LOG", log);
    }
    if !options.own_cache {
        command.env("XDG_CACHE_HOME", shared_cache());
    }
    command
}

/// The program with an environment of the test's own.
fn command(home: &Path) -> Command {
    let mut command = Command::new(program());
    command.env_clear();
    for name in ["PATH", "RUST_BACKTRACE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .env("HOME", home)
        .env("SHELL", "/bin/sh")
        .env("MIDPLANE_LOG", std::env::var("MIDPLANE_LOG").unwrap_or_else(|_| "error".into()));
    command
}

fn shared_cache() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp/cache")
}

/// `MIDPLANE_BIN`, or the program beside the test's own directory.
fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("MIDPLANE_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().unwrap_or_default();
    let folder = own.ancestors().nth(if own.parent().is_some_and(|parent| parent.ends_with("deps")) { 2 } else { 1 });
    folder.unwrap_or(Path::new(".")).join("midplane")
}
