//! `midplane files`: files of the served directory. Paths are those of the host, and may be patterns: `'src/**/*.rs'`.

mod archive;
mod change;
mod find;
mod list;
mod patterns;
mod search;
mod transfer;
mod upload;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::{
    cli::Target,
    client::{self, Failure},
};

#[derive(Subcommand)]
pub enum FilesCommand {
    /// What is in a directory, or what fits a pattern.
    Ls(ListArguments),
    /// Write files to standard output.
    Cat {
        #[arg(required = true, value_parser = there)]
        paths: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Make or replace a file, whole in one step. A large one goes on after a cut, also when the same command is given again.
    Put(PutArguments),
    /// Write a `.tar.gz` or `.zip` of a directory to standard output, or to a file.
    Pack(PackArguments),
    /// Unpack a `.tar.gz` or `.zip` into a directory: all of it, or nothing.
    Unpack(UnpackArguments),
    /// Replace text in a file.
    Edit(EditArguments),
    /// Move entries; several go into a directory.
    Mv(MoveArguments),
    /// Copy entries, directories with all that is in them; several go into a directory.
    Cp(MoveArguments),
    /// Delete entries.
    Rm(RemoveArguments),
    /// Lines with a text, as they are found: `path:line:text`. Ends with 1 when there is none.
    Search(search::SearchArguments),
    /// Files by characters of their paths, the best first. Ends with 1 when there is none.
    Find(find::FindArguments),
}

#[derive(Args)]
pub struct ListArguments {
    #[arg(default_value = ".", value_parser = there)]
    path: String,
    /// Also names that begin with a dot.
    #[arg(short, long)]
    all: bool,
    /// Also what `.gitignore` and its like leave out.
    #[arg(short, long)]
    ignored: bool,
    /// With kind, permissions, owner, size and time of change.
    #[arg(short, long)]
    long: bool,
    /// Levels.
    #[arg(long, default_value_t = 1)]
    depth: u32,
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Clone)]
pub struct PutArguments {
    /// A file here; `-` is standard input.
    source: String,
    /// Its path there, or the directory in which it keeps its name.
    #[arg(value_parser = there)]
    path: String,
    /// Only if the file still has this version.
    #[arg(long)]
    if_version: Option<String>,
    /// Only if there is no such file.
    #[arg(long, conflicts_with = "if_version")]
    new: bool,
    /// Make missing directories.
    #[arg(short, long)]
    parents: bool,
    /// Wait until the disk has it.
    #[arg(long)]
    durable: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct PackArguments {
    #[arg(default_value = ".", value_parser = there)]
    path: String,
    /// A file here; one that ends in `.zip` is a zip.
    #[arg(short, long)]
    output: Option<String>,
    /// A zip instead of a `.tar.gz`.
    #[arg(long)]
    zip: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct UnpackArguments {
    /// A file here; `-` is standard input.
    archive: String,
    /// A directory there; it is made if only it is missing.
    #[arg(default_value = ".", value_parser = there)]
    to: String,
    /// The archive is a file there.
    #[arg(long)]
    there: bool,
    /// Replace files that are there.
    #[arg(short = 'f', long)]
    overwrite: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct EditArguments {
    #[arg(value_parser = there)]
    path: String,
    /// The text to replace.
    #[arg(long)]
    old: String,
    /// What comes in its place.
    #[arg(long)]
    new: String,
    /// How often the old text must be there; all of them are replaced.
    #[arg(long, default_value_t = 1)]
    count: u32,
    /// Only if the file still has this version.
    #[arg(long)]
    if_version: Option<String>,
    /// Change nothing, and show the difference.
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct MoveArguments {
    /// From where, and last: to where.
    #[arg(required = true, num_args = 2.., value_parser = there)]
    paths: Vec<String>,
    /// Replace a file that is there.
    #[arg(short = 'f', long)]
    overwrite: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct RemoveArguments {
    #[arg(required = true, value_parser = there)]
    paths: Vec<String>,
    /// Directories with all that is in them.
    #[arg(short, long)]
    recursive: bool,
    /// Keep them for `midplane call files.restore`.
    #[arg(long)]
    trash: bool,
    #[command(flatten)]
    target: Target,
}

/// A path of the host, as a shell completes it: with a slash behind a directory.
#[expect(clippy::unnecessary_wraps, reason = "the form that the parser of arguments wants")]
fn there(path: &str) -> Result<String, std::convert::Infallible> {
    let trimmed = path.trim_end_matches('/');
    Ok(if trimmed.is_empty() { path } else { trimmed }.to_owned())
}

/// Adds a remedy to an error of this code.
fn with_remedy(failure: Failure, code: &str, remedy: &str) -> Failure {
    match failure {
        Failure::Answer(mut error) if error["data"]["code"] == code => {
            let message = format!("{}; {remedy}", error["message"].as_str().unwrap_or_default());
            error["message"] = message.into();
            Failure::Answer(error)
        }
        failure => failure,
    }
}

/// Does one thing after the other, and the rest also where the host refuses one. Fails as the last one that did; the others are
/// printed.
async fn each<T>(things: Vec<T>, mut work: impl AsyncFnMut(T) -> Result<bool, Failure>) -> Result<(), Failure> {
    let mut failed: Option<Failure> = None;
    for thing in things {
        match work(thing).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(failure @ Failure::Answer(_)) => {
                if let Some(earlier) = failed.replace(failure) {
                    eprintln!("midplane: {}", earlier.text());
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    failed.map_or(Ok(()), Err)
}

pub fn run(command: FilesCommand) -> ExitCode {
    match command {
        FilesCommand::Ls(arguments) => client::finish(&arguments.target, list::run(&arguments)),
        FilesCommand::Cat { paths, target } => client::finish(&target, transfer::cat(&target, &paths)),
        FilesCommand::Put(arguments) => client::finish(&arguments.target, transfer::put(&arguments)),
        FilesCommand::Pack(arguments) => client::finish(&arguments.target, archive::pack(&arguments)),
        FilesCommand::Unpack(arguments) => client::finish(&arguments.target, archive::unpack(&arguments)),
        FilesCommand::Edit(arguments) => change::edit(&arguments),
        FilesCommand::Mv(arguments) => client::finish(&arguments.target, change::relocate(&arguments, "files.move")),
        FilesCommand::Cp(arguments) => client::finish(&arguments.target, change::relocate(&arguments, "files.copy")),
        FilesCommand::Rm(arguments) => client::finish(&arguments.target, change::remove(&arguments)),
        FilesCommand::Search(arguments) => search::run(arguments),
        FilesCommand::Find(arguments) => find::run(&arguments),
    }
}
