//! The program: configuration, assembly, command line, shutdown. The only crate that reads the environment or exits.

mod assembly;
mod audit_log;
mod bundles;
mod cli;
mod client;
mod data;
mod doctor;
mod figures;
mod files_commands;
mod http;
mod local_socket;
mod plugin_commands;
mod reach;
mod serve;
mod term_commands;
mod token_commands;
mod token_file;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    cli::run(arguments)
}
