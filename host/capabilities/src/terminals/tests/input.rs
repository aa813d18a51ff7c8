//! Who may send input, and that it arrives once.

use super::*;

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
