//! Processor time, as the kernel counts it.

use std::time::Duration;

use anyhow::{Context as _, Result};

/// Of a process, all its threads.
pub fn of_process(pid: u32) -> Result<Duration> {
    read(&format!("/proc/{pid}/stat"))
}

/// Of the thread that asks.
pub fn of_thread() -> Result<Duration> {
    read("/proc/thread-self/stat")
}

fn read(path: &str) -> Result<Duration> {
    let stat = std::fs::read_to_string(path)?;
    // The name, which may contain anything, ends with the last bracket.
    let fields: Vec<&str> = stat.rsplit_once(") ").context("stat")?.1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    // A tick is 10 ms wherever Linux runs.
    Ok(Duration::from_millis(ticks * 10))
}
