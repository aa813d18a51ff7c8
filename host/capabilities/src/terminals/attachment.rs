//! One client's view of one terminal: how far it has come in the output, what it acknowledged, what it may do.
//!
//! Pure: given the output and the time, [`AttachmentState::next`] says which frame comes next. It holds a position, not
//! a queue, so that a slow client costs no memory and holds up nobody.
//!
//! Flow control: `unacked = sent - acknowledged`. At the window the attachment *lags*: nothing more is sent until less
//! than a quarter is unacknowledged. Then it gets what it missed from the ring, or a snapshot where that is more than a
//! window, the ring has moved on, or the size changed meanwhile.

mod typing;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use midplane_model::{
    Frame, PeerId,
    limits::{FRAME_BYTES_MAX, SCROLLBACK_LINES_MAX, TERMINAL_RING_BYTES, UNACKED_BYTES_DEFAULT},
};
use serde_json::{Map, Value, json};

use super::{
    frames::{self, EndReason},
    lineage::Lineage,
    options::Role,
    output::{Depth, Output},
    size::Size,
};
use crate::child::Exit;

/// Longest time that output is held to make larger frames. A terminal that was quiet is flushed at once.
const COALESCE_MAX: Duration = Duration::from_millis(4);
/// Output is not held once there is this much.
const COALESCE_BYTES: u64 = 16 * 1024;
/// META frames waiting for one client. When full, further ones are dropped: it has been told often enough.
const NOTICES_MAX: usize = 16;

pub(super) struct AttachmentState {
    pub(super) role: Role,
    /// Offset of the next byte to send.
    position: u64,
    acked: u64,
    window: u64,
    /// In snapshots.
    scrollback_lines: usize,
    lossless: bool,
    /// Nobody looks on: what it gets goes into a file.
    pub(super) records: bool,
    lagging: bool,
    /// Was lagging, gets what it missed.
    catching_up: bool,
    /// A lossless reader that was too slow for too long.
    given_up: bool,
    ended: bool,
    last_flush: Option<Instant>,
    /// Frames of a snapshot, not yet sent; bounded by the size of a screen.
    ready: VecDeque<Frame>,
    notices: VecDeque<Value>,
    told: Told,
    pub(super) input: Lineage,
    /// When it asked to drive, in the order of asking; `None` where it does not want to. Who asked last drives.
    pub(super) asked_to_drive: Option<u64>,
    /// Of the client's window, where it has told.
    pub(super) window_size: Option<Size>,
    /// The client's window is to be seen.
    pub(super) visible: bool,
    /// Connection and channel.
    pub(super) place: Option<(PeerId, u32)>,
}

/// What the client knows about the terminal.
struct Told {
    size: Size,
    title: String,
    cwd: Option<String>,
    /// `None` where it asked to drive and has not been told whether it does.
    drives: Option<bool>,
}

/// How the output ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub(super) exit: Exit,
    pub(super) reason: EndReason,
}

pub(super) enum Next {
    Frame(Frame),
    /// Nothing until the terminal changes.
    Wait,
    /// Nothing until then, or until the terminal changes.
    WaitUntil(Instant),
    End,
}

pub(super) struct AttachmentStart {
    pub(super) role: Role,
    pub(super) lossless: bool,
    pub(super) max_unacked_bytes: Option<usize>,
    pub(super) scrollback_lines: Option<usize>,
    pub(super) size: Option<Size>,
    pub(super) lineage: Lineage,
}

impl AttachmentState {
    /// Nothing is sent before [`AttachmentState::begin`].
    pub(super) fn new(start: AttachmentStart, size: Size) -> Self {
        let window =
            start.max_unacked_bytes.unwrap_or(UNACKED_BYTES_DEFAULT).clamp(FRAME_BYTES_MAX, TERMINAL_RING_BYTES);
        Self {
            role: start.role,
            position: 0,
            acked: 0,
            window: window as u64,
            scrollback_lines: start.scrollback_lines.unwrap_or(SCROLLBACK_LINES_MAX),
            lossless: start.lossless,
            records: false,
            lagging: false,
            catching_up: false,
            given_up: false,
            ended: false,
            last_flush: None,
            ready: VecDeque::new(),
            notices: VecDeque::new(),
            told: Told { size, title: String::new(), cwd: None, drives: (start.role == Role::View).then_some(false) },
            input: start.lineage,
            asked_to_drive: None,
            window_size: start.size,
            visible: true,
            place: None,
        }
    }

    /// Starts at `resume` when the output continues from there, else with a snapshot.
    pub(super) fn begin(&mut self, resume: Option<u64>, output: &mut Output) {
        self.told.size = output.known().size();
        match resume.filter(|&offset| output.continues_from(offset)) {
            Some(offset) => (self.position, self.acked) = (offset, offset),
            None => self.jump(output, usize::MAX),
        }
    }

    /// It is sent away and told so: another attachment continues its input.
    pub(super) fn supersede(&mut self) {
        self.ended = true;
        self.ready.clear();
        self.notices = [json!({ "superseded": true })].into();
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Whether the next frame is a snapshot.
    pub(super) fn has_snapshot(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next frame, and the state after it was sent. `ending` is set once the output is complete; `closed` when
    /// nobody may wait for acknowledgements any longer.
    pub(super) fn next(&mut self, output: &mut Output, ending: Option<Ending>, closed: bool, now: Instant) -> Next {
        if let Some(frame) = self.next_control(output) {
            return Next::Frame(frame);
        }
        if self.ended {
            return Next::End;
        }
        if self.given_up {
            self.ended = true;
            return Next::Frame(frames::gap(self.position, output.ring.end()));
        }
        if self.position < output.ring.end() {
            return self.next_output(output, ending.is_some(), closed, now);
        }
        if std::mem::take(&mut self.catching_up) {
            return Next::Frame(frames::meta(self.position, &json!({ "caught_up": true })));
        }
        let Some(Ending { exit, reason }) = ending else { return Next::Wait };
        self.ended = true;
        Next::Frame(frames::exit(self.position, exit, reason))
    }

    fn next_control(&mut self, output: &Output) -> Option<Frame> {
        if let Some(frame) = self.ready.pop_front() {
            return Some(frame);
        }
        if std::mem::take(&mut self.input.ack_due) || std::mem::take(&mut self.input.room_due) {
            return Some(frames::input_ack(self.input.accepted));
        }
        let facts = self.notices.pop_front().or_else(|| self.news(output))?;
        Some(frames::meta(self.position, &facts))
    }

    /// What has changed since the client was last told. A new size is told after the last byte written for the old one.
    fn news(&mut self, output: &Output) -> Option<Value> {
        let mut facts = Map::new();
        let (size, title, drives) = (output.known().size(), output.known().title(), self.role == Role::Drive);
        if self.told.size != size && self.position >= output.resized_at() {
            self.told.size = size;
            facts.insert("size".into(), json!(size));
        }
        if self.told.title != title {
            title.clone_into(&mut self.told.title);
            facts.insert("title".into(), title.into());
        }
        if output.shell.cwd() != self.told.cwd.as_deref() {
            self.told.cwd = output.shell.cwd().map(str::to_owned);
            facts.insert("cwd".into(), self.told.cwd.clone().into());
        }
        if self.told.drives != Some(drives) {
            self.told.drives = Some(drives);
            facts.insert("driver".into(), drives.into());
        }
        (!facts.is_empty()).then_some(Value::Object(facts))
    }

    fn next_output(&mut self, output: &mut Output, complete: bool, closed: bool, now: Instant) -> Next {
        if self.lagging && (closed || self.unacked() < self.window / 4) {
            return Next::Frame(self.stop_lagging(output, closed));
        }
        if self.unacked() >= self.window && !closed {
            let begins = !std::mem::replace(&mut self.lagging, true);
            // To be held up is what a lossless reader asked for.
            return match begins && !self.lossless {
                true => Next::Frame(frames::meta(self.position, &json!({ "lagging": true }))),
                false => Next::Wait,
            };
        }
        let mut available = output.ring.end() - self.position;
        if self.position < output.resized_at() {
            available = available.min(output.resized_at() - self.position);
        }
        // At most one small frame per 4 ms: after a pause the first byte leaves at once, in a burst frames grow.
        let flush_at = self.last_flush.map_or(now, |last| last + COALESCE_MAX);
        if available < COALESCE_BYTES && now < flush_at && !complete {
            return Next::WaitUntil(flush_at);
        }
        let allowed = if closed { available } else { available.min(self.window - self.unacked()) };
        let max = usize::try_from(allowed).unwrap_or(usize::MAX).min(FRAME_BYTES_MAX);
        let Some(bytes) = output.ring.slice(self.position, max) else {
            // The connection did not ask for frames for so long that the ring has moved past.
            return Next::Frame(self.skip(output));
        };
        let offset = self.position;
        self.position += bytes.len() as u64;
        self.last_flush = Some(now);
        Next::Frame(frames::output(offset, bytes))
    }

    /// The offset at which there is more to send; `None` where it waits for its client.
    pub(super) fn wants_more(&self, output: &Output) -> Option<u64> {
        (self.position == output.ring.end()).then_some(self.position + 1)
    }

    /// The offset at which output is no longer held to make larger frames.
    pub(super) fn is_enough_at(&self) -> u64 {
        self.position + COALESCE_BYTES
    }

    fn unacked(&self) -> u64 {
        self.position - self.acked
    }

    fn stop_lagging(&mut self, output: &mut Output, closed: bool) -> Frame {
        self.lagging = false;
        // More than a window would keep it lagging, while the screen moves on.
        let near = output.ring.end() - self.position <= self.window && output.continues_from(self.position);
        if near && !closed || self.lossless {
            self.catching_up = true;
            return frames::meta(self.position, &json!({ "lagging": false }));
        }
        self.skip(output)
    }

    /// Goes on with the present screen instead of what was missed.
    fn skip(&mut self, output: &mut Output) -> Frame {
        let missed_from = self.position;
        if self.lossless {
            self.ended = true;
            return frames::gap(missed_from, output.ring.end());
        }
        self.jump(output, usize::try_from(self.window).unwrap_or(usize::MAX));
        let skipped = self.position.saturating_sub(missed_from);
        self.notices.push_front(json!({ "lagging": false, "caught_up": true, "skipped": skipped }));
        self.ready.pop_front().unwrap_or_else(|| frames::meta(self.position, &json!({ "skipped": skipped })))
    }

    /// Goes on with a snapshot that has at most so much scrollback.
    fn jump(&mut self, output: &mut Output, scrollback_bytes: usize) {
        let snapshot = output.snapshot(Depth { lines: self.scrollback_lines, bytes: scrollback_bytes });
        self.position = snapshot.offset;
        self.acked = snapshot.offset;
        self.told.size = snapshot.size;
        self.catching_up = false;
        self.ready = frames::snapshot(&snapshot).into();
    }

    /// For lossless attachments: up to which offset the program may write without overtaking this reader.
    pub(super) fn holds_back_at(&self, ring_bytes: usize) -> Option<u64> {
        (self.lossless && !self.given_up && !self.ended).then(|| self.position + ring_bytes as u64)
    }

    /// Ends a lossless attachment with GAP.
    pub(super) fn give_up(&mut self) {
        self.given_up = true;
    }
}
