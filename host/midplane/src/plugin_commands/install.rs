//! `midplane plugin install`: what the plugin asks for is shown before anything runs.

use std::{
    io::{BufRead, IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

use serde_json::{Value, json};

use super::{grants, items, list, text_of};
use crate::{
    cli::Target,
    client::{self, Connection, Failure},
};

pub fn run(target: &Target, source: &Path, yes: bool) -> ExitCode {
    // The host has another working directory; what is no path of this machine is left to its judgement.
    let source = std::path::absolute(source).ok().filter(|path| path.exists()).unwrap_or_else(|| source.to_owned());
    client::finish(target, async {
        let report = install(target, &source.to_string_lossy(), yes).await?;
        client::print(target, &report, done);
        Ok(())
    })
}

async fn install(target: &Target, source: &str, yes: bool) -> Result<Value, Failure> {
    let mut connection = Connection::open(target).await?;
    let first = client::call_within(target, &mut connection, "plugin.install", json!({ "source": source })).await?;
    if first["installed"] == true {
        return Ok(first);
    }
    if !yes {
        confirm(&first)?;
    }
    let params = json!({ "source": source, "approve": true, "sha256": first["sha256"] });
    client::call_within(target, &mut connection, "plugin.install", params).await
}

/// Asks whoever sits there.
fn confirm(report: &Value) -> Result<(), Failure> {
    eprintln!("{}", asks(report));
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage("nobody is there to allow this; look at it, then say --yes".to_owned()));
    }
    eprint!("Install it? [y/N] ");
    _ = std::io::stderr().flush();
    let mut answer = String::new();
    // No line is no yes.
    _ = std::io::stdin().lock().read_line(&mut answer);
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::Declined("nothing was installed".to_owned()))
    }
}

fn asks(report: &Value) -> String {
    let (name, version) = (text_of(&report["name"]), text_of(&report["version"]));
    let before = report["replaces"].as_str().map(|old| format!(" (instead of {old})")).unwrap_or_default();
    let mut lines = vec![format!("{name} {version}{before}, sha256 {}", text_of(&report["sha256"]))];
    lines.extend(items(&report["services"]).iter().map(|service| format!("  serves {}", text_of(service))));
    lines.push("asks for".to_owned());
    lines.extend(grants::lines(&report["needs_approval"]).into_iter().map(|line| format!("  {line}")));
    lines.join("\n")
}

fn done(report: &Value) -> String {
    format!("installed: {}", list::line(&report["plugin"]))
}
