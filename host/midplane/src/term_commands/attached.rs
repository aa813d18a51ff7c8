//! What goes on over reconnections: where the output stands, and which input was accepted.

use serde_json::{Value, json};

use super::raw_mode;

pub struct Attached {
    pub id: String,
    pub view: bool,
    epoch: String,
    /// The output up to here has been shown.
    pub offset: u64,
    lineage: Option<String>,
    /// Input bytes that were accepted; `typed` begins there.
    accepted: u64,
    /// Typed and not accepted yet.
    typed: Vec<u8>,
    /// How much of `typed` is on its way.
    sent: usize,
    /// The program does not read its input. When it does again the host says so.
    blocked: bool,
    pub channel: u32,
}

impl Attached {
    pub fn new(id: String, view: bool) -> Self {
        Self {
            id,
            view,
            epoch: String::new(),
            offset: 0,
            lineage: None,
            accepted: 0,
            typed: Vec::new(),
            sent: 0,
            blocked: false,
            channel: 0,
        }
    }

    /// Parameters of `terminals.attach`, to begin or to go on.
    pub fn params(&self) -> Value {
        let mut params = json!({ "id": self.id, "role": if self.view { "view" } else { "drive" } });
        if !self.epoch.is_empty() {
            params["resume"] = json!({ "epoch": self.epoch, "offset": self.offset });
            params["lineage"] = self.lineage.clone().into();
        }
        if let Some((cols, rows)) = raw_mode::window() {
            (params["cols"], params["rows"]) = (cols.into(), rows.into());
        }
        params
    }

    /// The answer: from here on.
    pub fn begin(&mut self, answer: &Value) {
        let number = |name: &str| answer[name].as_u64().unwrap_or_default();
        self.channel = u32::try_from(number("channel")).unwrap_or_default();
        self.epoch = answer["epoch"].as_str().unwrap_or_default().to_owned();
        self.offset = number("offset");
        self.lineage = answer["lineage"].as_str().map(str::to_owned);
        self.accepted(number("input_offset"));
        self.blocked = false;
    }

    pub fn accepted(&mut self, offset: u64) {
        let new = usize::try_from(offset.saturating_sub(self.accepted)).unwrap_or(usize::MAX).min(self.typed.len());
        self.typed.drain(..new);
        // What was sent beyond was refused, and goes again when there is room.
        self.blocked = new < std::mem::take(&mut self.sent);
        self.accepted = offset;
    }

    pub fn type_in(&mut self, keys: &[u8]) {
        self.typed.extend_from_slice(keys);
    }

    /// The next input to send, with its offset; none while some is on its way.
    pub fn next_input(&mut self, bytes_max: usize) -> Option<(u64, Vec<u8>)> {
        if self.sent > 0 || self.blocked || self.typed.is_empty() {
            return None;
        }
        self.sent = self.typed.len().min(bytes_max);
        Some((self.accepted, self.typed[..self.sent].to_vec()))
    }
}
