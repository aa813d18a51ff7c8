//! `midplane plugin logs`: the lines that are there, and with `--follow` those that come.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{items, text_of};
use crate::{
    cli::Target,
    client::{self, Connection, Failure},
};

/// How long one question waits for a line; the host allows no more.
const WAIT_MS: u64 = 20_000;

pub struct Wanted {
    pub name: String,
    pub limit: u32,
    pub level: Option<String>,
    pub follow: bool,
}

pub fn run(target: &Target, wanted: &Wanted) -> ExitCode {
    client::finish(target, print(target, wanted))
}

async fn print(target: &Target, wanted: &Wanted) -> Result<(), Failure> {
    let mut connection = Connection::open(target).await?;
    let mut params = json!({ "name": wanted.name, "limit": wanted.limit, "level": wanted.level });
    loop {
        let lines = if params["wait_ms"].is_null() {
            client::call_within(target, &mut connection, "plugin.logs", params.clone()).await?
        } else {
            // Nobody's patience ends while a log is followed.
            connection.call("plugin.logs", Some(params.clone()), WAIT_MS + 10_000).await?
        };
        for line in items(&lines) {
            client::print(target, line, text);
        }
        if !wanted.follow {
            return Ok(());
        }
        if let Some(last) = items(&lines).last() {
            params["after"] = last["seq"].clone();
        } else if params["after"].is_null() {
            params["after"] = 0.into();
        }
        params["wait_ms"] = WAIT_MS.into();
    }
}

fn text(line: &Value) -> String {
    let fields = line["fields"].as_object().into_iter().flatten();
    let fields: String = fields.map(|(name, value)| format!(" {name}={}", text_of(value))).collect();
    format!("{} {:<5} {}{fields}", text_of(&line["time"]), text_of(&line["level"]), text_of(&line["message"]))
}
