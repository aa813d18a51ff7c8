//! Steps: one line each with its seconds; what a tool prints is shown only when it fails.

use std::{
    io::{self, Write},
    process::{Command, Output},
    time::Instant,
};

use anyhow::{Context, Result, bail};

/// Runs a step and prints its line.
pub fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprint!("{name:<24}");
    io::stderr().flush().context("writing to the terminal")?;
    let start = Instant::now();
    let result = work();
    let outcome = if result.is_ok() { "" } else { "  failed" };
    eprintln!("{:>7.1} s{outcome}", start.elapsed().as_secs_f64());
    result
}

/// A line about a step that is not run.
pub fn skipped(name: &str, reason: &str) {
    eprintln!("{name:<24}  skipped: {reason}");
}

/// Runs a tool silently; its output is part of the error. `remedy` says what to do when the tool is missing.
pub fn quiet(command: &mut Command, remedy: &str) -> Result<Output> {
    let output = command.output().with_context(|| format!("cannot run {}: {remedy}", name(command)))?;
    if !output.status.success() {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("{} ended with {}\n{out}{err}", line(command), output.status);
    }
    Ok(output)
}

/// Runs a tool whose output is what the developer wants to see.
pub fn shown(command: &mut Command) -> Result<()> {
    eprintln!("\n$ {}", line(command));
    let status = command.status().with_context(|| format!("cannot run {}", name(command)))?;
    if status.success() { Ok(()) } else { bail!("{} ended with {status}", line(command)) }
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn line(command: &Command) -> String {
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(name(command)).chain(arguments).collect::<Vec<_>>().join(" ")
}
