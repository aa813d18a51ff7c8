//! What goes on over reconnections: where the output stands, and which input was accepted.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::raw_mode;

/// Typed bytes that wait for the program; the keyboard waits beyond. A paste of a large file fits.
const TYPED_BYTES_MAX: usize = 8 * 1024 * 1024;

pub struct Attached {
    pub id: String,
    pub view: bool,
    epoch: String,
    /// The output up to here has been shown, if the `screen` has.
    pub offset: u64,
    /// What the output goes on from has been shown.
    screen: bool,
    /// Of the terminal, as it was said to be too large for the window.
    pub size_told: Option<(u16, u16)>,
    lineage: Option<String>,
    /// Input bytes that were accepted; `typed` begins there.
    accepted: u64,
    /// Typed and not accepted yet.
    typed: VecDeque<u8>,
    /// How much of `typed` is on its way.
    sent: usize,
    /// The program does not read its input. When it does again the host says so.
    blocked: bool,
    drives: bool,
    /// The role was asked for, and is not there yet.
    claims: bool,
    pub channel: u32,
}

impl Attached {
    pub fn new(id: String, view: bool) -> Self {
        Self {
            id,
            view,
            epoch: String::new(),
            offset: 0,
            screen: false,
            size_told: None,
            lineage: None,
            accepted: 0,
            typed: VecDeque::new(),
            sent: 0,
            blocked: false,
            drives: !view,
            claims: false,
            channel: 0,
        }
    }

    /// Parameters of `terminals.attach`, to begin or to go on.
    pub fn params(&self) -> Value {
        let mut params = json!({ "id": self.id, "role": if self.view { "view" } else { "drive" } });
        if let Some(lineage) = &self.lineage {
            params["lineage"] = lineage.as_str().into();
        }
        // A connection that broke in the midst of a snapshot has shown half of it.
        if self.screen {
            params["resume"] = json!({ "epoch": self.epoch, "offset": self.offset });
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
        self.screen = answer["delta"] == true;
        self.lineage = answer["lineage"].as_str().map(str::to_owned);
        self.accepted(number("input_offset"));
        (self.blocked, self.drives, self.claims) = (false, !self.view, false);
    }

    /// What is to be seen here is not what was shown: the next attachment shows the screen anew.
    pub fn forget_screen(&mut self) {
        self.screen = false;
    }

    /// The screen has been drawn, as it was at this offset.
    pub fn has_seen_all(&mut self, offset: u64) {
        (self.screen, self.offset) = (true, offset);
    }

    pub fn accepted(&mut self, offset: u64) {
        let new = usize::try_from(offset.saturating_sub(self.accepted)).unwrap_or(usize::MAX).min(self.typed.len());
        self.typed.drain(..new);
        // What was sent beyond was refused, and goes again when there is room.
        self.blocked = new < std::mem::take(&mut self.sent);
        self.accepted = offset;
    }

    pub fn has_role(&mut self) {
        (self.drives, self.claims) = (true, false);
    }

    /// Somebody else types. What was on its way and not accepted is not typed later, into whatever is there by then.
    pub fn has_lost_role(&mut self) {
        if self.drives || self.claims {
            self.typed.clear();
        }
        (self.drives, self.claims, self.sent) = (false, false, 0);
    }

    /// Something was typed, and somebody else drives; says so once.
    pub fn wants_to_drive(&mut self) -> bool {
        let wants = !self.view && !self.drives && !self.claims && !self.typed.is_empty();
        self.claims |= wants;
        wants
    }

    pub fn type_in(&mut self, keys: &[u8]) {
        if !self.view {
            self.typed.extend(keys);
        }
    }

    pub fn has_room(&self) -> bool {
        self.typed.len() < TYPED_BYTES_MAX
    }

    /// The next input to send, with its offset; none while some is on its way.
    pub fn next_input(&mut self, bytes_max: usize) -> Option<(u64, Vec<u8>)> {
        if self.sent > 0 || self.blocked || self.typed.is_empty() || !self.drives {
            return None;
        }
        self.sent = self.typed.len().min(bytes_max);
        Some((self.accepted, self.typed.iter().take(self.sent).copied().collect()))
    }
}
