//! Who sits at the keyboard: what is typed, the window's size, and the signals that shells and systems send.

use std::{
    io::{Read, stdin},
    pin::pin,
    thread,
};

use anyhow::Context;
use futures_util::future::select_all;
use rustix::process::Signal as Number;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use crate::client::Failure;

/// Reads of the keyboard that wait; the keyboard waits beyond.
const READS_QUEUED_MAX: usize = 16;
/// These end the program, which first leaves its own terminal as it was.
const ENDS: [Number; 4] = [Number::TERM, Number::HUP, Number::INT, Number::QUIT];

pub struct Person {
    keys: mpsc::Receiver<Vec<u8>>,
    window: Signal,
    suspend: Signal,
    ends: Vec<(Signal, i32)>,
    detach_key: u8,
}

/// What a person has done.
pub enum Did {
    Type(Vec<u8>),
    /// The key that detaches, after these.
    Detach(Vec<u8>),
    Resize,
    Suspend,
    /// By this signal.
    End(i32),
}

impl Person {
    /// From now on signals that would end or stop the program come here.
    pub fn new(detach_key: u8) -> Result<Self, Failure> {
        let caught = |number: Number| signal(SignalKind::from_raw(number.as_raw())).context("signals cannot be caught");
        let mut ends = Vec::new();
        for number in ENDS {
            ends.push((caught(number)?, number.as_raw()));
        }
        Ok(Self { keys: keyboard(), window: caught(Number::WINCH)?, suspend: caught(Number::TSTP)?, ends, detach_key })
    }

    /// The next thing; keys only if there is `room` for them. Dropping the future loses nothing. Without more keys (a script whose
    /// input has ended) it looks on.
    pub async fn next(&mut self, room: bool) -> Did {
        let ends = self.ends.iter_mut().map(|(signal, number)| {
            Box::pin(async move {
                signal.recv().await;
                *number
            })
        });
        let ended = pin!(select_all(ends));
        tokio::select! {
            biased;
            (number, ..) = ended => Did::End(number),
            _ = self.suspend.recv() => Did::Suspend,
            _ = self.window.recv() => Did::Resize,
            Some(keys) = self.keys.recv(), if room => match keys.iter().position(|key| *key == self.detach_key) {
                Some(end) => Did::Detach(keys[..end].to_vec()),
                None => Did::Type(keys),
            },
        }
    }
}

/// Keys as they are pressed. Its thread ends with the program: nothing else ends a read of a terminal.
fn keyboard() -> mpsc::Receiver<Vec<u8>> {
    let (keys, pressed) = mpsc::channel(READS_QUEUED_MAX);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stdin().read(&mut buffer) {
            if keys.blocking_send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    pressed
}
