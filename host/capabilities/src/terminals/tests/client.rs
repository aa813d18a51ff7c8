//! A client as a browser would be one: an emulator that is fed by frames.

use bytes::Bytes;
use midplane_model::{Channel, Frame, channel::op};
use serde_json::Value;

use super::{
    super::{Attachment, screen::ScreenModel},
    Size, guarded,
};

pub(super) struct Client {
    channel: Channel,
    pub(super) emulator: ScreenModel,
    /// Where the output goes on.
    pub(super) offset: u64,
    /// All OUTPUT bytes.
    pub(super) output: Vec<u8>,
    pub(super) snapshots: usize,
    pub(super) metas: Vec<Value>,
    pub(super) input_acks: Vec<u64>,
    pub(super) gap: Option<(u64, u64)>,
    /// Final offset, code, signal, reason.
    pub(super) exit: Option<(u64, i32, u8, u8)>,
    pub(super) acknowledges: bool,
}

impl Client {
    pub(super) fn new(attachment: Attachment) -> Self {
        Self {
            channel: attachment.channel,
            emulator: emulator(80, 24),
            offset: attachment.offset,
            output: Vec::new(),
            snapshots: 0,
            metas: Vec::new(),
            input_acks: Vec::new(),
            gap: None,
            exit: None,
            acknowledges: true,
        }
    }

    /// Takes one frame; `false` at the end of the channel.
    pub(super) async fn step(&mut self) -> bool {
        let Some(frame) = guarded(self.channel.source.next()).await else { return false };
        match frame.op {
            op::OUTPUT => self.on_output(&frame),
            op::SNAPSHOT => self.on_snapshot(&frame),
            op::META => self.metas.push(serde_json::from_slice(&frame.payload).unwrap()),
            op::INPUT_ACK => self.input_acks.push(frame.offset),
            op::GAP => self.gap = Some((frame.offset, u64::from_be_bytes(frame.payload[..].try_into().unwrap()))),
            op::EXIT => {
                let code = i32::from_be_bytes(frame.payload[..4].try_into().unwrap());
                assert_eq!(frame.offset, self.offset, "EXIT comes after all output");
                self.exit = Some((frame.offset, code, frame.payload[4], frame.payload[5]));
            }
            other => panic!("a client gets no frame {other:#x}"),
        }
        true
    }

    fn on_output(&mut self, frame: &Frame) {
        assert!(self.snapshots > 0 || !self.output.is_empty() || frame.offset == self.offset);
        assert_eq!(frame.offset, self.offset, "no byte is lost or doubled");
        assert!((1..=65_536).contains(&frame.payload.len()));
        self.offset += frame.payload.len() as u64;
        self.output.extend_from_slice(&frame.payload);
        self.emulator.process(&frame.payload);
        if self.acknowledges {
            self.acknowledge();
        }
    }

    fn on_snapshot(&mut self, frame: &Frame) {
        let word = |at: usize| u16::from_be_bytes(frame.payload[at..at + 2].try_into().unwrap());
        self.emulator.set_size(Size { cols: word(0), rows: word(2) });
        self.emulator.process(&frame.payload[8..]);
        self.offset = frame.offset;
        self.snapshots += 1;
    }

    /// Takes frames until `done`; fails at the end of the channel.
    pub(super) async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            assert!(self.step().await, "the channel ended too early");
        }
    }

    /// Until a text was in the output, or came with the snapshot.
    pub(super) async fn until_sees(&mut self, text: &str) {
        let shows = |client: &Self| client.emulator.lines().join("\n").contains(text);
        self.until(|client| contains(&client.output, text) || shows(client)).await;
    }

    pub(super) async fn until_meta(&mut self, key: &str) -> Value {
        let seen = self.metas.len();
        self.until(|client| client.metas[seen..].iter().any(|meta| meta.get(key).is_some())).await;
        self.metas.last().unwrap()[key].clone()
    }

    /// Takes frames until the channel ends.
    pub(super) async fn drain(&mut self) {
        while self.step().await {}
    }

    pub(super) fn acknowledge(&self) {
        self.send(op::ACK, self.offset, b"");
    }

    pub(super) fn input(&self, offset: u64, bytes: &[u8]) {
        self.send(op::INPUT, offset, bytes);
    }

    pub(super) fn resize(&self, cols: u16, rows: u16) {
        let payload = [cols.to_be_bytes(), rows.to_be_bytes()].concat();
        self.send(op::RESIZE, 0, &[&payload[..], &[1]].concat());
    }

    /// The window is this large, but nobody sees it.
    pub(super) fn resize_unseen(&self, cols: u16, rows: u16) {
        let payload = [cols.to_be_bytes(), rows.to_be_bytes()].concat();
        self.send(op::RESIZE, 0, &[&payload[..], &[0]].concat());
    }

    fn send(&self, op: u8, offset: u64, payload: &[u8]) {
        let frame = Frame { op, flags: 0, offset, payload: Bytes::copy_from_slice(payload) };
        self.channel.sink.receive(frame).unwrap();
    }

    /// Everything the emulator shows and keeps, as one value.
    pub(super) fn screen(&mut self) -> String {
        drawn(&mut self.emulator)
    }
}

pub(super) fn emulator(cols: u16, rows: u16) -> ScreenModel {
    ScreenModel::new(Size { cols, rows }, 10_000)
}

pub(super) fn drawn(emulator: &mut ScreenModel) -> String {
    String::from_utf8(emulator.rebuild(usize::MAX, usize::MAX).bytes).unwrap()
}

pub(super) fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
