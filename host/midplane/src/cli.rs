//! The command line.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use midplane_capabilities::processes::{GUARD_ARGUMENT, guard};
use serde_json::{Map, Value, json};
use tracing_subscriber::{
    filter::{LevelFilter, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    client, doctor,
    files_commands::{self, FilesCommand},
    plugin_commands::{self, PluginCommand},
    serve,
    term_commands::{self, TermCommand},
    token_commands::{self, TokenCommand},
};

#[derive(Parser)]
#[command(name = "midplane", version, about, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// More of the log: `info`, `debug`, or a filter such as `midplane_runtime=debug`.
    #[arg(long, global = true, env = "MIDPLANE_LOG", default_value = "warn")]
    log: String,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a directory to clients.
    Serve(ServeArguments),
    /// What a host runs beside itself: it ends what children of plugins have started when the host is killed.
    #[command(hide = true, name = GUARD_ARGUMENT)]
    Guard,
    /// Call a method of a running host, e.g. `midplane call files.list '{"path": "src"}'`.
    Call(CallArguments),
    /// Print events as they happen, one JSON object a line.
    Events(EventsArguments),
    /// What the running host is and does.
    Status(Target),
    /// What keeps the host from working as it should, each with its remedy.
    Doctor(Target),
    /// A script that completes this command line, e.g. `source <(midplane completions bash)`.
    Completions { shell: clap_complete::Shell },
    /// Files of the running host.
    #[command(subcommand)]
    Files(FilesCommand),
    /// Plugins of the running host, and `check` of one that does not run.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Terminals of the running host.
    #[command(subcommand)]
    Term(TermCommand),
    /// Tokens of the running host: who may come in.
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Args)]
pub struct ServeArguments {
    /// The directory to serve.
    #[arg(default_value = ".")]
    pub directory: PathBuf,
    /// Address and port; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:7420")]
    pub listen: SocketAddr,
    /// A folder of plugin folders; one in it takes the place of a built-in plugin of the same name.
    #[arg(long)]
    pub plugins: Option<PathBuf>,
    /// Load no plugin whose name, version or sha256 differs from plugins.lock, and trust nothing new.
    #[arg(long)]
    pub locked: bool,
    /// Where state, token and compiled code are kept.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Serve everybody who can connect. Refused beyond loopback.
    #[arg(long)]
    pub no_auth: bool,
    /// Keep events on disk, so that subscribers go on across a restart. An event is then acknowledged and delivered after
    /// its commit.
    #[arg(long)]
    pub durable_events: bool,
    /// Speak TLS on the port with this certificate (PEM, with those that lead to its authority). Allows a bind beyond loopback.
    #[arg(long, requires = "tls_key", conflicts_with = "behind_proxy")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate (PEM), readable by nobody else.
    #[arg(long, requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// WebSockets and event streams open at the same time; one token has three quarters of them at most.
    #[arg(long, default_value_t = midplane_model::limits::CONNECTIONS_MAX)]
    pub max_connections: usize,
    /// Bytes that the trash of `files.delete` may take of the disk; the oldest in it beyond are removed for good.
    #[arg(long, default_value_t = midplane_model::limits::TRASH_BYTES_MAX)]
    pub trash_bytes: u64,
    /// A proxy in front terminates TLS: allows a bind beyond loopback.
    #[arg(long)]
    pub behind_proxy: bool,
    /// Further names under which the host may be addressed (`Host` header), e.g. `dev.example.com`.
    #[arg(long = "allow-host")]
    pub allow_hosts: Vec<String>,
    /// Further origins whose pages may connect, e.g. `https://dev.example.com`.
    #[arg(long = "allow-origin")]
    pub allow_origins: Vec<String>,
}

/// Which host to talk to.
#[derive(Args, Clone)]
pub struct Target {
    /// The host; found by the directory where it is not given.
    #[arg(long, env = "MIDPLANE_URL")]
    pub url: Option<String>,
    /// The token itself. It may begin with a hyphen.
    #[arg(long, env = "MIDPLANE_TOKEN", hide_env_values = true, allow_hyphen_values = true)]
    pub token: Option<String>,
    /// A file that holds the token.
    #[arg(long)]
    pub token_file: Option<PathBuf>,
    /// For an `https` host whose certificate no public authority has signed: a file with the authority's own (PEM).
    #[arg(long, env = "MIDPLANE_TLS_CA")]
    pub tls_ca: Option<PathBuf>,
    /// Seconds to wait for an answer.
    #[arg(long, default_value_t = 30.0)]
    pub timeout: f64,
    /// One line of JSON instead of text for people.
    #[arg(long)]
    pub json: bool,
}

impl Target {
    pub fn timeout(&self) -> Duration {
        Duration::try_from_secs_f64(self.timeout).unwrap_or(Duration::from_secs(30))
    }
}

#[derive(Args)]
struct CallArguments {
    method: String,
    /// Parameters as JSON: an object by name, or an array by position.
    params: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
struct EventsArguments {
    /// Topics; `*` is one segment, `**` at the end one or more.
    #[arg(short, long = "pattern", default_value = "**")]
    patterns: Vec<String>,
    /// Begin with what is kept: `earliest`, or what follows positions, `stream:epoch:seq,…`, as events show them. What is lost
    /// is an `event.gap`.
    #[arg(long, value_parser = parse_since)]
    from: Option<Value>,
    /// End after this many events.
    #[arg(long)]
    count: Option<u64>,
    #[command(flatten)]
    target: Target,
}

/// `since` of `event.subscribe`, as text.
fn parse_since(text: &str) -> Result<Value, String> {
    if text == "earliest" {
        return Ok(text.into());
    }
    let position = |text: &str| {
        let [stream, epoch, seq] = text.split(':').collect::<Vec<_>>().try_into().ok()?;
        Some((stream.to_owned(), json!({ "epoch": epoch, "seq": seq.parse::<u64>().ok()? })))
    };
    let positions: Option<Map<String, Value>> = text.split(',').map(position).collect();
    positions.map(Value::Object).ok_or_else(|| "expected earliest, or stream:epoch:seq".to_owned())
}

/// Runs the command and gives the exit code of the contract, section 11.
pub fn run(arguments: Arguments) -> ExitCode {
    if let Err(error) = start_log(&arguments.log) {
        eprintln!("midplane: --log: {error}");
        return ExitCode::from(2);
    }
    match arguments.command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Guard => {
            guard(std::io::stdin().lock());
            ExitCode::SUCCESS
        }
        Command::Call(CallArguments { method, params, target }) => client::call(&target, &method, params.as_deref()),
        Command::Events(EventsArguments { patterns, from, count, target }) => {
            client::events(&target, &patterns, from, count)
        }
        Command::Doctor(target) => doctor::run(&target),
        Command::Completions { shell } => {
            doctor::complete(shell, &Arguments::command());
            ExitCode::SUCCESS
        }
        Command::Status(target) => client::call(&target, "system.status", None),
        Command::Files(command) => files_commands::run(command),
        Command::Term(command) => term_commands::run(command),
        Command::Token(command) => token_commands::run(command),
        Command::Plugin(command) => plugin_commands::run(command),
    }
}

/// Crates that write what passes through them as it is, and the most that they may say, whatever the filter: tokens are in it, and what
/// is nobody's business. The SDK of the Model Context Protocol calls a client that left an error besides.
const TALKATIVE: [(&str, LevelFilter); 2] = [("rmcp", LevelFilter::OFF), ("tungstenite", LevelFilter::DEBUG)];

fn start_log(filter: &str) -> Result<(), String> {
    // `notify` warns of each directory that is gone before it could be unwatched: thousands of lines for one checkout.
    let filter = format!("notify=error,{filter}");
    let filter: tracing_subscriber::EnvFilter = filter.parse().map_err(|error| format!("{error}"))?;
    let discreet = filter_fn(|metadata| {
        let name = metadata.target().split("::").next();
        TALKATIVE.iter().all(|(talkative, most)| name != Some(*talkative) || metadata.level() <= most)
    });
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let log = tracing_subscriber::registry().with(lines).with(filter).with(discreet);
    log.try_init().map_err(|error| error.to_string())
}
