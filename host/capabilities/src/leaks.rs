//! What tests of leaks count. All of it is of the whole process, so such a test runs in one of its own.

use std::{fs, process::Command};

/// Runs one ignored test of this binary in a process of its own.
pub fn run_alone(test: &str) {
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--test-threads=1"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && told.contains("1 passed"), "{told}");
}

pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

pub fn children() -> usize {
    let lists = fs::read_dir("/proc/self/task").unwrap().flatten();
    let count = |list: String| list.split_whitespace().count();
    lists.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).map(count).sum()
}
