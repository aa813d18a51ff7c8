//! `midplane token`: tokens of the running host.

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{cli::Target, client};

#[derive(Subcommand)]
pub enum TokenCommand {
    /// Issue a token and print it, this once.
    Create(CreateArguments),
    /// The issued tokens, without their secrets.
    List(Target),
    /// End a token, and every connection that came in with it.
    Revoke {
        /// Its id, as `token list` shows it.
        id: String,
        #[command(flatten)]
        target: Target,
    },
    /// Who the present token stands for, and what it may do.
    Whoami(Target),
}

#[derive(Args)]
pub struct CreateArguments {
    /// Names the principal: 1 to 64 of a-z, 0-9, '.', '_', '-'.
    name: String,
    /// What it may do: read, write, terminal, exec, admin, method:PATTERN. May be given several times.
    #[arg(long = "scope", default_value = "read")]
    scopes: Vec<String>,
    /// When it ends: `30s`, `15m`, `12h` or `90d` from now; without it, when it is revoked.
    #[arg(long, value_parser = parse_span)]
    expires: Option<Duration>,
    #[command(flatten)]
    target: Target,
}

pub fn run(command: TokenCommand) -> ExitCode {
    match command {
        TokenCommand::Create(CreateArguments { name, scopes, expires, target }) => {
            let params = json!({ "name": name, "scopes": scopes, "expires_in_s": expires.map(|life| life.as_secs()) });
            client::call_with(&target, "auth.create_token", params)
        }
        TokenCommand::List(target) => client::call(&target, "auth.list_tokens", None),
        TokenCommand::Revoke { id, target } => client::call_with(&target, "auth.revoke_token", json!({ "id": id })),
        TokenCommand::Whoami(target) => client::call(&target, "auth.whoami", None),
    }
}

/// A whole number and a unit.
fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no span of time; write 30s, 15m, 12h or 90d");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 24 * 3600,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    count.checked_mul(unit).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_unit() {
        assert_eq!(parse_span("90d").unwrap().as_secs(), 90 * 24 * 3600);
        assert_eq!(parse_span("30s").unwrap().as_secs(), 30);
        for text in ["", "5", "d", "-1d", "1w", "1é", "99999999999999999999d", "18446744073709551615d"] {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }
}
