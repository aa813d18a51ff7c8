//! Counters of the gateway, as Prometheus text.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use midplane_broker::{BrokerStats, StreamStats};
use midplane_model::ErrorCode;

use crate::socket::CloseReason;

/// Counters are independent of each other, so relaxed order is enough.
pub(crate) struct Metrics {
    calls: AtomicU64,
    refused: AtomicU64,
    /// By position in [`ErrorCode::ALL`].
    errors: Vec<AtomicU64>,
    agent_calls: AtomicU64,
    /// By position in [`CloseReason::ALL`].
    closed: [AtomicU64; CloseReason::ALL.len()],
}

/// What is open at this moment.
pub(crate) struct Open {
    pub connections: usize,
    pub sessions: usize,
    pub agents: usize,
}

impl Default for Metrics {
    fn default() -> Self {
        let errors = ErrorCode::ALL.iter().map(|_| AtomicU64::new(0)).collect();
        Self {
            calls: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            errors,
            agent_calls: AtomicU64::new(0),
            closed: Default::default(),
        }
    }
}

impl Metrics {
    pub(crate) fn call(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    /// A request without a valid credential.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn error(&self, code: ErrorCode) {
        let known = ErrorCode::ALL.iter().zip(&self.errors).find(|(known, _)| **known == code);
        if let Some((_, counter)) = known {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// A tool that an agent called, which is a call besides.
    pub(crate) fn agent_call(&self) {
        self.agent_calls.fetch_add(1, Relaxed);
    }

    /// A WebSocket of any kind has ended.
    pub(crate) fn closed(&self, reason: CloseReason) {
        let known = CloseReason::ALL.iter().zip(&self.closed).find(|(known, _)| **known == reason);
        if let Some((_, counter)) = known {
            counter.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn render(&self, open: &Open, events: &BrokerStats) -> String {
        let Open { connections, sessions, agents } = open;
        let mut text = format!(
            "# HELP midplane_connections Open WebSocket connections.\n\
             # TYPE midplane_connections gauge\nmidplane_connections {connections}\n\
             # HELP midplane_sessions Sessions, with a connection or waiting for their client.\n\
             # TYPE midplane_sessions gauge\nmidplane_sessions {sessions}\n\
             # HELP midplane_agent_sessions Sessions of agents (MCP up to 2025-11-25; a later agent has none).\n\
             # TYPE midplane_agent_sessions gauge\nmidplane_agent_sessions {agents}\n\
             # HELP midplane_agent_calls_total Calls of agents, of all revisions; they are in midplane_calls_total, too.\n\
             # TYPE midplane_agent_calls_total counter\nmidplane_agent_calls_total {}\n\
             # HELP midplane_calls_total Calls of clients, batches counted by item.\n\
             # TYPE midplane_calls_total counter\nmidplane_calls_total {}\n\
             # HELP midplane_unauthenticated_total Requests without a valid credential.\n\
             # TYPE midplane_unauthenticated_total counter\nmidplane_unauthenticated_total {}\n\
             # HELP midplane_errors_total Faults that clients were answered with, by code.\n\
             # TYPE midplane_errors_total counter\n",
            self.agent_calls.load(Relaxed),
            self.calls.load(Relaxed),
            self.refused.load(Relaxed),
        );
        for (code, counter) in ErrorCode::ALL.iter().zip(&self.errors) {
            let _ = writeln!(text, "midplane_errors_total{{code=\"{}\"}} {}", code.as_str(), counter.load(Relaxed));
        }
        text.push_str(
            "# HELP midplane_sockets_closed_total WebSockets that have ended, by why.\n\
             # TYPE midplane_sockets_closed_total counter\n",
        );
        for (reason, counter) in CloseReason::ALL.iter().zip(&self.closed) {
            let (reason, count) = (reason.as_str(), counter.load(Relaxed));
            let _ = writeln!(text, "midplane_sockets_closed_total{{reason=\"{reason}\"}} {count}");
        }
        render_streams(&mut text, events);
        text
    }
}

/// Figures per stream, of which there is a handful; never per topic, of which there are as many as clients like.
fn render_streams(text: &mut String, events: &BrokerStats) {
    let requests = events.requests;
    let _ = writeln!(
        text,
        "# HELP midplane_requests Requests over topics that wait for their reply.\n\
         # TYPE midplane_requests gauge\nmidplane_requests {requests}"
    );
    let mut family = |name: &str, kind: &str, help: &str, value: &dyn Fn(&StreamStats) -> u64| {
        let _ = writeln!(text, "# HELP midplane_{name} {help}\n# TYPE midplane_{name} {kind}");
        for stream in &events.streams {
            let _ = writeln!(text, "midplane_{name}{{stream=\"{}\"}} {}", stream.name, value(stream));
        }
    };
    family("events_published_total", "counter", "Events published.", &|stream| stream.published);
    family("events_kept", "gauge", "Events in the log.", &|stream| stream.kept_events as u64);
    family("events_kept_bytes", "gauge", "Payload bytes of the events in the log.", &|stream| stream.kept_bytes as u64);
    family("subscriptions", "gauge", "Subscriptions.", &|stream| stream.subscriptions as u64);
    family("subscriptions_lagging", "gauge", "Subscriptions that read on from the log.", &|stream| {
        stream.lagging as u64
    });
}
