//! `midplane doctor`: what keeps a host from working as it should, each with its remedy.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::ExitCode};

use serde_json::{Value, json};

use crate::{
    cli::Target,
    client::{self, Connection, Failure, exit, print_text},
    data::DataDir,
};

/// Watches of one user below which a large project may not be watched whole.
const WATCHES_MIN: u64 = 65_536;
/// Open files below which many clients and watches do not fit.
const FILES_MIN: u64 = 1024;

/// One thing that was looked at.
struct Finding {
    what: String,
    /// None: as it should be.
    remedy: Option<String>,
    /// Without a remedy it does not work at all.
    fatal: bool,
}

impl Finding {
    fn good(what: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: None, fatal: false }
    }

    fn doubtful(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: Some(remedy.into()), fatal: false }
    }

    fn bad(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { fatal: true, ..Self::doubtful(what, remedy) }
    }

    fn show(&self) -> String {
        match &self.remedy {
            None => format!("ok    {}", self.what),
            Some(remedy) => format!("{}  {}\n      {remedy}", if self.fatal { "FAIL" } else { "warn" }, self.what),
        }
    }
}

/// Looks at this machine, the data of the directory, and the host if one runs. Ends with 1 if something does not work.
pub fn run(target: &Target) -> ExitCode {
    let mut findings = machine();
    let found = client::locate(target).ok().and_then(|found| found.data);
    let usual = || std::env::current_dir().ok().and_then(|served| DataDir::default_for(&served).ok());
    findings.extend(found.or_else(usual).map(|at| data(&at)));
    let ended = client::finish(target, async {
        findings.extend(host(target).await);
        let described = findings.iter().map(|finding| {
            json!({"what": finding.what, "ok": finding.remedy.is_none(), "fatal": finding.fatal, "remedy": finding.remedy})
        });
        client::print(target, &described.collect(), |_| {
            findings.iter().map(Finding::show).collect::<Vec<_>>().join("\n")
        });
        Ok(())
    });
    if findings.iter().any(|finding| finding.fatal) { ExitCode::from(exit::FAILURE) } else { ended }
}

fn machine() -> Vec<Finding> {
    let mut findings = Vec::new();
    let watches = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").ok();
    if let Some(watches) = watches.and_then(|text| text.trim().parse::<u64>().ok()) {
        let what = format!("{watches} files can be watched");
        findings.push(match watches >= WATCHES_MIN {
            true => Finding::good(what),
            false => Finding::doubtful(what, format!("sudo sysctl fs.inotify.max_user_watches={}", 8 * WATCHES_MIN)),
        });
    }
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let what = files.map_or_else(|| "any number of files can be open".to_owned(), |n| format!("{n} files can be open"));
    findings.push(match files.is_none_or(|files| files >= FILES_MIN) {
        true => Finding::good(what),
        false => Finding::doubtful(what, format!("ulimit -n {}", 16 * FILES_MIN)),
    });
    findings
}

/// What only its user may read, only its user can.
fn data(path: &Path) -> Finding {
    let what = format!("data in {}", path.display());
    let Ok(folder) = fs::metadata(path) else { return Finding::good(format!("{what}: none yet")) };
    let secret = |path: &Path| fs::metadata(path).map_or(0, |file| file.permissions().mode() & 0o077);
    let open_to_others = folder.permissions().mode() & 0o077 != 0 || secret(&path.join("token")) != 0;
    if open_to_others {
        return Finding::bad(format!("{what} can be read by others"), format!("chmod -R go= {}", path.display()));
    }
    Finding::good(what)
}

async fn host(target: &Target) -> Vec<Finding> {
    let mut connection = match Connection::open(target).await {
        Ok(connection) => connection,
        Err(failure) => {
            let remedy = match failure {
                Failure::Unauthenticated(_) => "give the token of this host: --token-file",
                _ => "midplane serve",
            };
            return vec![Finding::bad(format!("no host: {}", failure.text()), remedy)];
        }
    };
    let mut findings = Vec::new();
    match client::call_within(target, &mut connection, "system.status", json!({})).await {
        Ok(status) => findings.push(version(&status)),
        Err(failure) => findings.push(refused("system.status", &failure)),
    }
    match client::call_within(target, &mut connection, "plugin.list", json!({})).await {
        Ok(plugins) => findings.extend(plugins.as_array().into_iter().flatten().map(plugin)),
        Err(failure) => findings.push(refused("plugin.list", &failure)),
    }
    findings
}

fn version(status: &Value) -> Finding {
    let (own, hosts) = (env!("CARGO_PKG_VERSION"), status["version"].as_str().unwrap_or_default());
    let what = format!("host {hosts}, started {}", status["started_at"].as_str().unwrap_or_default());
    if own == hosts {
        return Finding::good(what);
    }
    Finding::doubtful(what, format!("this command line is {own}; use the one of the host, or start the host anew"))
}

fn plugin(plugin: &Value) -> Finding {
    let text = |name: &str| plugin[name].as_str().unwrap_or_default();
    let what = format!("plugin {} is {}", text("name"), text("state"));
    match (text("state"), text("newer")) {
        ("running", "") => Finding::good(what),
        ("running", newer) => Finding::doubtful(format!("{what}, not its newest files"), newer),
        ("disabled", _) => Finding::doubtful(what, format!("midplane plugin enable {}", text("name"))),
        _ => Finding::bad(what, text("reason")),
    }
}

fn refused(method: &str, failure: &Failure) -> Finding {
    Finding::bad(format!("{method}: {}", failure.text()), "give a token that may call it: --token-file")
}

/// A script that completes the command line in a shell, but for what is hidden from people.
pub fn complete(shell: clap_complete::Shell, command: &clap::Command) {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut shown = clap::Command::new("midplane")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .args(command.get_arguments().cloned())
        .subcommands(shown);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown, "midplane", &mut script);
    print_text(String::from_utf8_lossy(&script).trim_end());
}
