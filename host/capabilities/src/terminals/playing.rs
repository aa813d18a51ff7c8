//! Playing a recording: a terminal without a program, whose output comes from a file in the time of the recording. It is
//! attached to, read and waited for like any other; input, sizes and signals it refuses.

use std::{
    fs::File,
    io::{BufReader, ErrorKind},
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use super::{
    asciicast::{Cast, Event, Pace},
    error::TerminalError,
    opening::identity,
    options::{SizePolicy, TerminalEvent, TerminalInfo},
    registry::Terminals,
    spawn::checked_name,
    state::READ_BYTES,
    terminal::Terminal,
    wake::Alarm,
};
use crate::child::Exit;

/// How to play a recording.
#[derive(Debug, Clone)]
pub struct PlayOptions {
    /// Of the terminal.
    pub name: String,
    /// How many times as fast as recorded: 0.01 to 1,000.
    pub speed: f64,
    /// Longest pause between two events, in the recording's time; what the recording says without.
    pub idle_limit: Option<Duration>,
    /// Who opens it, where that is known.
    pub opened_by: Option<String>,
}

impl Terminals {
    /// Opens a terminal in which a recording is played, from its beginning and once. Dropping the future does not stop it.
    ///
    /// # Errors
    /// `BadParameter` for what is no asciicast v2, for a speed or a name; `TooManyTerminals`, `ShuttingDown`; `Spawn` when the
    /// machine refuses. A file that turns out to be none further on ends with that on the screen and the exit code 1.
    pub async fn play(&self, recording: File, options: PlayOptions) -> Result<TerminalInfo, TerminalError> {
        if !(0.01..=1000.0).contains(&options.speed) {
            let message = format!("a recording is played 0.01 to 1000 times as fast, not {}", options.speed);
            return Err(TerminalError::BadParameter { path: "params.speed", message });
        }
        let name = checked_name(&options.name)?;
        self.open_in_slot(name.clone(), move |terminals, slot| {
            let cast = Cast::open(BufReader::new(recording)).map_err(|error| match error.kind() {
                ErrorKind::InvalidData => {
                    TerminalError::BadParameter { path: "params.path", message: format!("no recording: {error}") }
                }
                _ => TerminalError::Spawn { shell: options.name.clone(), source: error.into() },
            })?;
            let own_limit = cast.header.idle_time_limit.and_then(|limit| Duration::try_from_secs_f64(limit).ok());
            let pace = Pace::new(options.speed, options.idle_limit.or(own_limit));
            let identity = identity(name, cast.header.size, options.opened_by)?;
            let alarm = Arc::new(Alarm::default());
            terminals.begin(
                &options.name,
                slot,
                identity,
                Waker::from(Arc::clone(&alarm)),
                || Ok(None),
                |terminal| {
                    terminal.lock().size_policy = SizePolicy::Fixed;
                    terminal.start_playing(move |terminal| Player { terminal, alarm, pace }.run(cast))
                },
            )
        })
        .await
    }
}

struct Player<'a> {
    terminal: &'a Terminal,
    alarm: Arc<Alarm>,
    pace: Pace,
}

/// The terminal is being closed.
struct Closing;

impl Player<'_> {
    fn run(mut self, mut cast: Cast<BufReader<File>>) -> Exit {
        let began = Instant::now();
        loop {
            let played = match cast.next_event() {
                Ok(None) => return Exit { code: 0, signal: None },
                Ok(Some((at, event))) => {
                    let due = began.checked_add(self.pace.due(at));
                    self.wait_until(due).and_then(|()| self.play(event))
                }
                Err(error) => {
                    tracing::warn!(terminal = %self.terminal.id, error = &error as &dyn std::error::Error, "playing");
                    self.terminal.output_arrived(format!("\r\n[the recording ends here: {error}]\r\n").as_bytes());
                    return Exit { code: 1, signal: None };
                }
            };
            if let Err(Closing) = played {
                return Exit { code: 0, signal: None };
            }
        }
    }

    fn play(&self, event: Event) -> Result<(), Closing> {
        match event {
            Event::Output(text) => {
                for piece in text.as_bytes().chunks(READ_BYTES) {
                    self.wait_for_readers()?;
                    self.terminal.output_arrived(piece);
                }
            }
            Event::Resize(size) => {
                self.terminal.update(|state| state.output.resize(size));
                self.terminal.emit(TerminalEvent::Resized { id: self.terminal.id.clone(), size });
            }
            Event::Input(_) | Event::Marker(_) => {}
        }
        Ok(())
    }

    /// `None` is never.
    fn wait_until(&self, due: Option<Instant>) -> Result<(), Closing> {
        loop {
            if self.terminal.lock().closing {
                return Err(Closing);
            }
            let now = Instant::now();
            if due.is_some_and(|due| due <= now) {
                return Ok(());
            }
            self.alarm.wait(due.map(|due| due - now));
        }
    }

    /// A lossless reader holds a recording back as it does a program.
    fn wait_for_readers(&self) -> Result<(), Closing> {
        loop {
            let (plan, closing) = {
                let mut state = self.terminal.lock();
                (state.plan(Instant::now()), state.closing)
            };
            match (closing, plan.read) {
                (true, _) => return Err(Closing),
                (_, true) => return Ok(()),
                _ => self.alarm.wait(plan.again_at.map(|at| at.saturating_duration_since(Instant::now()))),
            }
        }
    }
}
