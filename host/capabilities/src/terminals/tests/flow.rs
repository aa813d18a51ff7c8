//! Clients of different speed.

use super::*;

const MIB: u64 = 1024 * 1024;
/// What comes before the flood.
const READY: u64 = "ready\n".len() as u64;

/// `count` MiB of lines, as fast as the terminal takes them.
fn flood(count: u64) -> String {
    format!("stty raw -echo; echo ready; read go; yes 'all work and no play' | head -c {}; printf DONE", count * MIB)
}

fn small_ring() -> Bench {
    // Larger than the smallest window, so that a client can lag without losing.
    Bench::with_limits(TerminalLimits { ring_bytes: 256 * 1024, scrollback_lines: 100, ..TerminalLimits::default() })
}

fn small_window(role: Role) -> AttachOptions {
    AttachOptions { max_unacked_bytes: Some(64 * 1024), ..as_role(role) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_acknowledges_neither_pauses_the_program_nor_another_client() {
    let bench = small_ring();
    let first = "stty raw -echo; echo ready; read go; yes 'some work' | head -c 100000; read go";
    let id = bench.run(&format!("{first}; yes 'all work and no play' | head -c {}; printf DONE", 4 * MIB)).await;
    bench.wait_for_text(&id, "ready").await;
    let mut slow = Client::new(bench.terminals.attach(&id, &small_window(Role::View)).unwrap());
    slow.acknowledges = false;
    bench.terminals.write(&id, b"\n").unwrap();
    assert_eq!(slow.until_meta("lagging").await, true);
    assert!(slow.output.len() <= 64 * 1024, "no more than its window was sent: {}", slow.output.len());

    let options = AttachOptions { lossless: true, ..as_role(Role::View) };
    let mut fast = Client::new(bench.terminals.attach(&id, &options).unwrap());
    bench.terminals.write(&id, b"\n").unwrap();
    fast.drain().await;
    let end = fast.exit.unwrap().0;
    assert_eq!(end, READY + 100_000 + 4 * MIB + 4);
    assert!(fast.output.len() as u64 >= 4 * MIB && fast.output.ends_with(b"DONE"));

    // Once it acknowledges it gets the present screen.
    slow.acknowledges = true;
    slow.acknowledge();
    slow.drain().await;
    let skipped = slow.metas.iter().filter_map(|meta| meta["skipped"].as_u64()).sum::<u64>();
    assert_eq!(skipped + slow.output.len() as u64 + READY, end);
    assert_eq!(slow.emulator.lines(), fast.emulator.lines());
}

#[tokio::test]
async fn a_client_that_lags_by_less_than_a_window_gets_every_byte() {
    let bench = small_ring();
    let script = "stty raw -echo; echo ready; read go; yes 'all work' | head -c 100000; printf DONE; read go";
    let id = bench.run(script).await;
    bench.wait_for_text(&id, "ready").await;
    let mut client = Client::new(bench.terminals.attach(&id, &small_window(Role::View)).unwrap());
    client.acknowledges = false;
    bench.terminals.write(&id, b"\n").unwrap();
    assert_eq!(client.until_meta("lagging").await, true);
    bench.wait_for_text(&id, "DONE").await;
    client.acknowledges = true;
    client.acknowledge();
    client.until_meta("caught_up").await;
    assert_eq!(client.snapshots, 1);
    assert!(client.output.ends_with(b"DONE"));
    let all = bench.raw(&id);
    assert!(all.ends_with(&client.output) && client.output.len() >= 100_000);
    bench.terminals.shutdown().await;
}

#[tokio::test]
async fn a_size_that_changed_while_a_client_lagged_gives_it_a_snapshot() {
    let bench = small_ring();
    let id =
        bench.run("stty raw -echo; echo ready; read go; yes 'all work' | head -c 200000; printf DONE; read go").await;
    bench.wait_for_text(&id, "ready").await;
    let mut client = Client::new(bench.terminals.attach(&id, &small_window(Role::View)).unwrap());
    client.acknowledges = false;
    bench.terminals.write(&id, b"\n").unwrap();
    client.until_meta("lagging").await;
    bench.wait_for_text(&id, "DONE").await;
    bench.terminals.resize(&id, 40, 10).unwrap();
    client.acknowledge();
    client.until_meta("skipped").await;
    assert_eq!(client.snapshots, 2);
    assert_eq!(client.emulator.size().cols, 40);
    bench.terminals.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lossless_client_gets_every_byte_however_slow_it_is() {
    let bench = small_ring();
    let id = bench.run(&flood(2)).await;
    bench.wait_for_text(&id, "ready").await;
    let options = AttachOptions { lossless: true, ..small_window(Role::View) };
    let mut client = Client::new(bench.terminals.attach(&id, &options).unwrap());
    client.acknowledges = false;
    bench.terminals.write(&id, b"\n").unwrap();
    // It reads a window at a time and acknowledges only then.
    while client.exit.is_none() {
        let before = client.offset;
        while client.exit.is_none() && client.offset < before + 64 * 1024 {
            assert!(client.step().await);
        }
        client.acknowledge();
    }
    assert_eq!(client.snapshots, 1);
    assert_eq!(client.output.len() as u64, 2 * MIB + 4);
    assert_eq!(client.gap, None);
}

#[tokio::test]
async fn a_lossless_client_that_leaves_lets_the_program_go_on() {
    let bench = small_ring();
    let id = bench.run(&flood(1)).await;
    bench.wait_for_text(&id, "ready").await;
    let options = AttachOptions { lossless: true, ..small_window(Role::View) };
    let mut client = Client::new(bench.terminals.attach(&id, &options).unwrap());
    client.acknowledges = false;
    bench.terminals.write(&id, b"\n").unwrap();
    client.until(|client| client.output.len() >= 64 * 1024).await;
    drop(client);
    assert_eq!(bench.exit(&id).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lossless_client_that_holds_a_program_back_for_too_long_is_told_of_the_gap_and_ended() {
    let hold_max = Duration::from_millis(200);
    let limits =
        TerminalLimits { ring_bytes: 256 * 1024, scrollback_lines: 100, hold_max, ..TerminalLimits::default() };
    let bench = Bench::with_limits(limits);
    let (id, other) = (bench.run(&flood(2)).await, bench.run("stty raw -echo; echo ready; exec cat").await);
    bench.wait_for_text(&id, "ready").await;
    bench.wait_for_text(&other, "ready").await;
    let options = AttachOptions { lossless: true, ..small_window(Role::View) };
    let mut client = Client::new(bench.terminals.attach(&id, &options).unwrap());
    client.acknowledges = false;
    bench.terminals.write(&id, b"\n").unwrap();
    client.until(|client| client.output.len() >= 64 * 1024).await;
    // One terminal that is held holds no other.
    for turn in 0..20 {
        bench.terminals.write(&other, format!("<{turn}>").as_bytes()).unwrap();
        bench.wait_for_text(&other, &format!("<{turn}>")).await;
    }
    assert_eq!(bench.exit(&id).await.code, 0);
    client.drain().await;
    let (lost, next) = client.gap.expect("it was given up");
    assert_eq!(lost, client.offset);
    assert!(next > lost && client.exit.is_none());
    bench.terminals.shutdown().await;
}

/// Bytes of all kinds, with more escapes than chance would have, and questions among them.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 48
    };
    let mut noise = Vec::with_capacity(length + 8);
    while noise.len() < length {
        match next() % 64 {
            0 => noise.push(0x1b),
            1 => noise.extend(b"\x1b["),
            2 => noise.extend(b"\x1b]"),
            3 => noise.extend(b"\x1bP$q"),
            4 => noise.extend(b"\x1b[6n"),
            5 => noise.extend(b"\xc2\x9b"),
            _ => noise.push(next().to_be_bytes()[7]),
        }
    }
    noise
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lossless_client_gets_any_bytes_but_for_the_questions_in_them() {
    let bench = small_ring();
    let written = noise(2 << 20);
    std::fs::write(bench.root.path().join("noise"), &written).unwrap();
    let id = bench.run("stty raw -echo; echo ready; read go; cat noise").await;
    bench.wait_for_text(&id, "ready").await;
    let options = AttachOptions { lossless: true, ..as_role(Role::View) };
    let mut client = Client::new(bench.terminals.attach(&id, &options).unwrap());
    bench.terminals.write(&id, b"\n").unwrap();
    client.drain().await;
    let (mut expected, mut asked) = (Vec::<u8>::new(), 0);
    let mut whole = scan::Scanner::new();
    let mut take = |piece: scan::Piece<'_>| match piece {
        scan::Piece::Query(..) => asked += 1,
        scan::Piece::Osc(..) => {}
        scan::Piece::Plain(bytes)
        | scan::Piece::Shown(bytes)
        | scan::Piece::Unshown(bytes)
        | scan::Piece::Repeat(bytes, _) => expected.extend(bytes),
        scan::Piece::Wide { written, .. } => expected.extend(written),
    };
    whole.push(&written, &mut take);
    whole.finish(&mut take);
    assert!(asked > 10_000, "{asked}");
    assert!(
        client.output == expected,
        "differs at {:?}",
        client.output.iter().zip(&expected).position(|(a, b)| a != b)
    );
    assert_eq!(client.gap, None);
}
