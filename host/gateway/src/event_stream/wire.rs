//! Deliveries as text of an event stream.

use std::fmt::Write as _;

use axum::body::Bytes;
use midplane_broker::{Delivery, SubscribeReport};
use midplane_model::{Pattern, Position, Positions};
use serde_json::{Value, json};

/// Milliseconds after which a client that lost its connection comes back.
const RETRY_MS: u32 = 1000;

/// What waits to be sent, and how far the reader is with it.
pub(super) struct Wire {
    text: String,
    positions: Positions,
}

impl Wire {
    /// The first message says what was decided about the past, and each stream that could not go on has its gap.
    pub fn begin(patterns: &[Pattern], report: &SubscribeReport) -> Self {
        let positions = report.streams.iter().map(|(stream, report)| {
            (stream.clone(), Position { epoch: report.epoch.clone(), seq: report.from.saturating_sub(1) })
        });
        let mut wire = Self { text: format!("retry: {RETRY_MS}\n"), positions: positions.collect() };
        let patterns: Vec<&str> = patterns.iter().map(Pattern::as_str).collect();
        wire.message(Some("subscribed"), &json!({"patterns": patterns, "streams": report.streams}).to_string());
        wire
    }

    pub fn push(&mut self, delivery: &Delivery) {
        match delivery {
            Delivery::Event { n, event, replay } => {
                self.move_to(&event.stream, &event.epoch, event.seq);
                let replay = if *replay { r#","replay":true"# } else { "" };
                self.message(None, &format!(r#"{{{},"n":{n}{replay}}}"#, event.shared_json()));
            }
            Delivery::Cursor { stream, epoch, seq } => {
                self.move_to(stream, epoch, *seq);
                self.message(Some("cursor"), &json!({"stream": stream, "epoch": epoch, "seq": seq}).to_string());
            }
            Delivery::Gap { stream, epoch, after, resume_at, lost_at_least, reason } => {
                self.move_to(stream, epoch, resume_at.saturating_sub(1));
                let gap: Value = json!({
                    "stream": stream, "epoch": epoch, "after": after, "resume_at": resume_at,
                    "lost_at_least": lost_at_least, "reason": reason,
                });
                self.message(Some("gap"), &gap.to_string());
            }
            // Only those who ask for it are closed, and here nobody can.
            Delivery::Closed => {}
        }
    }

    /// Says nothing, and shows both sides that the other is there.
    pub fn comment(&mut self) {
        self.text.push_str(":\n\n");
    }

    pub fn len(&self) -> usize {
        self.text.len()
    }

    pub fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.text).into()
    }

    pub fn goodbye() -> Bytes {
        format!("retry: {RETRY_MS}\n\n").into()
    }

    fn move_to(&mut self, stream: &std::sync::Arc<str>, epoch: &std::sync::Arc<str>, seq: u64) {
        self.positions.insert(stream.clone(), Position { epoch: epoch.clone(), seq });
    }

    fn message(&mut self, event: Option<&str>, data: &str) {
        let ids =
            self.positions.iter().map(|(stream, position)| format!("{stream}:{}:{}", position.epoch, position.seq));
        let id = ids.collect::<Vec<_>>().join(",");
        if let Some(event) = event {
            // Writing to a string does not fail.
            _ = writeln!(self.text, "event: {event}");
        }
        // In JSON a raw line break is only space between two values; here it would end the line.
        let data = data.replace(['\n', '\r'], " ");
        _ = write!(self.text, "id: {id}\ndata: {data}\n\n");
    }
}
