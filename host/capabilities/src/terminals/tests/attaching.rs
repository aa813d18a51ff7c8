//! Snapshots, deltas and what they must add up to.

use super::*;

/// Colours, wide characters, titles, cursor movement and both screens, for a while.
const SHOW: &str = r"
i=0
while [ $i -lt 400 ]; do
    printf '\033[%d;%dH\033[1;3%dmrow %d \342\202\254\346\274\242\033[0m\033]2;title %d\007' \
        $((i % 24 + 1)) $((i % 60 + 1)) $((i % 8)) $i $i
    if [ $((i % 50)) -eq 30 ]; then printf '\033[?1049h'; fi
    if [ $((i % 50)) -eq 45 ]; then printf '\033[?1049l\r\n'; fi
    i=$((i + 1))
done
read go
printf 'over\r\n'
";

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_and_live_output_equal_a_reference_emulator_whenever_a_client_comes() {
    let bench = Bench::new();
    let id = bench.run(SHOW).await;
    let mut clients = Vec::new();
    // They come while the program draws: each after it has seen a little more.
    for seen in (0..16_000).step_by(1000) {
        let enough = async {
            let mut first = bench.attach(&id, Role::View);
            first.until(|client| client.offset >= seen).await;
        };
        enough.await;
        clients.push(bench.attach(&id, Role::View));
    }
    bench.terminals.write(&id, b"\n").unwrap();
    bench.exit(&id).await;
    let mut reference = client::emulator(80, 24);
    reference.process(&bench.raw(&id));
    let reference = client::drawn(&mut reference);
    assert!(bench.raw(&id).len() > 16_000);
    for client in &mut clients {
        client.drain().await;
        assert_eq!(client.snapshots, 1);
        assert_eq!(client.screen(), reference);
    }
}

#[tokio::test]
async fn resuming_by_offset_gives_exactly_the_missing_bytes() {
    let bench = Bench::new();
    let id = bench.run("stty -echo; echo one; read go; echo two; read go; echo three").await;
    let mut client = bench.attach(&id, Role::Drive);
    client.until(|client| client.offset == 5).await;
    let epoch = bench.terminals.get(&id).unwrap().epoch.to_string();
    let offset = client.offset;
    drop(client);
    bench.terminals.write(&id, b"\n").unwrap();
    bench.wait_for_text(&id, "two").await;
    let resume = Some(Resume { epoch, offset });
    let attachment = bench.terminals.attach(&id, &AttachOptions { resume, ..as_role(Role::Drive) }).unwrap();
    assert!(attachment.delta);
    assert_eq!(attachment.offset, offset);
    let mut client = Client::new(attachment);
    client.input(0, b"\n");
    client.drain().await;
    assert_eq!(client.snapshots, 0);
    assert_eq!(client.output, b"two\r\nthree\r\n");
    assert_eq!(client.exit.unwrap(), (17, 0, 0, 0));
}

#[tokio::test]
async fn a_resume_that_cannot_be_continued_begins_with_a_snapshot() {
    let bench = Bench::with_limits(TerminalLimits { ring_bytes: 1000, ..TerminalLimits::default() });
    let id = bench.run("stty raw -echo; head -c 3000 /dev/zero | tr '\\0' x; read go").await;
    bench.wait_for_text(&id, "xxx").await;
    bench.attach(&id, Role::View).until(|client| client.offset == 3000).await;
    let epoch = bench.terminals.get(&id).unwrap().epoch.to_string();
    let delta = |epoch: &str, offset| {
        let resume = Some(Resume { epoch: epoch.into(), offset });
        let attachment = bench.terminals.attach(&id, &AttachOptions { resume, ..as_role(Role::View) }).unwrap();
        (attachment.delta, attachment.offset)
    };
    assert_eq!(delta(&epoch, 2500), (true, 2500));
    assert_eq!(delta("another", 2500), (false, 3000));
    assert_eq!(delta(&epoch, 1999), (false, 3000));
    assert_eq!(delta(&epoch, 3001), (false, 3000));
    bench.terminals.resize(&id, 100, 30).unwrap();
    assert_eq!(delta(&epoch, 2500), (false, 3000));
    assert_eq!(delta(&epoch, 3000), (true, 3000));
    bench.terminals.shutdown().await;
}

#[tokio::test]
async fn an_exited_terminal_shows_its_last_screen_and_its_code() {
    let bench = Bench::new();
    let id = bench.run("printf 'last words'; exit 5").await;
    bench.exit(&id).await;
    let mut client = bench.attach(&id, Role::View);
    client.drain().await;
    assert_eq!(client.emulator.lines()[0], "last words");
    assert_eq!(client.exit.unwrap(), (10, 5, 0, 0));
}

#[tokio::test]
async fn every_client_learns_size_and_title() {
    let bench = Bench::new();
    let id = bench.run(r"echo ready; read go; printf '\033]0;news\007'; read go").await;
    let mut driver = bench.attach(&id, Role::Drive);
    let mut viewer = bench.attach(&id, Role::View);
    viewer.until_sees("ready").await;
    viewer.resize(50, 20);
    driver.resize(60, 25);
    for client in [&mut driver, &mut viewer] {
        assert_eq!(client.until_meta("size").await, serde_json::json!({ "cols": 60, "rows": 25 }));
    }
    driver.resize(1, 25);
    assert_eq!(driver.until_meta("error").await["code"], "invalid_params");
    driver.input(0, b"\n");
    for client in [&mut driver, &mut viewer] {
        assert_eq!(client.until_meta("title").await, "news");
    }
    bench.terminals.shutdown().await;
}
