//! The promise of the store, tried on a real process: what was acknowledged is there after a kill at any moment.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use midplane_capabilities::storage::{Op, Storage};
use midplane_model::PluginName;

const DIRECTORY: &str = "MIDPLANE_TEST_STORE";

fn plugin() -> PluginName {
    PluginName::parse("notes").expect("name")
}

/// Runs only as the child of the test below. Sets pairs of keys for ever, and says so after each has been acknowledged.
#[tokio::test]
#[ignore = "the process that gets killed; the other test starts it"]
#[expect(clippy::print_stdout, reason = "its parent reads along")]
async fn child_that_writes_until_it_is_killed() {
    let Ok(dir) = std::env::var(DIRECTORY) else { return };
    let storage = Storage::open(&Path::new(&dir).join("state.redb")).expect("open");
    let notes = storage.namespace(&plugin());
    for n in 0_u32.. {
        let pair = ["left", "right"].map(|side| Op::Set { key: format!("{side}/{n:08}"), value: vec![b'x'; 100] });
        notes.batch(pair.into()).await.expect("batch");
        println!("\nacknowledged {n}");
    }
}

#[tokio::test]
async fn acknowledged_writes_survive_a_kill_and_batches_stay_whole() {
    for round in [1, 20] {
        let dir = tempfile::tempdir().expect("temporary directory");
        let acknowledged = kill_after(dir.path(), round);
        let storage = Storage::open(&dir.path().join("state.redb")).expect("opens after a kill");
        let notes = storage.namespace(&plugin());
        for n in 0..=acknowledged {
            assert!(notes.get(&format!("right/{n:08}")).await.expect("get").is_some(), "{n} of {acknowledged}");
        }
        let left = notes.list("left/", None, 1000).await.expect("list");
        let right = notes.list("right/", None, 1000).await.expect("list");
        assert_eq!(left.len(), right.len());
    }
}

/// Kills the child in the midst of its writing, once it has acknowledged `count`; the last number it acknowledged.
fn kill_after(dir: &Path, count: u32) -> u32 {
    let mut child = Command::new(std::env::current_exe().expect("own path"))
        .args(["--ignored", "--exact", "--nocapture", "child_that_writes_until_it_is_killed"])
        .env(DIRECTORY, dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("child");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let mut numbers = lines.filter_map(|line| line.strip_prefix("acknowledged ")?.parse().ok());
    let last = numbers.find(|n| *n >= count).expect("the child writes");
    child.kill().expect("SIGKILL");
    let last = numbers.last().unwrap_or(last);
    child.wait().expect("wait");
    last
}
