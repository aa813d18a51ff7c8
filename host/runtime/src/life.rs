//! The life of a plugin as a pure state machine: what happened goes in, what to do comes out. It knows neither WebAssembly
//! nor tasks nor the clock; the supervisor does what it says and tells it what came of that.
//!
//! Whatever does not fit the present state (news of a start that nobody waits for any more) changes nothing.

mod budget;
mod reload;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use budget::{Budget, Verdict};
pub use reload::{Came, Reload, Step};

/// Where a plugin is in its life (contract, section 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// For another plugin.
    Waiting,
    Starting,
    Running,
    Reloading,
    /// Serves, and says itself that something is wrong.
    Degraded,
    /// Failed, and starts again after a pause.
    Backoff,
    Disabled,
    Failed,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Reloading => "reloading",
            Self::Degraded => "degraded",
            Self::Backoff => "backoff",
            Self::Disabled => "disabled",
            Self::Failed => "failed",
        }
    }

    /// Whether calls may wait in the mailbox, because somebody will take them.
    pub fn takes_calls(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Reloading | Self::Degraded | Self::Backoff)
    }

    /// Whether there is a package whose pages may be seen: during a reload it is the old one.
    pub fn serves_pages(self) -> bool {
        matches!(self, Self::Running | Self::Degraded | Self::Reloading)
    }
}

/// What happened to a plugin. Texts are the reasons that people read in `plugin.list` and `plugin.state_changed`.
#[derive(Debug, Clone)]
pub enum Happened {
    /// Files are there that did not run yet. One who disabled the plugin by request does not want to see it run for that.
    Found(String),
    /// Somebody asked for it.
    Enabled(String),
    Disabled(String),
    /// Everything that it waited for is there.
    NeedsMet(String),
    NeedsMissing(String),
    /// What it needs can never be there: it needs itself.
    NeedsCircular(String),
    Started(String),
    NotStarted(String),
    /// An instance failed while it served; so many others of the generation still do.
    Died {
        reason: String,
        left: usize,
    },
    /// The pause before a restart is over.
    Rested,
    ReloadBegun(String),
    /// Another generation serves now: the new one, or the old one again.
    Reloaded(String),
    /// The old generation goes on, with so many instances.
    NotReloaded {
        reason: String,
        left: usize,
    },
    Sick(String),
    Well,
}

/// What the supervisor has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Make the instances that are missing.
    Start,
    /// Let the instances end.
    Stop,
    /// Say [`Happened::Rested`] then.
    RestartAfter(Duration),
}

/// A change of state, or of its reason: the event `plugin.state_changed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub from: State,
    pub to: State,
    pub reason: String,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub change: Option<Change>,
    pub then: Option<Then>,
}

/// Why a plugin is disabled or failed: it decides what brings it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Only a request.
    Request,
    /// Other files, or a request.
    Files,
    /// Other plugins, too.
    Needs,
}

#[derive(Debug)]
pub struct Life {
    state: State,
    reason: String,
    hold: Hold,
    /// Whether the start under way is one after a failure.
    again: bool,
    /// The last failure since the plugin was meant to run.
    failure: Option<String>,
    budget: Budget,
}

impl Life {
    /// A plugin that was found just now and that nothing has been tried with.
    pub fn new() -> Self {
        Self {
            state: State::Waiting,
            reason: "just found".into(),
            hold: Hold::Files,
            again: false,
            failure: None,
            budget: Budget::default(),
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What the instances that are missing failed of; none if they never ran.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Whether other plugins can count on this one: it serves, or did and will again in a moment.
    pub fn is_up(&self) -> bool {
        match self.state {
            State::Running | State::Reloading | State::Degraded | State::Backoff => true,
            State::Starting => self.again,
            State::Waiting | State::Disabled | State::Failed => false,
        }
    }

    /// Whether it waits for other plugins, openly or because it needs itself through them.
    pub fn waits_for_others(&self) -> bool {
        self.state == State::Waiting || (self.state == State::Failed && self.hold == Hold::Needs)
    }

    pub fn apply(&mut self, happened: Happened, now: Instant) -> Outcome {
        use State::{Backoff, Degraded, Disabled, Failed, Reloading, Running, Starting, Waiting};
        let serves = matches!(self.state, Running | Degraded);
        match (self.state, happened) {
            (Disabled, Happened::Found(_)) if self.hold == Hold::Request => Outcome::default(),
            (Waiting | Backoff | Disabled | Failed, Happened::Found(reason) | Happened::Enabled(reason)) => {
                self.forget_failures();
                self.start(reason, false)
            }
            (_, Happened::NeedsMet(reason)) if self.waits_for_others() => self.start(reason, self.again),
            (Backoff, Happened::Rested) => {
                let reason = format!("again after: {}", self.reason);
                self.start(reason, true)
            }
            (Running | Degraded, Happened::Rested) => Outcome { change: None, then: Some(Then::Start) },
            (Waiting | Starting | Backoff | Failed, Happened::NeedsMissing(reason)) => self.go(Waiting, reason),
            (Running | Degraded, Happened::NeedsMissing(reason)) => self.go(Waiting, reason).and(Then::Stop),
            (Waiting | Starting | Backoff | Failed, Happened::NeedsCircular(reason)) => {
                self.hold(Failed, Hold::Needs, reason)
            }
            (Starting, Happened::Started(reason)) => self.go(Running, reason),
            (Starting, Happened::NotStarted(reason)) if !self.again => self.hold(Failed, Hold::Files, reason),
            (Starting, Happened::NotStarted(reason)) => self.failed(&reason, 0, now),
            (_, Happened::NotStarted(reason)) if serves => self.failed(&reason, 1, now),
            (_, Happened::Died { reason, left }) if serves => self.failed(&reason, left, now),
            (_, Happened::ReloadBegun(reason)) if serves => self.go(Reloading, reason),
            (Reloading, Happened::Reloaded(reason)) => {
                self.forget_failures();
                self.go(Running, reason)
            }
            (Reloading, Happened::NotReloaded { reason, left: 0 }) => self.failed(&reason, 0, now),
            (Reloading, Happened::NotReloaded { reason, .. }) => self.go(Running, reason),
            (_, Happened::Sick(reason)) if serves => self.go(Degraded, reason),
            (Degraded, Happened::Well) => self.go(Running, "healthy again".into()),
            (Starting | Running | Reloading | Degraded, Happened::Disabled(reason)) => {
                self.hold(Disabled, Hold::Request, reason).and(Then::Stop)
            }
            (_, Happened::Disabled(reason)) => self.hold(Disabled, Hold::Request, reason),
            _ => Outcome::default(),
        }
    }

    fn start(&mut self, reason: String, again: bool) -> Outcome {
        self.again = again;
        self.go(State::Starting, reason).and(Then::Start)
    }

    fn forget_failures(&mut self) {
        self.budget.clear();
        self.failure = None;
    }

    /// One more failure, with so many instances still serving.
    fn failed(&mut self, reason: &str, left: usize, now: Instant) -> Outcome {
        self.failure = Some(reason.to_owned());
        match self.budget.failed(now) {
            Verdict::RestartAfter(pause) if left > 0 => Outcome { change: None, then: Some(Then::RestartAfter(pause)) },
            Verdict::RestartAfter(pause) => self.go(State::Backoff, reason.to_owned()).and(Then::RestartAfter(pause)),
            Verdict::Exhausted { failures, within } => {
                let within = within.as_secs();
                let reason =
                    format!("failed {failures} times in {within} s, last: {reason}; plugin.enable starts it again");
                self.hold(State::Disabled, Hold::Files, reason).and(Then::Stop)
            }
        }
    }

    fn hold(&mut self, to: State, hold: Hold, reason: String) -> Outcome {
        self.hold = hold;
        self.go(to, reason)
    }

    fn go(&mut self, to: State, reason: String) -> Outcome {
        if self.state == to && self.reason == reason {
            return Outcome::default();
        }
        let from = std::mem::replace(&mut self.state, to);
        self.reason.clone_from(&reason);
        Outcome { change: Some(Change { from, to, reason }), then: None }
    }
}

impl Outcome {
    fn and(self, then: Then) -> Self {
        Self { then: Some(then), ..self }
    }
}
