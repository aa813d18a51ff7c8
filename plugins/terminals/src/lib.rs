//! The plugin `terminals`: what clients may ask of the host's pseudo-terminals.
//!
//! Policy only: defaults, names of signals, conditions to wait for, and the events `terminals.*`. A terminal belongs to
//! the host and outlives this instance; its bytes go around this component on the channel that `attach` opens.

mod news;
mod until;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use exports::midplane::{
    host::subscriber::{Event, Guest as Subscriber},
    terminals::terminals::{
        Attached, Done, Error, ExitStatus, Guest as Terminals, Info, Output, Position, Profile, Role, ScreenText,
    },
};
use midplane::host::terminals_async;
use midplane_sdk::host::{events, terminals as pty};

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

impl Subscriber for Plugin {
    fn on_event(event: Event) -> Result<(), Error> {
        if event.topic != "midplane.terminals" {
            return Ok(());
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
        let options = pty::Options {
            shell,
            args: args.unwrap_or_default(),
            cwd,
            env: env.unwrap_or_default(),
            cols: cols.unwrap_or(COLS_DEFAULT),
            rows: rows.unwrap_or(ROWS_DEFAULT),
            name,
            agent: profile == Some(Profile::Agent),
        };
        pty::open(&options).map(Info::from)
    }

    fn list() -> Result<Vec<Info>, Error> {
        Ok(pty::list().into_iter().map(Info::from).collect())
    }

    fn get(id: String) -> Result<Info, Error> {
        pty::get(&id).map(Info::from)
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
        let pty::Attached { channel, epoch, offset, delta } = pty::attach(&id, &options)?;
        Ok(Attached { channel, epoch, offset, delta })
    }

    fn screen(id: String) -> Result<ScreenText, Error> {
        let pty::ScreenText { lines, cursor_row, cursor_col, cols, rows, title, offset } = pty::screen(&id)?;
        Ok(ScreenText { lines, cursor_row, cursor_col, cols, rows, title, offset })
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

    async fn wait(id: String, until: String, timeout_ms: Option<u64>) -> Result<Info, Error> {
        let condition = until::condition(&until)?;
        terminals_async::wait(id, condition, timeout_ms.unwrap_or(WAIT_MS_DEFAULT)).await.map(Info::from)
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
            exited: info.exited.map(|status| ExitStatus { code: status.code, signal: status.signal }),
        }
    }
}
