//! Waiting for something to be true of a terminal.

use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::{
    error::TerminalError,
    options::{WaitFor, WaitOutcome},
    output::Output,
    registry::Terminals,
    state::State,
    terminal::Terminal,
};

/// Between two looks at output that does not stop. What comes after a pause is looked at at once.
const LOOKS_APART: Duration = Duration::from_millis(4);

impl Terminals {
    /// Waits for a condition, `limit` at most. Dropping the future is safe.
    ///
    /// # Errors
    /// `WaitTimedOut`; `Exited` when the program ended without writing the text; `BadParameter` for an empty text.
    pub async fn wait(&self, id: &str, until: WaitFor, limit: Duration) -> Result<WaitOutcome, TerminalError> {
        if until == WaitFor::Text(String::new()) {
            let message = "an empty text is always there".to_owned();
            return Err(TerminalError::BadParameter { path: "params.until.text", message });
        }
        wait_on(&*self.find(id)?, until, limit).await
    }
}

/// Waits until `check` finds something that is no output. Dropping it is safe.
pub(super) async fn when<T>(terminal: &Terminal, check: impl FnMut(&mut State) -> Option<T>) -> T {
    look(terminal, None, check).await
}

/// Waits until `check` finds something, in the output or elsewhere. Dropping it is safe.
async fn when_written<T>(terminal: &Terminal, check: impl FnMut(&mut State) -> Option<T>) -> T {
    look(terminal, Some(LOOKS_APART), check).await
}

async fn look<T>(
    terminal: &Terminal,
    at_output: Option<Duration>,
    mut check: impl FnMut(&mut State) -> Option<T>,
) -> T {
    let mut changes = terminal.changes();
    loop {
        changes.borrow_and_update();
        let looked = Instant::now();
        let found = {
            let mut state = terminal.lock();
            let found = check(&mut state);
            if found.is_none() && at_output.is_some() {
                state.want_output();
            }
            found
        };
        if let Some(found) = found {
            return found;
        }
        // Cannot fail: the terminal owns the sender.
        let _ = changes.changed().await;
        if let Some(apart) = at_output {
            tokio::time::sleep_until((looked + apart).into()).await;
        }
    }
}

/// # Errors
/// `WaitTimedOut`; `Exited` when the program ended without the text or the command.
async fn wait_on(terminal: &Terminal, until: WaitFor, limit: Duration) -> Result<WaitOutcome, TerminalError> {
    let deadline = Instant::now() + limit;
    let met = async {
        match until {
            WaitFor::Exit => Ok(when(terminal, |state| state.ending.map(|_| outcome(state))).await),
            WaitFor::Text(text) => wait_for_text(terminal, &text).await,
            WaitFor::CommandDone(number) => wait_for_command(terminal, number).await,
            WaitFor::IdleMs(quiet_ms) => Ok(wait_for_quiet(terminal, Duration::from_millis(quiet_ms)).await),
        }
    };
    timeout_at(deadline.into(), met).await.unwrap_or(Err(TerminalError::WaitTimedOut { waited: limit }))
}

async fn wait_for_text(terminal: &Terminal, text: &str) -> Result<WaitOutcome, TerminalError> {
    let mut search = TextSearch { text, scanned: terminal.lock().output.ring.end() };
    when_written(terminal, |state| {
        if search.finds(&mut state.output) {
            return Some(Ok(outcome(state)));
        }
        state.ending.map(|_| Err(terminal.exited()))
    })
    .await
}

async fn wait_for_command(terminal: &Terminal, number: Option<u64>) -> Result<WaitOutcome, TerminalError> {
    let number = number.unwrap_or_else(|| terminal.lock().output.shell.ended() + 1);
    when(terminal, |state| {
        if state.output.shell.ended() >= number {
            return Some(Ok(outcome(state)));
        }
        state.ending.map(|_| Err(terminal.exited()))
    })
    .await
}

async fn wait_for_quiet(terminal: &Terminal, quiet: Duration) -> WaitOutcome {
    loop {
        let (now, seen) = {
            let state = terminal.lock();
            let now = outcome(&state);
            if state.ending.is_some() || state.output.last_write.elapsed() >= quiet {
                return now;
            }
            (now, state.output.last_write)
        };
        // Until it has been quiet for long enough, or is over; output meanwhile begins another round.
        let over = when(terminal, |state| state.ending.is_some().then(|| outcome(state)));
        if let Ok(over) = timeout_at((seen + quiet).into(), over).await {
            return over;
        }
        if terminal.lock().output.last_write == seen {
            return now;
        }
    }
}

fn outcome(state: &State) -> WaitOutcome {
    WaitOutcome { offset: state.output.ring.end(), state: state.state() }
}

/// Looks for a text on the screen, and in the raw output since the search began: on the screen it may have been drawn in
/// any order and with colours between, in the output it may have scrolled away before anybody looked.
struct TextSearch<'a> {
    text: &'a str,
    /// The raw output before this offset does not contain the whole text.
    scanned: u64,
}

impl TextSearch<'_> {
    fn finds(&mut self, output: &mut Output) -> bool {
        // A line ends with blanks up to the edge of the screen: `$ ` is there when a prompt waits.
        let width = usize::from(output.known().size().cols);
        self.in_raw(output) || output.screen().lines().iter().any(|line| format!("{line:<width$}").contains(self.text))
    }

    fn in_raw(&mut self, output: &mut Output) -> bool {
        let end = output.ring.end();
        let raw = output.ring.read(self.scanned.max(output.ring.start()), usize::MAX);
        // The last bytes may be the first of the text.
        self.scanned = self.scanned.max(end.saturating_sub(self.text.len().saturating_sub(1) as u64));
        // In linear time, whatever the text is.
        memchr::memmem::find(&raw, self.text.as_bytes()).is_some()
    }
}
