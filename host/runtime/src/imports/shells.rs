//! What shells in terminals say about themselves.

use midplane_capabilities::terminals::Command;
use midplane_model::{Fault, event::rfc3339};

use crate::{
    bindings::{Error, imports::shells},
    instance::Guest,
};

type Answer<T> = wasmtime::Result<Result<T, Error>>;

fn answer<T>(result: Result<T, Fault>) -> Answer<T> {
    Ok(result.map_err(Error::from))
}

impl shells::Host for Guest {
    async fn status(&mut self, id: String) -> Answer<shells::ShellStatus> {
        let status = || Ok(self.terminals()?.status(&id)?);
        answer(status().map(|status| shells::ShellStatus {
            cwd: status.cwd,
            opened_by: status.opened_by,
            attachments: u32::try_from(status.attachments).unwrap_or(u32::MAX),
            commands_ended: status.commands_ended,
            idle_ms: status.idle_ms,
        }))
    }

    async fn commands(&mut self, id: String, limit: u32) -> Answer<Vec<shells::Command>> {
        let commands = || Ok(self.terminals()?.commands(&id, limit as usize)?);
        answer(commands().map(|commands| commands.into_iter().map(command).collect()))
    }

    async fn lines_above(&mut self, id: String, limit: u32) -> Answer<Vec<String>> {
        let screen = || Ok(self.terminals()?.screen(&id, limit as usize)?);
        answer(screen().map(|screen| screen.above))
    }
}

fn command(command: Command) -> shells::Command {
    shells::Command {
        number: command.number,
        line: command.line,
        cwd: command.cwd,
        from: command.from,
        to: command.to,
        exit_code: command.exit_code,
        started_at: rfc3339(command.started_at),
        duration_ms: command.duration_ms,
    }
}
