//! The program: configuration, assembly, command line, shutdown. The only crate that reads the environment or exits.

mod assembly;
mod bundles;
mod cli;
mod client;
mod data;
mod serve;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    cli::run(arguments)
}
