//! A long-lived child: its input queue, what it has written, its end.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use midplane_model::limits::{PROCESS_INPUT_BYTES_MAX, PROCESS_INPUTS_QUEUED_MAX};
use rustix::process::Signal;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::ChildStdin,
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};

use super::{
    Exit,
    capture::{CHUNK_BYTES, DRAIN_MAX, reaped},
    error::ProcessError,
    options::{OnExit, Piece, ProcessInfo, Stream},
    running::{self, Running},
};
use crate::{child::Process, ring::Ring};

/// Time a child has to leave after SIGTERM.
const END_GRACE: Duration = Duration::from_secs(1);

/// Bytes on their way in, with the room they take.
struct Input {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

pub(super) struct Child {
    id: Arc<str>,
    program: String,
    started_at: SystemTime,
    process: Arc<Process>,
    /// None once closed. At most `PROCESS_INPUTS_QUEUED_MAX` writes of together `PROCESS_INPUT_BYTES_MAX`; when full, a write
    /// is refused.
    input: Mutex<Option<mpsc::Sender<Input>>>,
    room: Arc<Semaphore>,
    written: Mutex<Written>,
    changed: Notify,
}

/// What the child has written, and how it ended.
struct Written {
    stdout: Output,
    stderr: Output,
    exit: Option<Exit>,
}

struct Output {
    ring: Ring,
    ended: bool,
}

impl Written {
    fn of(&mut self, stream: Stream) -> &mut Output {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

impl Child {
    /// The child, and its work: to be awaited to its end by a task.
    pub(super) fn start(
        id: Arc<str>,
        program: String,
        running: Running,
        ring_bytes: usize,
        on_exit: OnExit,
    ) -> (Arc<Self>, impl Future<Output = ()> + Send + 'static) {
        let (input, inputs) = mpsc::channel(PROCESS_INPUTS_QUEUED_MAX);
        let output = || Output { ring: Ring::new(ring_bytes), ended: false };
        let child = Arc::new(Self {
            id,
            program,
            started_at: SystemTime::now(),
            process: running.process.clone(),
            input: Mutex::new(Some(input)),
            room: Arc::new(Semaphore::new(PROCESS_INPUT_BYTES_MAX)),
            written: Mutex::new(Written { stdout: output(), stderr: output(), exit: None }),
            changed: Notify::new(),
        });
        let work = child.clone().work(running, inputs, on_exit);
        (child, work)
    }

    async fn work(self: Arc<Self>, running: Running, inputs: mpsc::Receiver<Input>, on_exit: OnExit) {
        let Running { stdin, stdout, stderr, mut exit, .. } = running;
        let exit = {
            let outputs = async { tokio::join!(self.pump(Stream::Stdout, stdout), self.pump(Stream::Stderr, stderr)) };
            tokio::pin!(outputs);
            let feeding = feed(stdin, inputs);
            tokio::pin!(feeding);
            let (mut fed, mut drained) = (false, false);
            loop {
                // None of these is begun anew: each goes on where it was.
                tokio::select! {
                    exit = &mut exit => {
                        if !drained {
                            // What is missing now is held by somebody who is not ours.
                            _ = timeout(DRAIN_MAX, &mut outputs).await;
                        }
                        break reaped(exit);
                    }
                    _ = &mut outputs, if !drained => drained = true,
                    () = &mut feeding, if !fed => fed = true,
                }
            }
        };
        self.close_input();
        {
            let mut written = self.written();
            written.exit = Some(exit);
            (written.stdout.ended, written.stderr.ended) = (true, true);
        }
        self.changed.notify_waiters();
        on_exit(self.info()).await;
    }

    async fn pump(&self, stream: Stream, mut from: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(count @ 1..) = from.read(&mut chunk).await {
            self.written().of(stream).ring.push(&chunk[..count]);
            self.changed.notify_waiters();
        }
        self.written().of(stream).ended = true;
        self.changed.notify_waiters();
    }

    pub(super) fn info(&self) -> ProcessInfo {
        ProcessInfo {
            id: self.id.clone(),
            program: self.program.clone(),
            pid: self.process.id(),
            started_at: self.started_at,
            exit: self.written().exit,
        }
    }

    /// Queues input, all of it or none.
    ///
    /// # Errors
    /// `InputTooLarge`, `InputFull`, `InputClosed`, `Ended`.
    pub(super) fn write(&self, bytes: Vec<u8>) -> Result<(), ProcessError> {
        let limit_bytes = PROCESS_INPUT_BYTES_MAX;
        if bytes.len() > limit_bytes {
            return Err(ProcessError::InputTooLarge { limit_bytes });
        }
        self.check_running()?;
        let id = || self.id.to_string();
        let input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        let input = input.as_ref().ok_or_else(|| ProcessError::InputClosed { id: id() })?;
        let units = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(units);
        let room = room.map_err(|_| ProcessError::InputFull { id: id() })?;
        input.try_send(Input { bytes, _room: room }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ProcessError::InputFull { id: id() },
            // The program closed its end.
            mpsc::error::TrySendError::Closed(_) => ProcessError::InputClosed { id: id() },
        })
    }

    /// No more input: the program reads its end after what is queued.
    pub(super) fn close_input(&self) {
        self.input.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// At most `limit_bytes` of a stream from `from` on; waits up to `patience` for something to be there.
    ///
    /// # Errors
    /// `BadParameter` when `from` lies ahead of the output.
    pub(super) async fn read(
        &self,
        stream: Stream,
        from: u64,
        limit_bytes: usize,
        patience: Duration,
    ) -> Result<Piece, ProcessError> {
        let there = self.when(|written| {
            let output = written.of(stream);
            (output.ended || output.ring.end() != from).then_some(())
        });
        // Nothing in time is an empty piece.
        _ = timeout(patience, there).await;
        let mut written = self.written();
        let output = written.of(stream);
        let (start, end) = (output.ring.start(), output.ring.end());
        if from > end {
            let message = format!("the output ends at {end}, before {from}");
            return Err(ProcessError::BadParameter { path: "params.from", message });
        }
        let offset = from.max(start);
        let bytes = output.ring.read(offset, limit_bytes);
        let next = offset + bytes.len() as u64;
        Ok(Piece { offset, bytes, next, ended: output.ended && next == end })
    }

    /// # Errors
    /// `Ended`, `Signal`.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), ProcessError> {
        let id = || self.id.to_string();
        match running::signal(&self.process, signal) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ProcessError::Ended { id: id() }),
            Err(source) => Err(ProcessError::Signal { id: id(), source }),
        }
    }

    pub(super) async fn ended(&self) -> Exit {
        self.when(|written| written.exit).await
    }

    /// SIGTERM, a second, SIGKILL. A stopped program would notice neither, so it is continued.
    pub(super) async fn end(&self) {
        for gentle in [Signal::TERM, Signal::CONT] {
            _ = self.signal(gentle);
        }
        if timeout(END_GRACE, self.ended()).await.is_err() {
            running::kill(&self.process);
            _ = self.ended().await;
        }
    }

    fn check_running(&self) -> Result<(), ProcessError> {
        match self.written().exit {
            Some(_) => Err(ProcessError::Ended { id: self.id.to_string() }),
            None => Ok(()),
        }
    }

    async fn when<T>(&self, mut condition: impl FnMut(&mut Written) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Before looking, so that no change falls between.
            changed.as_mut().enable();
            if let Some(found) = condition(&mut self.written()) {
                return found;
            }
            changed.await;
        }
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn feed(mut stdin: ChildStdin, mut inputs: mpsc::Receiver<Input>) {
    while let Some(input) = inputs.recv().await {
        if stdin.write_all(&input.bytes).await.is_err() {
            // The program reads no more; whoever writes on learns it.
            return;
        }
    }
}
