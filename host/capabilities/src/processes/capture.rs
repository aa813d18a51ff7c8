//! Running a program to its end.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::ChildStdin,
};

use super::{
    Exit,
    options::{Finished, RunOptions},
    running::{KillOnDrop, Running, kill},
};

/// How long the pipes may stay open after the end: a daemon that left the session may hold them for ever.
pub(super) const DRAIN_MAX: Duration = Duration::from_millis(500);
pub(super) const CHUNK_BYTES: usize = 16 * 1024;

/// Feeds, reads and waits. Dropping the future kills the program.
pub(super) async fn run(running: Running, options: RunOptions) -> Finished {
    let Running { process, stdin, stdout, stderr, exit } = running;
    let killer = KillOnDrop(process.clone());
    let (mut out, mut err) = (Captured::new(options.stdout_bytes_max), Captured::new(options.stderr_bytes_max));
    let (exit, timed_out) = {
        let pipes = async { tokio::join!(feed(stdin, options.stdin), out.fill(stdout), err.fill(stderr)) };
        let ended = async {
            let mut exit = exit;
            let timeout = async {
                match options.timeout {
                    Some(timeout) => tokio::time::sleep(timeout).await,
                    None => std::future::pending().await,
                }
            };
            // The exit is not lost when the timeout wins: it is awaited again.
            tokio::select! {
                exit = &mut exit => (reaped(exit), false),
                () = timeout => {
                    kill(&process);
                    (reaped(exit.await), true)
                }
            }
        };
        tokio::pin!(pipes, ended);
        tokio::select! {
            _ = &mut pipes => ended.await,
            ended = &mut ended => {
                // What is missing now is held by somebody who is not ours.
                _ = tokio::time::timeout(DRAIN_MAX, pipes).await;
                ended
            }
        }
    };
    drop(killer);
    Finished {
        exit,
        timed_out,
        stdout: out.bytes,
        stdout_truncated: out.truncated,
        stderr: err.bytes,
        stderr_truncated: err.truncated,
    }
}

/// The task that waits does not panic; if it were cancelled, the runtime is going away.
pub(super) fn reaped(exit: Result<Exit, tokio::task::JoinError>) -> Exit {
    exit.unwrap_or(Exit { code: -1, signal: None })
}

async fn feed(mut stdin: ChildStdin, bytes: Vec<u8>) {
    // A program need not read what it is given.
    _ = stdin.write_all(&bytes).await;
}

/// The beginning of an output.
struct Captured {
    bytes: Vec<u8>,
    max: usize,
    truncated: bool,
}

impl Captured {
    fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), max, truncated: false }
    }

    /// Reads to the end, so that the program is not held up by what nobody wants.
    async fn fill(&mut self, mut from: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(count @ 1..) = from.read(&mut chunk).await {
            let wanted = count.min(self.max - self.bytes.len());
            self.bytes.extend_from_slice(&chunk[..wanted]);
            self.truncated |= wanted < count;
        }
    }
}
