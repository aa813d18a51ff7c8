//! Terminals: control through the guest, bytes around it. An attachment's channel is opened on the connection of the call.

use std::time::Duration;

use midplane_capabilities::terminals::{
    Exit, OpenOptions, TerminalError, TerminalEvent, TerminalInfo, TerminalState, Terminals, WaitFor,
};
use midplane_model::{ErrorCode, Fault, event::rfc3339};
use serde_json::{Value, json};
use wasmtime::component::{Accessor, HasSelf};

use super::denied;
use crate::{
    bindings::{
        Error,
        imports::{terminals, terminals_async},
    },
    instance::Guest,
};

type Answer<T> = wasmtime::Result<Result<T, Error>>;

fn answer<T>(result: Result<T, Fault>) -> Answer<T> {
    Ok(result.map_err(Error::from))
}

fn fault(error: TerminalError) -> Fault {
    error.into()
}

impl Guest {
    pub(super) fn terminals(&self) -> Result<Terminals, Fault> {
        if self.package.manifest.grants.terminals {
            Ok(self.host.parts.terminals.clone())
        } else {
            Err(denied("terminals", "using terminals"))
        }
    }
}

impl Guest {
    /// Takes what it needs of the guest now, and waits without it.
    fn wait_for_terminal(
        &self,
        id: String,
        until: WaitFor,
        timeout_ms: u64,
    ) -> impl Future<Output = Result<terminals::Info, Fault>> + Send + use<> {
        let (terminals, context) = (self.terminals(), self.outgoing());
        // A guest is never left waiting beyond the deadline of its call.
        let timeout = Duration::from_millis(timeout_ms).min(context.deadline.remaining());
        async move {
            let terminals = terminals?;
            let waiting = terminals.wait(&id, until, timeout);
            let given_up = || Fault::new(ErrorCode::Cancelled, "nobody waits for this terminal any more");
            context.cancel.run_until_cancelled(waiting).await.ok_or_else(given_up)?.map_err(fault)?;
            terminals.get(&id).map(|found| info(&found)).map_err(fault)
        }
    }
}

fn wait_for(condition: terminals::Condition) -> WaitFor {
    match condition {
        terminals::Condition::Exit => WaitFor::Exit,
        terminals::Condition::Text(text) => WaitFor::Text(text),
        terminals::Condition::Idle(ms) => WaitFor::IdleMs(ms.into()),
    }
}

fn exit_status(exit: Exit) -> terminals::ExitStatus {
    terminals::ExitStatus { code: exit.code, signal: exit.signal.map(|signal| signal.to_string()) }
}

pub(super) fn info(info: &TerminalInfo) -> terminals::Info {
    terminals::Info {
        id: info.id.to_string(),
        name: info.name.clone(),
        pid: info.pid,
        epoch: info.epoch.to_string(),
        cols: info.size.cols,
        rows: info.size.rows,
        title: info.title.clone(),
        offset: info.offset,
        created_at: rfc3339(info.created_at),
        exited: match info.state {
            TerminalState::Running => None,
            TerminalState::Exited(exit) => Some(exit_status(exit)),
        },
    }
}

/// News of a terminal as the payload of `midplane.terminals`.
pub fn news(event: &TerminalEvent) -> Value {
    match event {
        TerminalEvent::Opened(info) => {
            json!({ "kind": "opened", "id": info.id, "name": info.name, "pid": info.pid, "cols": info.size.cols, "rows": info.size.rows })
        }
        TerminalEvent::Resized { id, size } => {
            json!({ "kind": "resized", "id": id, "cols": size.cols, "rows": size.rows })
        }
        TerminalEvent::Renamed { id, name } => json!({ "kind": "renamed", "id": id, "name": name }),
        TerminalEvent::TitleChanged { id, title } => json!({ "kind": "title_changed", "id": id, "title": title }),
        TerminalEvent::Exited { id, exit } => {
            json!({ "kind": "exited", "id": id, "code": exit.code, "signal": exit.signal })
        }
        TerminalEvent::CwdChanged { id, cwd } => json!({ "kind": "cwd_changed", "id": id, "cwd": cwd }),
        TerminalEvent::RecordingBegan { id, path } => json!({ "kind": "recording_began", "id": id, "path": path }),
        TerminalEvent::RecordingEnded { id, recording } => {
            json!({ "kind": "recording_ended", "id": id, "path": recording.path, "bytes": recording.bytes, "end": recording.end })
        }
        TerminalEvent::CommandDone { id, command } => json!({ "kind": "command_done", "id": id, "command": command }),
        TerminalEvent::Closed { id } => json!({ "kind": "closed", "id": id }),
    }
}

impl terminals::Host for Guest {
    async fn open(&mut self, options: terminals::Options) -> Answer<terminals::Info> {
        let terminals = self.terminals();
        let options = OpenOptions {
            shell: options.shell,
            args: options.args,
            cwd: options.cwd,
            env: options.env,
            cols: options.cols,
            rows: options.rows,
            name: options.name,
            agent: options.agent,
            opened_by: self.caller().map(|context| context.principal.name.to_string()),
        };
        let open = async { terminals?.open(options).await.map_err(fault) };
        answer(open.await.map(|opened| info(&opened)))
    }

    async fn list(&mut self) -> wasmtime::Result<Vec<terminals::Info>> {
        Ok(self.terminals().map(|terminals| terminals.list().iter().map(info).collect()).unwrap_or_default())
    }

    async fn get(&mut self, id: String) -> Answer<terminals::Info> {
        answer(self.terminals().and_then(|terminals| terminals.get(&id).map_err(fault)).map(|found| info(&found)))
    }

    async fn close(&mut self, id: String) -> Answer<()> {
        let terminals = self.terminals();
        answer(async { terminals?.close(&id).await.map_err(fault) }.await)
    }

    async fn signal(&mut self, id: String, signal: String) -> Answer<()> {
        answer(self.terminals().and_then(|terminals| terminals.signal(&id, &signal).map_err(fault)))
    }

    async fn write(&mut self, id: String, bytes: Vec<u8>) -> Answer<()> {
        answer(self.terminals().and_then(|terminals| terminals.write(&id, &bytes).map_err(fault)))
    }

    async fn resize(&mut self, id: String, cols: u16, rows: u16) -> Answer<()> {
        answer(self.terminals().and_then(|terminals| terminals.resize(&id, cols, rows).map_err(fault)))
    }

    async fn rename(&mut self, id: String, name: String) -> Answer<()> {
        answer(self.terminals().and_then(|terminals| terminals.rename(&id, &name).map_err(fault)))
    }

    async fn attach(&mut self, id: String, options: terminals::AttachOptions) -> Answer<terminals::Attached> {
        answer(self.attach_to_terminal(&id, options, None).map(|(attached, _)| attached))
    }

    async fn screen(&mut self, id: String) -> Answer<terminals::ScreenText> {
        let screen = self.terminals().and_then(|terminals| terminals.screen(&id, 0).map_err(fault));
        answer(screen.map(|screen| terminals::ScreenText {
            lines: screen.lines,
            cursor_row: screen.cursor_row,
            cursor_col: screen.cursor_col,
            cols: screen.size.cols,
            rows: screen.size.rows,
            title: screen.title,
            offset: screen.offset,
        }))
    }

    async fn read(&mut self, id: String, from: u64, limit_bytes: u32) -> Answer<terminals::Output> {
        let piece =
            self.terminals().and_then(|terminals| terminals.read(&id, from, limit_bytes as usize).map_err(fault));
        answer(piece.map(|piece| terminals::Output { offset: piece.offset, bytes: piece.bytes, next: piece.next }))
    }

    async fn wait(&mut self, id: String, until: terminals::Condition, timeout_ms: u64) -> Answer<terminals::Info> {
        let waiting = self.wait_for_terminal(id, wait_for(until), timeout_ms);
        answer(waiting.await)
    }
}

impl terminals_async::Host for Guest {}

impl terminals_async::HostWithStore<Guest> for HasSelf<Guest> {
    async fn wait(
        accessor: &Accessor<Guest>,
        id: String,
        until: terminals::Condition,
        timeout_ms: u64,
    ) -> Answer<terminals::Info> {
        let waiting = accessor.with(|mut access| access.get().wait_for_terminal(id, wait_for(until), timeout_ms));
        answer(waiting.await)
    }

    async fn command_done(
        accessor: &Accessor<Guest>,
        id: String,
        number: Option<u64>,
        timeout_ms: u64,
    ) -> Answer<terminals::Info> {
        let until = WaitFor::CommandDone(number);
        let waiting = accessor.with(|mut access| access.get().wait_for_terminal(id, until, timeout_ms));
        answer(waiting.await)
    }
}
