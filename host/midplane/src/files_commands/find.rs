//! `midplane files find`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::Target,
    client::{Connection, Failure, call_within, finish, print},
};

#[derive(Args)]
pub struct FindArguments {
    /// Characters of the path in this order; words are sought each for itself. Empty finds what was changed last.
    #[arg(default_value = "")]
    query: String,
    /// Files at most.
    #[arg(short = 'n', long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    target: Target,
}

pub fn run(arguments: &FindArguments) -> ExitCode {
    let FindArguments { query, limit, target } = arguments;
    finish(target, async {
        let mut connection = Connection::open(target).await?;
        let params = json!({ "query": query, "limit": limit });
        let found = call_within(target, &mut connection, "files.find", params).await?;
        let files: &[Value] = found["files"].as_array().map_or(&[], Vec::as_slice);
        if files.is_empty() && !target.json {
            return Err(Failure::Nothing);
        }
        print(target, &found, |_| files.iter().filter_map(|file| file["path"].as_str()).collect::<Vec<_>>().join("\n"));
        if files.is_empty() { Err(Failure::Nothing) } else { Ok(()) }
    })
}
