//! The one thread that forks.
//!
//! "Die with your parent" means the thread that forked, not its process: threads of a pool come and go, and would take children
//! with them. This one lives as long as children may.

use std::{
    fs, io,
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use rustix::io::FdFlags;
use tokio::sync::{mpsc, oneshot};

use super::{
    guard::{self, Watched},
    running::kill,
};
use crate::child::Process;

/// Forks that wait for their turn; then whoever asks waits.
const REQUESTS_MAX: usize = 16;

struct Request {
    command: Command,
    done: oneshot::Sender<io::Result<Started>>,
}

/// A child that nobody has taken over yet. Dropped as it is, it is killed and reaped: a caller that gives up at any moment
/// leaves nothing behind.
pub(super) struct Started {
    process: Option<(Arc<Process>, Watched)>,
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
}

impl Started {
    fn new(mut child: Child, guard: &Arc<guard::Handle>) -> io::Result<Self> {
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let process = Arc::new(Process::new(Box::new(child))?);
        let watched = guard.watch(process.id());
        Ok(Self { process: Some((process, watched)), stdin, stdout, stderr })
    }

    /// Now whoever has the process answers for it, and keeps it guarded until it has been reaped.
    pub(super) fn take_over(&mut self) -> Option<(Arc<Process>, Watched)> {
        self.process.take()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some((process, _watched)) = self.process.take() {
            kill(&process);
            // For as long as the kernel needs to end it.
            process.wait(|| true);
        }
    }
}

pub(super) struct Spawner {
    /// None once closed.
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    guard: Option<PathBuf>,
}

impl Spawner {
    /// The thread starts with the first child, and so does the guard, if there is a program for it.
    pub(super) fn new(guard: Option<PathBuf>) -> Self {
        Self { requests: Mutex::default(), thread: Mutex::default(), guard }
    }

    /// Forks and executes.
    pub(super) async fn spawn(&self, command: Command) -> io::Result<Started> {
        let ended = || io::Error::other("the thread that starts processes has ended");
        let (done, child) = oneshot::channel();
        let requests = self.requests()?;
        requests.send(Request { command, done }).await.map_err(|_| ended())?;
        child.await.map_err(|_| ended())?
    }

    fn requests(&self) -> io::Result<mpsc::Sender<Request>> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(requests) = &*requests {
            return Ok(requests.clone());
        }
        let (sender, receiver) = mpsc::channel(REQUESTS_MAX);
        let guard = self.guard.clone();
        let thread =
            std::thread::Builder::new().name("spawner".into()).spawn(move || run(receiver, guard.as_deref()))?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(requests.insert(sender).clone())
    }

    /// Ends the thread and joins it; every child must have ended.
    pub(super) async fn close(&self) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A join error is a panic of the thread, which has been printed.
            _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

fn run(mut requests: mpsc::Receiver<Request>, guard: Option<&Path>) {
    keep_descriptors();
    let guard = guard::Handle::start(guard);
    while let Some(Request { mut command, done }) = requests.blocking_recv() {
        if done.is_closed() {
            continue;
        }
        // If the caller is gone, what comes back is dropped.
        _ = done.send(command.spawn().and_then(|child| Started::new(child, &guard)));
    }
    guard.end();
}

/// Descriptors that the host has inherited itself are not for its children. What it opens is marked from the start.
fn keep_descriptors() {
    let Ok(open) = fs::read_dir("/dev/fd") else { return };
    let numbers: Vec<i32> = open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|number| *number > 2) {
        // SAFETY: the descriptor is used for this one call and never closed; one that is gone by now is an error.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        _ = rustix::io::fcntl_getfd(fd).and_then(|flags| rustix::io::fcntl_setfd(fd, flags | FdFlags::CLOEXEC));
    }
}
