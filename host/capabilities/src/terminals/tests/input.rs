//! Who may send input, and that it arrives once.

use std::time::Instant;

use midplane_model::{channel::op, limits::TERMINAL_INPUT_BYTES_MAX};

use super::*;
use crate::terminals::input::InputQueue;

#[tokio::test]
async fn repeated_input_is_dropped_and_a_gap_is_refused() {
    let bench = Bench::new();
    let id = bench.run("stty -echo -icanon; echo ready; head -c 8").await;
    let mut client = bench.attach(&id, Role::Drive);
    client.until_sees("ready").await;
    client.input(0, b"abc");
    client.input(0, b"abc");
    client.input(1, b"bcde");
    client.input(9, b"zzz");
    assert_eq!(client.until_meta("error").await["code"], "conflict");
    assert_eq!(client.input_acks.last(), Some(&5));
    client.input(5, b"fgh");
    client.drain().await;
    assert!(client.output.ends_with(b"abcdefgh"));
    assert_eq!(client.input_acks.last(), Some(&8));
}

#[tokio::test]
async fn a_viewer_cannot_write_and_stays_attached() {
    let bench = Bench::new();
    let id = bench.run("stty -echo; echo ready; read line; echo \"got $line\"").await;
    let mut viewer = bench.attach(&id, Role::View);
    viewer.until_sees("ready").await;
    viewer.input(0, b"from the viewer\n");
    assert_eq!(viewer.until_meta("error").await["code"], "forbidden");
    bench.terminals.write(&id, b"from the host\n").unwrap();
    viewer.drain().await;
    assert!(client::contains(&viewer.output, "got from the host"));
    assert!(viewer.input_acks.is_empty());
}

#[tokio::test]
async fn a_second_driver_takes_over_and_both_are_told() {
    let bench = Bench::new();
    let id = bench.run("stty -echo; echo ready; read line; echo \"got $line\"").await;
    let mut first = bench.attach(&id, Role::Drive);
    first.until_sees("ready").await;
    let mut second = bench.attach(&id, Role::Drive);
    assert_eq!(first.until_meta("driver").await, false);
    assert_eq!(second.until_meta("driver").await, true);
    first.input(0, b"old\n");
    assert_eq!(first.until_meta("error").await["code"], "forbidden");
    second.input(0, b"new\n");
    second.drain().await;
    assert!(client::contains(&second.output, "got new"));
}

#[tokio::test]
async fn a_large_paste_arrives_whole() {
    let bench = Bench::new();
    let id = bench.run("stty raw -echo; echo ready; head -c 200000 | cksum").await;
    bench.wait_for_text(&id, "ready").await;
    let paste: Vec<u8> = (0..200_000u32).map(|n| b'a' + (n % 23) as u8).collect();
    bench.terminals.write(&id, &paste).unwrap();
    bench.exit(&id).await;
    let file = bench.root.path().join("paste");
    std::fs::write(&file, &paste).unwrap();
    let want = std::process::Command::new("cksum").stdin(std::fs::File::open(file).unwrap()).output().unwrap();
    let want = String::from_utf8(want.stdout).unwrap();
    assert!(client::contains(&bench.raw(&id), want.trim_end()), "{want}");
}

/// The connection may ask for frames only after the program has read everything: had it then one acknowledgement for both, the
/// client would take it for the refusal and wait for ever.
#[test]
fn a_refusal_and_the_room_after_it_are_two_acknowledgements() {
    let size = Size { cols: 80, rows: 24 };
    let mut output = output::Output::new(size, 1024, 10);
    let mut queue = InputQueue::default();
    let mut attachment = attachment::AttachmentState::new(
        attachment::AttachmentStart {
            role: Role::Drive,
            lossless: false,
            max_unacked_bytes: None,
            scrollback_lines: None,
            size: None,
            lineage: lineage::Lineage::new("typed".into()),
        },
        size,
    );
    attachment.input(0, &vec![b'x'; TERMINAL_INPUT_BYTES_MAX + 1], &mut queue);
    queue.clear();
    attachment.input_has_room();
    let frames = std::iter::from_fn(|| match attachment.next(&mut output, None, false, Instant::now()) {
        attachment::Next::Frame(frame) => Some(frame),
        _ => None,
    });
    let acks: Vec<_> = frames.filter(|frame| frame.op == op::INPUT_ACK).map(|frame| frame.offset).collect();
    assert_eq!(acks, [TERMINAL_INPUT_BYTES_MAX as u64; 2]);
}

#[tokio::test]
async fn input_that_nobody_reads_is_refused_and_continues_later() {
    let bench = Bench::new();
    let id =
        bench.run("stty raw -echo; trap 'exec cat >/dev/null' USR1; echo ready; while :; do sleep 0.01; done").await;
    let mut client = bench.attach(&id, Role::Drive);
    client.until_sees("ready").await;
    let (chunk, mut sent) = (vec![b'x'; 60_000], 0);
    // More than queue and kernel take together.
    for _ in 0..10 {
        client.input(sent, &chunk);
        sent += chunk.len() as u64;
    }
    assert_eq!(client.until_meta("error").await["code"], "unavailable");
    let accepted = *client.input_acks.last().unwrap();
    assert!((200_000..sent).contains(&accepted), "{accepted}");
    assert_eq!(fault(bench.terminals.write(&id, &chunk).unwrap_err()).0, "unavailable");
    assert_eq!(fault(bench.terminals.write(&id, &vec![0; 300_000]).unwrap_err()).0, "too_large");
    let acks = client.input_acks.len();
    bench.terminals.signal(&id, "USR1").unwrap();
    client.until(|client| client.input_acks.len() > acks).await;
    client.input(accepted, &chunk);
    client.until(|client| client.input_acks.last() == Some(&(accepted + 60_000))).await;
    bench.terminals.shutdown().await;
}
