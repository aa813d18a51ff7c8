//! What a client sends: how far it has come, and what it types, as far as its role and the program let it.

use midplane_model::ErrorCode;
use serde_json::Value;

use super::{
    super::{frames, input::InputQueue, options::Role},
    AttachmentState, NOTICES_MAX,
};

impl AttachmentState {
    /// Takes an acknowledgement. Acknowledging less than before, or what was never sent, is ignored.
    pub(in super::super) fn acknowledge(&mut self, offset: u64) {
        if offset <= self.position {
            self.acked = self.acked.max(offset);
        }
    }

    /// Takes input that continues what was accepted; says what it cannot take by META and how far it came by INPUT_ACK.
    pub(in super::super) fn input(&mut self, offset: u64, bytes: &[u8], queue: &mut InputQueue) {
        if self.role == Role::View {
            return self.refuse(ErrorCode::Forbidden, "this attachment views; only the driver may send input");
        }
        let known = self.input.accepted.saturating_sub(offset);
        if offset > self.input.accepted {
            let message = format!("input continues at {}, not at {offset}", self.input.accepted);
            return self.refuse(ErrorCode::Conflict, &message);
        }
        let new = &bytes[usize::try_from(known).unwrap_or(usize::MAX).min(bytes.len())..];
        let taken = queue.push_some(new);
        self.input.accepted += taken as u64;
        self.input.ack_due = true;
        if taken < new.len() {
            self.input.starved = true;
            self.refuse(ErrorCode::Unavailable, "the program does not read its input; send on from INPUT_ACK");
        }
    }

    /// There is room for input again; `None` when this attachment has not waited for it.
    pub(in super::super) fn input_has_room(&mut self) -> Option<()> {
        std::mem::take(&mut self.input.starved).then(|| self.input.room_due = true)
    }

    pub(in super::super) fn refuse(&mut self, code: ErrorCode, message: &str) {
        self.tell(frames::refusal(code, message));
    }

    /// With the next META.
    pub(in super::super) fn tell(&mut self, facts: Value) {
        if self.notices.len() < NOTICES_MAX {
            self.notices.push_back(facts);
        }
    }
}
