//! No test waits for ever: what waits for one thing gives up in a minute, and a test that goes round in circles is ended.

use std::{
    collections::BTreeMap,
    process::Command,
    sync::{Mutex, Once, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::Message;

use crate::Socket;

/// How long a test waits for something that must come. Only a broken host makes it wait that long.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long a test may have one host. No test takes a tenth of it.
const HOST_MAX: Duration = Duration::from_secs(15 * 60);

/// The next message that says something. A heartbeat does not, and does not prolong the wait.
pub async fn said(socket: &mut Socket) -> Result<Message> {
    let said = async {
        loop {
            match socket.next().await.context("the socket ended")?? {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return Ok(message),
            }
        }
    };
    tokio::time::timeout(PATIENCE, said).await.context("nothing came")?
}

/// The hosts of running tests by process, with the test's name and when it began.
static HOSTS: Mutex<BTreeMap<u32, (String, Instant)>> = Mutex::new(BTreeMap::new());

/// Ends the whole run, with all hosts, when a test has its host for longer than [`HOST_MAX`]. Until it is dropped.
pub(crate) struct Guard {
    process: u32,
}

impl Guard {
    pub(crate) fn of(process: u32) -> Self {
        static WATCH: Once = Once::new();
        WATCH.call_once(|| drop(thread::spawn(watch)));
        let test = thread::current().name().unwrap_or("a test").to_owned();
        HOSTS.lock().unwrap_or_else(PoisonError::into_inner).insert(process, (test, Instant::now()));
        Self { process }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        HOSTS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.process);
    }
}

/// Ends with the process.
fn watch() {
    loop {
        thread::sleep(Duration::from_secs(5));
        let hosts = HOSTS.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((test, _)) = hosts.values().find(|(_, since)| since.elapsed() > HOST_MAX) else { continue };
        eprintln!(
            "\n{test} has not ended in {} minutes: it, and with it this run, is given up",
            HOST_MAX.as_secs() / 60
        );
        for process in hosts.keys() {
            // One that has ended meanwhile is no matter.
            _ = Command::new("kill").args(["-KILL", &process.to_string()]).status();
        }
        std::process::exit(101);
    }
}
