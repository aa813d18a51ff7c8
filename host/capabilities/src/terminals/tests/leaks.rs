//! Terminals leave nothing behind.

use std::fs;

use super::*;
use crate::leaks::{self, children, descriptors};

/// Descriptors, children and threads are counted for the whole process, so this runs in one of its own.
#[test]
fn a_hundred_terminals_leave_no_descriptor_child_or_thread() {
    leaks::run_alone("terminals::tests::leaks::hundred_cycles");
}

#[tokio::test]
#[ignore = "run by a_hundred_terminals_leave_no_descriptor_child_or_thread, alone in its process"]
async fn hundred_cycles() {
    let bench = Bench::new();
    cycle(&bench).await;
    let before = (descriptors(), children(), terminal_threads());
    assert_eq!((before.1, before.2), (0, 0));
    for _ in 0..100 {
        cycle(&bench).await;
    }
    assert_eq!((descriptors(), children(), terminal_threads()), before);
}

async fn cycle(bench: &Bench) {
    let id = bench.run("echo ready; read go").await;
    let mut client = bench.attach(&id, Role::Drive);
    client.until_sees("ready").await;
    bench.terminals.close(&id).await.unwrap();
    client.drain().await;
}

fn terminal_threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("t-")).count()
}
