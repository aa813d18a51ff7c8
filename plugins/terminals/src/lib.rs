//! The plugin `terminals`: what clients may ask of the host's pseudo-terminals.
//!
//! Policy only: who may open what, defaults, the profile of agents, names of signals, conditions to wait for, and the events
//! `terminals.*`. A terminal belongs to the host and outlives this instance; its bytes go around this component on the channel
//! that `attach` opens.

mod agent;
mod news;
mod policy;
mod until;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use exports::midplane::{
    host::{
        lifecycle::{Ending, Guest as Lifecycle, Occasion},
        subscriber::{Event, Guest as Subscriber},
    },
    terminals::terminals::{
        Attached, Command, Done, Error, ExitStatus, Guest as Terminals, Info, Output, Position, Profile, Recording,
        RecordingEnd, Role, ScreenText, SizePolicy,
    },
};
use midplane::host::terminals_async;
use midplane_sdk::host::{attachments, context, events, recordings, shells, terminals as pty, timers};
use policy::Policy;
use until::Until;

midplane_sdk::generate!({ path: ["../../wit/host", "../../wit/terminals", "wit"], world: "midplane:terminals-plugin/plugin" });

struct Plugin;

export!(Plugin);

/// Size of a terminal whose opener names none, in cells.
const COLS_DEFAULT: u16 = 80;
const ROWS_DEFAULT: u16 = 24;
/// Bytes that one `read` returns where the caller names no limit.
const READ_BYTES_DEFAULT: u32 = 64 * 1024;
/// Bytes that one `read` returns at most, so that the answer stays below the largest message.
const READ_BYTES_MAX: u32 = 512 * 1024;
/// How long `wait` waits where the caller names no time. The deadline of the call still holds.
const WAIT_MS_DEFAULT: u64 = 30_000;

/// Commands that `commands` returns where the caller names no limit.
const COMMANDS_DEFAULT: u32 = 20;
/// The timer that looks for idle terminals.
const IDLE_TIMER: &str = "idle";

impl Lifecycle for Plugin {
    fn start(_: Occasion) -> Result<(), Error> {
        match Policy::current()?.idle_close_ms {
            // Late by a quarter at most.
            Some(idle_ms) => timers::set(IDLE_TIMER, (idle_ms / 4).max(250), true),
            None => {
                timers::cancel(IDLE_TIMER);
                Ok(())
            }
        }
    }

    fn stop(_: Ending) {}

    fn health() -> Result<(), Error> {
        Ok(())
    }
}

impl Subscriber for Plugin {
    fn on_event(event: Event) -> Result<(), Error> {
        match event.topic.as_str() {
            "midplane.timer" => return Policy::current()?.close_idle(),
            "midplane.terminals" => {}
            _ => return Ok(()),
        }
        let (topic, payload) = news::announcement(&event.payload)?;
        events::publish(&topic, &payload)?;
        Ok(())
    }
}

impl Terminals for Plugin {
    fn open(
        shell: Option<String>,
        args: Option<Vec<String>>,
        cwd: Option<String>,
        env: Option<Vec<(String, String)>>,
        cols: Option<u16>,
        rows: Option<u16>,
        name: Option<String>,
        profile: Option<Profile>,
    ) -> Result<Info, Error> {
        let agent = profile == Some(Profile::Agent);
        let principal = context::current().map(|caller| caller.principal);
        let named = shell.is_some();
        let shell = shell.or_else(|| agent.then(|| agent::SHELLS[0].to_owned()));
        Policy::current()?.admit(shell.as_deref().filter(|_| named), principal.as_deref())?;
        let mut options = pty::Options {
            shell,
            args: args.unwrap_or_default(),
            cwd,
            env: env.unwrap_or_default(),
            cols: cols.unwrap_or(COLS_DEFAULT),
            rows: rows.unwrap_or(ROWS_DEFAULT),
            name,
            agent,
        };
        if !agent {
            return pty::open(&options).and_then(described);
        }
        match open_for_agent(options.clone()) {
            Err(error) if !named && error.code == "invalid_params" => {
                options.shell = Some(agent::SHELLS[1].to_owned());
                open_for_agent(options)
            }
            opened => opened,
        }
    }

    fn list() -> Result<Vec<Info>, Error> {
        // One that is closed meanwhile is left out.
        Ok(pty::list().into_iter().filter_map(|info| described(info).ok()).collect())
    }

    fn get(id: String) -> Result<Info, Error> {
        pty::get(&id).and_then(described)
    }

    fn close(id: String) -> Result<Done, Error> {
        pty::close(&id)?;
        Ok(Done { id })
    }

    fn signal(id: String, signal: String) -> Result<Done, Error> {
        // Both spellings are common: `INT` and `SIGINT`.
        let signal = signal.to_ascii_uppercase();
        pty::signal(&id, signal.strip_prefix("SIG").unwrap_or(&signal))?;
        Ok(Done { id })
    }

    fn write(id: String, content: String) -> Result<Done, Error> {
        pty::write(&id, content.as_bytes())?;
        Ok(Done { id })
    }

    fn resize(id: String, cols: u16, rows: u16) -> Result<Done, Error> {
        pty::resize(&id, cols, rows)?;
        Ok(Done { id })
    }

    fn rename(id: String, name: String) -> Result<Done, Error> {
        pty::rename(&id, &name)?;
        Ok(Done { id })
    }

    fn attach(
        id: String,
        role: Option<Role>,
        resume: Option<Position>,
        lossless: Option<bool>,
        max_unacked_bytes: Option<u32>,
        cols: Option<u16>,
        rows: Option<u16>,
        scrollback_lines: Option<u32>,
        lineage: Option<String>,
    ) -> Result<Attached, Error> {
        let options = pty::AttachOptions {
            role: match role.unwrap_or(Role::Drive) {
                Role::Drive => pty::Role::Drive,
                Role::View => pty::Role::View,
            },
            resume: resume.map(|Position { epoch, offset }| pty::Position { epoch, offset }),
            lossless: lossless.unwrap_or(false),
            max_unacked_bytes,
        };
        let wishes = attachments::Wishes { cols, rows, scrollback_lines, lineage };
        let (attached, lineage) = attachments::attach(&id, &options, &wishes)?;
        let pty::Attached { channel, epoch, offset, delta } = attached;
        let attachments::Lineage { name, input_offset } = lineage;
        Ok(Attached { channel, epoch, offset, delta, lineage: name, input_offset })
    }

    fn detach(id: String, channel: u32) -> Result<Done, Error> {
        attachments::detach(channel)?;
        Ok(Done { id })
    }

    fn claim(id: String, channel: u32) -> Result<Done, Error> {
        attachments::claim(&id, channel)?;
        Ok(Done { id })
    }

    fn release(id: String, channel: u32) -> Result<Done, Error> {
        attachments::release(&id, channel)?;
        Ok(Done { id })
    }

    fn set_size_policy(id: String, policy: SizePolicy) -> Result<Done, Error> {
        let policy = match policy {
            SizePolicy::Driver => attachments::SizePolicy::Driver,
            SizePolicy::Smallest => attachments::SizePolicy::Smallest,
            SizePolicy::Fixed => attachments::SizePolicy::Fixed,
        };
        attachments::set_size_policy(&id, policy)?;
        Ok(Done { id })
    }

    fn screen(id: String, scrollback_lines: Option<u32>) -> Result<ScreenText, Error> {
        let above = match scrollback_lines {
            None | Some(0) => Vec::new(),
            Some(limit) => shells::lines_above(&id, limit)?,
        };
        let pty::ScreenText { lines, cursor_row, cursor_col, cols, rows, title, offset } = pty::screen(&id)?;
        Ok(ScreenText { lines, above, cursor_row, cursor_col, cols, rows, title, offset })
    }

    fn commands(id: String, limit: Option<u32>) -> Result<Vec<Command>, Error> {
        let commands = shells::commands(&id, limit.unwrap_or(COMMANDS_DEFAULT))?;
        Ok(commands.into_iter().map(Command::from).collect())
    }

    fn read(id: String, from: u64, limit_bytes: Option<u32>) -> Result<Output, Error> {
        let limit = limit_bytes.unwrap_or(READ_BYTES_DEFAULT);
        if !(1..=READ_BYTES_MAX).contains(&limit) {
            let message = format!("params.limit_bytes: must be 1 to {READ_BYTES_MAX}, got {limit}");
            return Err(Error::invalid_params("params.limit_bytes", message));
        }
        let pty::Output { offset, bytes, next } = pty::read(&id, from, limit)?;
        Ok(Output { offset, content_base64: BASE64.encode(bytes), next })
    }

    fn record(id: String, path: String, input: Option<bool>, limit_bytes: Option<u64>) -> Result<Recording, Error> {
        let options = recordings::Options { input: input.unwrap_or(false), limit_bytes };
        recordings::start(&id, &path, options).map(Recording::from)
    }

    fn stop_recording(id: String) -> Result<Recording, Error> {
        recordings::stop(&id).map(Recording::from)
    }

    fn play(path: String, speed: Option<f64>, idle_limit_ms: Option<u64>, name: Option<String>) -> Result<Info, Error> {
        let principal = context::current().map(|caller| caller.principal);
        Policy::current()?.admit(None, principal.as_deref())?;
        let options = recordings::PlayOptions { name, speed: speed.unwrap_or(1.0), idle_limit_ms };
        recordings::play(&path, &options).and_then(described)
    }

    async fn wait(id: String, until: String, timeout_ms: Option<u64>) -> Result<Info, Error> {
        let timeout_ms = timeout_ms.unwrap_or(WAIT_MS_DEFAULT);
        let waited = match until::condition(&until)? {
            Until::Host(condition) => terminals_async::wait(id, condition, timeout_ms).await,
            Until::CommandDone(number) => terminals_async::command_done(id, number, timeout_ms).await,
        };
        waited.and_then(described)
    }
}

fn open_for_agent(mut options: pty::Options) -> Result<Info, Error> {
    if options.args.is_empty() {
        let (args, env) = agent::setting(options.shell.as_deref().unwrap_or_default());
        options.args = args;
        // Of two values for a name the later one counts: the caller's.
        options.env.splice(..0, env);
    }
    pty::open(&options).and_then(described)
}

/// With what its shell has said.
fn described(info: pty::Info) -> Result<Info, Error> {
    let shells::ShellStatus { cwd, opened_by, attachments, .. } = shells::status(&info.id)?;
    Ok(Info { cwd, opened_by, attachments, ..Info::from(info) })
}

impl From<shells::Command> for Command {
    fn from(command: shells::Command) -> Self {
        let shells::Command { number, line, cwd, from, to, exit_code, started_at, duration_ms } = command;
        Self { number, line, cwd, from, to, exit_code, started_at, duration_ms }
    }
}

impl From<recordings::Recording> for Recording {
    fn from(recording: recordings::Recording) -> Self {
        let recordings::Recording { path, bytes, end } = recording;
        let end = end.map(|end| match end {
            recordings::End::Stopped => RecordingEnd::Stopped,
            recordings::End::Exited => RecordingEnd::Exited,
            recordings::End::Closed => RecordingEnd::Closed,
            recordings::End::Limit => RecordingEnd::Limit,
            recordings::End::Slow => RecordingEnd::Slow,
            recordings::End::Failed => RecordingEnd::Failed,
        });
        Self { path, bytes, end }
    }
}

impl From<pty::Info> for Info {
    fn from(info: pty::Info) -> Self {
        Self {
            id: info.id,
            name: info.name,
            pid: info.pid,
            epoch: info.epoch,
            cols: info.cols,
            rows: info.rows,
            title: info.title,
            offset: info.offset,
            created_at: info.created_at,
            cwd: None,
            opened_by: None,
            attachments: 0,
            exited: info.exited.map(|status| ExitStatus { code: status.code, signal: status.signal }),
        }
    }
}
