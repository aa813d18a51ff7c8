//! Programs of the machine, as far as `[grants] processes` names them.

use std::time::Duration;

use midplane_capabilities::processes::{Command, Exit, Finished, OnExit, ProcessInfo, Processes, RunOptions, Stream};
use midplane_model::{
    BoxFuture, ErrorCode, Fault,
    event::rfc3339,
    limits::{PROCESS_OUTPUT_BYTES_DEFAULT, PROCESS_OUTPUT_BYTES_MAX, PROCESS_RING_BYTES, PROCESS_STDIN_BYTES_MAX},
};
use serde_json::json;

use super::denied;
use crate::{
    bindings::{Error, imports::processes},
    inbox,
    instance::Guest,
    wasi,
};

type Answer<T> = wasmtime::Result<Result<T, Error>>;

fn answer<T>(result: Result<T, Fault>) -> Answer<T> {
    Ok(result.map_err(Error::from))
}

/// Of the host's environment for every program.
const INHERITED: [&str; 3] = ["PATH", "HOME", "LANG"];

impl Guest {
    /// For those that work with processes that exist: without any grant there are none.
    fn processes(&self) -> Result<Processes, Fault> {
        if self.package.manifest.grants.processes.is_empty() {
            return Err(denied("processes", "using processes"));
        }
        Ok(self.host.parts.processes.clone())
    }

    /// A program that is granted under exactly this name, with the environment that it gets.
    fn granted_command(&self, command: processes::Command) -> Result<Command, Fault> {
        let processes::Command { program, args, cwd, env: added } = command;
        let grants = &self.package.manifest.grants;
        if !grants.processes.contains(&program) {
            return Err(denied("processes", &format!("running {program:?}")));
        }
        let host = &self.host.parts.environment;
        let inherited = INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), host.get(*name)?.clone())));
        let env =
            inherited.chain([("TERM".to_owned(), "dumb".to_owned())]).chain(wasi::granted_environment(host, grants));
        Ok(Command { program, args, cwd, env: env.chain(added).collect() })
    }

    /// Tells the plugin, whichever generation it is then, that a child has ended.
    fn news_of_exit(&self) -> OnExit {
        let inbox = self.inbox.clone();
        Box::new(move |info| -> BoxFuture<'static, ()> {
            Box::pin(async move {
                // A plugin that is gone needs no news.
                _ = inbox.send(inbox::Command::News { topic: "midplane.processes", payload: exited(&info) }).await;
            })
        })
    }
}

fn exited(info: &ProcessInfo) -> String {
    let (code, signal) = info.exit.map_or((0, None), |exit| (exit.code, exit.signal));
    json!({ "kind": "exited", "id": info.id, "program": info.program, "code": code, "signal": signal }).to_string()
}

fn run_options(options: processes::RunOptions) -> Result<RunOptions, Fault> {
    if options.stdin.len() > PROCESS_STDIN_BYTES_MAX {
        let message = format!("more than {PROCESS_STDIN_BYTES_MAX} bytes of input; spawn the program and write to it");
        return Err(Fault::new(ErrorCode::TooLarge, message).with("limit_bytes", PROCESS_STDIN_BYTES_MAX));
    }
    let bytes_max =
        |max: Option<u32>| max.map_or(PROCESS_OUTPUT_BYTES_DEFAULT, |max| (max as usize).min(PROCESS_OUTPUT_BYTES_MAX));
    Ok(RunOptions {
        stdin: options.stdin,
        timeout: options.timeout_ms.map(|ms| Duration::from_millis(ms.into())),
        stdout_bytes_max: bytes_max(options.stdout_bytes_max),
        stderr_bytes_max: bytes_max(options.stderr_bytes_max),
    })
}

fn exit_status(exit: Exit) -> processes::ExitStatus {
    processes::ExitStatus { code: exit.code, signal: exit.signal }
}

fn finished(finished: Finished) -> processes::Finished {
    processes::Finished {
        exit: exit_status(finished.exit),
        timed_out: finished.timed_out,
        stdout: finished.stdout,
        stdout_truncated: finished.stdout_truncated,
        stderr: finished.stderr,
        stderr_truncated: finished.stderr_truncated,
    }
}

fn info(info: &ProcessInfo) -> processes::Info {
    processes::Info {
        id: info.id.to_string(),
        program: info.program.clone(),
        pid: info.pid,
        started_at: rfc3339(info.started_at),
        exited: info.exit.map(exit_status),
    }
}

// What is asked for is settled before each await: a store is not shared between threads, so `&self` may not live across one.
impl processes::Host for Guest {
    async fn run(
        &mut self,
        command: processes::Command,
        options: processes::RunOptions,
    ) -> Answer<processes::Finished> {
        let (processes, owner) = (self.processes(), self.slot.name.clone());
        let command = self.granted_command(command);
        // Dropped at the deadline, which kills the program.
        let run = async {
            let (processes, command, options) = (processes?, command?, run_options(options)?);
            Ok(processes.run(&owner, command, options).await?)
        };
        answer(self.in_time(run).await.map(finished))
    }

    async fn spawn(&mut self, command: processes::Command) -> Answer<processes::Info> {
        let (processes, owner) = (self.processes(), self.slot.name.clone());
        let (command, news) = (self.granted_command(command), self.news_of_exit());
        let spawn = async { Ok(processes?.spawn(&owner, command?, news).await?) };
        answer(self.in_time(spawn).await.map(|spawned| info(&spawned)))
    }

    async fn write(&mut self, id: String, bytes: Vec<u8>) -> Answer<()> {
        answer(self.processes().and_then(|processes| Ok(processes.write(&self.slot.name, &id, bytes)?)))
    }

    async fn close_stdin(&mut self, id: String) -> Answer<()> {
        answer(self.processes().and_then(|processes| Ok(processes.close_input(&self.slot.name, &id)?)))
    }

    async fn read(
        &mut self,
        id: String,
        stream: processes::Stream,
        from: u64,
        limit_bytes: u32,
        wait_ms: u32,
    ) -> Answer<processes::Output> {
        let (processes, owner) = (self.processes(), self.slot.name.clone());
        let stream = match stream {
            processes::Stream::Stdout => Stream::Stdout,
            processes::Stream::Stderr => Stream::Stderr,
        };
        let limit_bytes =
            if limit_bytes == 0 { PROCESS_RING_BYTES } else { (limit_bytes as usize).min(PROCESS_RING_BYTES) };
        let patience = Duration::from_millis(wait_ms.into());
        let read = async { Ok(processes?.read(&owner, &id, (stream, from), limit_bytes, patience).await?) };
        answer(self.in_time(read).await.map(|piece| processes::Output {
            offset: piece.offset,
            bytes: piece.bytes,
            next: piece.next,
            ended: piece.ended,
        }))
    }

    async fn signal(&mut self, id: String, signal: String) -> Answer<()> {
        answer(self.processes().and_then(|processes| Ok(processes.signal(&self.slot.name, &id, &signal)?)))
    }

    async fn wait(&mut self, id: String, timeout_ms: u64) -> Answer<processes::ExitStatus> {
        let (processes, owner) = (self.processes(), self.slot.name.clone());
        let wait = async {
            let processes = processes?;
            match tokio::time::timeout(Duration::from_millis(timeout_ms), processes.wait(&owner, &id)).await {
                Ok(exit) => Ok(exit?),
                Err(_) => Err(Fault::timeout(timeout_ms)),
            }
        };
        answer(self.in_time(wait).await.map(exit_status))
    }

    async fn close(&mut self, id: String) -> Answer<()> {
        let (processes, owner) = (self.processes(), self.slot.name.clone());
        let close = async { Ok(processes?.close(&owner, &id).await?) };
        answer(self.in_time(close).await)
    }

    async fn list(&mut self) -> wasmtime::Result<Vec<processes::Info>> {
        let list = self.processes().map(|processes| processes.list(&self.slot.name));
        Ok(list.map(|list| list.iter().map(info).collect()).unwrap_or_default())
    }
}
