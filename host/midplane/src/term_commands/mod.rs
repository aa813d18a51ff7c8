//! `midplane term`: terminals of the running host.

mod attach;
mod attached;
mod cast;
mod frames;
mod person;
mod raw_mode;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    cli::Target,
    client::{self, Connection},
};

#[derive(Subcommand)]
pub enum TermCommand {
    /// Open a terminal and print its id.
    Open(OpenArguments),
    /// The terminals, exited ones included.
    List(Target),
    /// Be at a terminal: what you type goes there, what it shows comes here. Ends with its program's exit code.
    Attach(AttachArguments),
    /// Type into a terminal.
    Send {
        id: String,
        text: String,
        /// Press Enter after it.
        #[arg(long)]
        enter: bool,
        #[command(flatten)]
        target: Target,
    },
    /// The visible text of a terminal.
    Screen {
        id: String,
        /// Lines above the screen to show before it.
        #[arg(long, default_value_t = 0)]
        above: u32,
        #[command(flatten)]
        target: Target,
    },
    /// Wait until something is so, or for `--timeout` seconds.
    Wait(WaitArguments),
    /// Record a terminal into a file of the workspace (asciicast v2), whoever looks on or not.
    Record(cast::RecordArguments),
    /// Play a recording, here or in a terminal of the host.
    Play(cast::PlayArguments),
    /// What the host still has of a terminal's output, as a recording without times, to standard output.
    Export {
        id: String,
        #[command(flatten)]
        target: Target,
    },
    /// End a terminal with everything that runs in it.
    Close {
        id: String,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Args)]
pub struct OpenArguments {
    /// The program; the host's shell without it.
    #[arg(long)]
    shell: Option<String>,
    /// A folder below the served directory.
    #[arg(long)]
    cwd: Option<String>,
    #[arg(long)]
    name: Option<String>,
    /// For a program, not for a person: nothing asks, pages or waits, and commands are marked.
    #[arg(long)]
    agent: bool,
    /// Record it into this new file below the served directory.
    #[arg(long, value_name = "PATH")]
    record: Option<String>,
    /// Attach to it at once.
    #[arg(long)]
    attach: bool,
    /// Arguments of the program, after `--`.
    #[arg(last = true)]
    args: Vec<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct AttachArguments {
    id: String,
    /// Look on without typing.
    #[arg(long)]
    view: bool,
    /// The key that ends this without ending the terminal: `ctrl-` and a letter or one of `[ \ ] ^ _`.
    #[arg(long, default_value = "ctrl-]", value_parser = raw_mode::parse_key)]
    detach_key: u8,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct WaitArguments {
    id: String,
    /// This text is on the screen, or comes.
    #[arg(long, group = "until")]
    text: Option<String>,
    /// No output for so many milliseconds.
    #[arg(long, group = "until", value_name = "MS")]
    idle: Option<u32>,
    /// The next command has ended, where its shell marks them.
    #[arg(long, group = "until")]
    command_done: bool,
    /// The program has exited; so without any other condition.
    #[arg(long, group = "until")]
    exit: bool,
    #[command(flatten)]
    target: Target,
}

pub fn run(command: TermCommand) -> ExitCode {
    match command {
        TermCommand::Open(arguments) => open(arguments),
        TermCommand::List(target) => client::show(&target, "terminals.list", None, list),
        TermCommand::Attach(AttachArguments { id, view, detach_key, target }) => {
            attach::run(&target, &id, view, detach_key)
        }
        TermCommand::Send { id, mut text, enter, target } => {
            if enter {
                text.push('\r');
            }
            client::show(&target, "terminals.write", Some(json!({ "id": id, "content": text })), |_| String::new())
        }
        TermCommand::Screen { id, above, target } => {
            client::show(&target, "terminals.screen", Some(json!({ "id": id, "scrollback_lines": above })), screen)
        }
        TermCommand::Wait(arguments) => wait(&arguments),
        TermCommand::Record(arguments) => cast::record(arguments),
        TermCommand::Play(arguments) => cast::play(&arguments),
        TermCommand::Export { id, target } => cast::export(&target, &id),
        TermCommand::Close { id, target } => {
            client::show(&target, "terminals.close", Some(json!({ "id": id })), |_| String::new())
        }
    }
}

fn open(arguments: OpenArguments) -> ExitCode {
    let OpenArguments { shell, cwd, name, agent, record, attach, args, target } = arguments;
    let mut params = json!({ "shell": shell, "cwd": cwd, "name": name, "args": args });
    if agent {
        params["profile"] = "agent".into();
    }
    if let Some((cols, rows)) = raw_mode::window() {
        (params["cols"], params["rows"]) = (cols.into(), rows.into());
    }
    let mut id = None;
    let opened = client::finish(&target, async {
        let mut connection = Connection::open(&target).await?;
        let info = client::call_within(&target, &mut connection, "terminals.open", params).await?;
        if let Some(path) = record {
            let params = json!({ "id": info["id"], "path": path });
            client::call_within(&target, &mut connection, "terminals.record", params).await?;
        }
        if attach {
            id = info["id"].as_str().map(str::to_owned);
        } else {
            client::print(&target, &info, |info| text(&info["id"]));
        }
        Ok(())
    });
    match id {
        Some(id) => attach::run(&target, &id, false, raw_mode::DETACH_KEY_DEFAULT),
        None => opened,
    }
}

fn wait(arguments: &WaitArguments) -> ExitCode {
    let until = match arguments {
        WaitArguments { text: Some(text), .. } => json!({ "text": text }),
        WaitArguments { idle: Some(ms), .. } => json!({ "idle": ms }),
        WaitArguments { command_done: true, .. } => "command_done".into(),
        _ => "exit".into(),
    };
    let timeout_ms = u64::try_from(arguments.target.timeout().as_millis()).unwrap_or(u64::MAX);
    let params = json!({ "id": arguments.id, "until": until, "timeout_ms": timeout_ms });
    client::show(&arguments.target, "terminals.wait", Some(params), state)
}

fn list(terminals: &Value) -> String {
    let line = |info: &Value| {
        let place = text(&info["cwd"]);
        format!(
            "{:<12} {:<16} {:>4}x{:<4} {:<10} {} {}",
            text(&info["id"]),
            text(&info["name"]),
            info["cols"],
            info["rows"],
            state(info),
            text(&info["title"]),
            place
        )
        .trim_end()
        .to_owned()
    };
    terminals.as_array().into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
}

fn state(info: &Value) -> String {
    match info["exited"]["code"].as_i64() {
        Some(code) => format!("exited {code}"),
        None => "running".to_owned(),
    }
}

fn screen(screen: &Value) -> String {
    let lines = |name: &str| screen[name].as_array().cloned().unwrap_or_default();
    let all: Vec<String> = lines("above").iter().chain(&lines("lines")).map(text).collect();
    all.join("\n").trim_end().to_owned()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
