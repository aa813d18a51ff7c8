//! Terminals with real programs on real pseudo-terminals. Nothing sleeps: tests wait for output, frames and events, and
//! a guard fails those that would wait for ever.

mod attaching;
mod client;
mod flow;
mod input;
mod leaks;
mod lifecycle;
mod opening;
mod recordings;
mod sharing;
mod shells;

use std::{future::Future, sync::Arc, time::Duration};

use midplane_model::Fault;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;
use client::Client;

/// Longer than anything here takes on a slow machine.
const GUARD: Duration = Duration::from_secs(60);

/// Terminals in a folder of their own, and what they have told.
struct Bench {
    terminals: Terminals,
    events: mpsc::UnboundedReceiver<TerminalEvent>,
    root: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::with_limits(TerminalLimits::default())
    }

    fn with_limits(limits: TerminalLimits) -> Self {
        let root = TempDir::new().unwrap();
        let (sender, events) = mpsc::unbounded_channel();
        let terminals = Terminals::new(TerminalsConfig {
            root: root.path().to_owned(),
            env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("HOME".into(), "/".into())],
            shell: None,
            limits,
            observer: Arc::new(move |event| drop(sender.send(event))),
        });
        Self { terminals, events, root }
    }

    /// Runs a script with `sh -c` in a terminal of 80 by 24.
    async fn run(&self, script: &str) -> Arc<str> {
        self.terminals.open(script_options(script)).await.unwrap().id
    }

    async fn wait(&self, id: &str, until: WaitFor) -> WaitOutcome {
        self.terminals.wait(id, until, GUARD).await.unwrap()
    }

    async fn wait_for_text(&self, id: &str, text: &str) {
        self.wait(id, WaitFor::Text(text.to_owned())).await;
    }

    async fn exit(&self, id: &str) -> Exit {
        match self.wait(id, WaitFor::Exit).await.state {
            TerminalState::Exited(exit) => exit,
            TerminalState::Running => panic!("still runs after its end"),
        }
    }

    fn raw(&self, id: &str) -> Vec<u8> {
        self.terminals.read(id, 0, usize::MAX).unwrap().bytes
    }

    fn attach(&self, id: &str, role: Role) -> Client {
        Client::new(self.terminals.attach(id, &as_role(role)).unwrap())
    }

    async fn event(&mut self) -> TerminalEvent {
        guarded(self.events.recv()).await.expect("the observer lives")
    }
}

fn script_options(script: &str) -> OpenOptions {
    OpenOptions { args: vec!["-c".into(), script.into()], cols: 80, rows: 24, ..OpenOptions::default() }
}

fn as_role(role: Role) -> AttachOptions {
    AttachOptions::new(role)
}

async fn guarded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, future).await.expect("this should have happened long ago")
}

/// The code and message a client would see.
fn fault(error: TerminalError) -> (&'static str, String) {
    let fault = Fault::from(error);
    (fault.code.as_str(), fault.message)
}
