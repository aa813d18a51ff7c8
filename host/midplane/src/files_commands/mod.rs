//! `midplane files …`: the files of a running host.

mod find;
mod search;

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Subcommand)]
pub enum FilesCommand {
    /// Lines with a text, as they are found: `path:line:text`. Ends with 1 when there is none.
    Search(search::SearchArguments),
    /// Files by characters of their paths, the best first. Ends with 1 when there is none.
    Find(find::FindArguments),
}

pub fn run(command: FilesCommand) -> ExitCode {
    match command {
        FilesCommand::Search(arguments) => search::run(arguments),
        FilesCommand::Find(arguments) => find::run(&arguments),
    }
}
