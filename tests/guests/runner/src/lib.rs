//! Runs programs, and publishes as `runner.told` what it is told about them.

use exports::{
    midplane::host::subscriber::{Event, Guest as Subscriber},
    test::runner::runner::{Ended, Error, Guest},
};
use midplane_sdk::host::{
    events,
    processes::{self, Command, RunOptions, Stream},
};

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:runner/guest" });

struct Runner;

export!(Runner);

fn command(program: String, args: Vec<String>) -> Command {
    Command { program, args, cwd: None, env: Vec::new() }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Guest for Runner {
    fn run(program: String, args: Vec<String>, stdin: String, timeout_ms: Option<u32>) -> Result<Ended, Error> {
        let stdin = stdin.into_bytes();
        let options = RunOptions { stdin, timeout_ms, stdout_bytes_max: Some(1000), stderr_bytes_max: None };
        let finished = processes::run(&command(program, args), &options)?;
        Ok(Ended {
            code: finished.exit.code,
            stdout: text(&finished.stdout),
            stderr: text(&finished.stderr),
            truncated: finished.stdout_truncated,
            timed_out: finished.timed_out,
        })
    }

    fn spawn(program: String, args: Vec<String>) -> Result<String, Error> {
        Ok(processes::spawn(&command(program, args))?.id)
    }

    fn write(id: String, text: String) -> Result<(), Error> {
        processes::write(&id, text.as_bytes())
    }

    fn close_stdin(id: String) -> Result<(), Error> {
        processes::close_stdin(&id)
    }

    fn read(id: String, from: u64, wait_ms: u32) -> Result<(String, u64, bool), Error> {
        let output = processes::read(&id, Stream::Stdout, from, 0, wait_ms)?;
        Ok((text(&output.bytes), output.next, output.ended))
    }

    fn signal(id: String, signal: String) -> Result<(), Error> {
        processes::signal(&id, &signal)
    }

    fn wait(id: String, timeout_ms: u64) -> Result<i32, Error> {
        Ok(processes::wait(&id, timeout_ms)?.code)
    }

    fn close(id: String) -> Result<(), Error> {
        processes::close(&id)
    }

    fn children() -> Vec<String> {
        processes::list().into_iter().map(|info| info.id).collect()
    }
}

impl Subscriber for Runner {
    fn on_event(event: Event) -> Result<(), Error> {
        events::publish("runner.told", &event.payload)?;
        Ok(())
    }
}
