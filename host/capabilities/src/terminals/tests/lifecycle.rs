//! From the first byte to the exit code.

use super::*;

#[tokio::test]
async fn what_is_written_comes_back_as_the_program_answers() {
    let bench = Bench::new();
    let id = bench.run("stty -echo; echo ready; read line; echo \"got $line\"").await;
    bench.wait_for_text(&id, "ready").await;
    bench.terminals.write(&id, b"hello\n").unwrap();
    assert_eq!(bench.exit(&id).await, Exit { code: 0, signal: None });
    assert_eq!(bench.raw(&id), b"ready\r\ngot hello\r\n");
    let screen = bench.terminals.screen(&id, 0).unwrap();
    assert_eq!(screen.lines[..3], ["ready", "got hello", ""]);
    assert_eq!((screen.cursor_row, screen.cursor_col, screen.lines.len()), (2, 0, 24));
}

#[tokio::test]
async fn a_resize_reaches_the_program() {
    let mut bench = Bench::new();
    let id = bench.run("echo ready; read go; stty size").await;
    bench.wait_for_text(&id, "ready").await;
    bench.terminals.resize(&id, 132, 43).unwrap();
    bench.terminals.write(&id, b"\n").unwrap();
    bench.wait_for_text(&id, "43 132").await;
    assert_eq!(bench.terminals.screen(&id, 0).unwrap().lines.len(), 43);
    assert!(matches!(bench.event().await, TerminalEvent::Opened(_)));
    assert_eq!(bench.event().await, TerminalEvent::Resized { id, size: Size { cols: 132, rows: 43 } });
}

#[tokio::test]
async fn exit_codes_and_signals_are_kept_until_the_terminal_is_closed() {
    let mut bench = Bench::new();
    let id = bench.run("exit 7").await;
    let exit = Exit { code: 7, signal: None };
    assert_eq!(bench.exit(&id).await, exit);
    assert_eq!(bench.terminals.get(&id).unwrap().state, TerminalState::Exited(exit));
    assert_eq!(fault(bench.terminals.write(&id, b"x").unwrap_err()).0, "conflict");
    assert_eq!(fault(bench.terminals.resize(&id, 90, 30).unwrap_err()).0, "conflict");
    assert_eq!(fault(bench.terminals.signal(&id, "INT").unwrap_err()).0, "conflict");
    bench.terminals.close(&id).await.unwrap();
    assert_eq!(fault(bench.terminals.get(&id).unwrap_err()).0, "not_found");
    assert!(matches!(bench.event().await, TerminalEvent::Opened(info) if info.id == id));
    assert_eq!(bench.event().await, TerminalEvent::Exited { id: Arc::clone(&id), exit });
    assert_eq!(bench.event().await, TerminalEvent::Closed { id });
}

#[tokio::test]
async fn a_signal_reaches_the_job_in_the_foreground() {
    let bench = Bench::new();
    let id = bench.run("echo ready; exec sleep 1000").await;
    bench.wait_for_text(&id, "ready").await;
    assert_eq!(fault(bench.terminals.signal(&id, "NONSENSE").unwrap_err()).0, "invalid_params");
    bench.terminals.signal(&id, "TERM").unwrap();
    assert_eq!(bench.exit(&id).await, Exit { code: 143, signal: Some(15) });
}

#[tokio::test]
async fn closing_kills_a_program_that_ignores_the_hang_up() {
    let bench = Bench::new();
    let id = bench.run("trap '' HUP; echo ready; while :; do sleep 1000; done").await;
    bench.wait_for_text(&id, "ready").await;
    let mut client = bench.attach(&id, Role::View);
    bench.terminals.close(&id).await.unwrap();
    client.drain().await;
    let (_, code, signal, reason) = client.exit.unwrap();
    assert_eq!((code, signal, reason), (137, 9, 2));
}

#[tokio::test]
async fn closing_kills_the_jobs_in_the_background_too() {
    let bench = Bench::new();
    let job = "sh -c 'trap \"\" HUP; echo job $$ ready; while :; do sleep 1000; done'";
    let id = bench.run(&format!("set -m; {job} & read go")).await;
    bench.wait_for_text(&id, "ready").await;
    let line = bench.terminals.screen(&id, 0).unwrap().lines[0].clone();
    let pid: i32 = line.split(' ').nth(1).unwrap().parse().unwrap();
    let alive = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(alive());
    bench.terminals.close(&id).await.unwrap();
    // It was killed; when the kernel is done with that is the kernel's affair.
    let gone = async {
        while alive() {
            tokio::task::yield_now().await;
        }
    };
    guarded(gone).await;
}

#[tokio::test]
async fn a_job_left_in_the_background_does_not_hold_back_the_exit() {
    let bench = Bench::new();
    let id = bench.run("(trap '' HUP; while echo noise; do :; done) & echo ready; exit 3").await;
    assert_eq!(bench.exit(&id).await.code, 3);
}

#[tokio::test]
async fn bytes_that_are_no_utf8_pass_unchanged() {
    let bench = Bench::new();
    let id = bench.run(r"stty raw; printf 'a\377\300\200\355\240\200\037\302b\000c\303'").await;
    bench.exit(&id).await;
    assert_eq!(bench.raw(&id), b"a\xff\xc0\x80\xed\xa0\x80\x1f\xc2b\x00c\xc3");
    let mut client = bench.attach(&id, Role::View);
    client.drain().await;
    assert_eq!(client.exit.unwrap().1, 0);
}

#[tokio::test]
async fn queries_are_answered_by_the_host_with_nobody_attached() {
    let bench = Bench::new();
    let ask = r"stty raw -echo; printf 'ab\033[6n'; head -c 6 | od -An -c; printf '\033[c'; head -c 7 | od -An -c";
    let id = bench.run(ask).await;
    assert_eq!(bench.exit(&id).await.code, 0);
    let raw = String::from_utf8(bench.raw(&id)).unwrap();
    let squeezed: String = raw.split_whitespace().collect();
    assert_eq!(squeezed, r"ab033[1;3R033[?1;2c");
}

#[tokio::test]
async fn names_and_titles_are_told() {
    let mut bench = Bench::new();
    let id = bench.run(r"printf '\033]2;building\007'; read go").await;
    assert!(matches!(bench.event().await, TerminalEvent::Opened(_)));
    let title = "building".to_owned();
    assert_eq!(bench.event().await, TerminalEvent::TitleChanged { id: Arc::clone(&id), title });
    bench.terminals.rename(&id, "build").unwrap();
    let name = "build".to_owned();
    assert_eq!(bench.event().await, TerminalEvent::Renamed { id: Arc::clone(&id), name });
    assert_eq!(fault(bench.terminals.rename(&id, "a\nb").unwrap_err()).0, "invalid_params");
    let info = bench.terminals.get(&id).unwrap();
    assert_eq!((&*info.name, &*info.title), ("build", "building"));
    bench.terminals.shutdown().await;
}

#[tokio::test]
async fn waiting_ends_with_its_condition_its_time_or_the_program() {
    let bench = Bench::new();
    let id = bench.run("echo ready; read go").await;
    bench.wait_for_text(&id, "ready").await;
    let idle = bench.wait(&id, WaitFor::IdleMs(30)).await;
    assert_eq!((idle.offset, idle.state), (7, TerminalState::Running));
    let brief = Duration::from_millis(20);
    let error = bench.terminals.wait(&id, WaitFor::Exit, brief).await.unwrap_err();
    assert_eq!(fault(error).0, "timeout");
    let never = bench.terminals.wait(&id, WaitFor::Text("never".into()), GUARD);
    let (never, _) = tokio::join!(never, async { bench.terminals.write(&id, b"\n") });
    assert_eq!(fault(never.unwrap_err()).0, "conflict");
    assert_eq!(bench.wait(&id, WaitFor::IdleMs(600_000)).await.state, TerminalState::Exited(bench.exit(&id).await));
}

#[tokio::test]
async fn reading_says_what_is_no_longer_kept() {
    let bench = Bench::with_limits(TerminalLimits { ring_bytes: 1000, ..TerminalLimits::default() });
    let id = bench.run("stty raw; head -c 5000 /dev/zero | tr '\\0' x; printf end").await;
    bench.exit(&id).await;
    let piece = bench.terminals.read(&id, 100, 500).unwrap();
    assert_eq!((piece.offset, piece.lost_bytes, piece.next), (4003, 3903, 4503));
    assert_eq!(bench.terminals.read(&id, 5000, 500).unwrap().bytes, b"end");
    assert_eq!(bench.terminals.read(&id, 5003, 500).unwrap().bytes, b"");
    assert_eq!(fault(bench.terminals.read(&id, 5004, 500).unwrap_err()).0, "invalid_params");
}

#[tokio::test]
async fn a_program_that_lets_go_of_its_terminal_and_comes_back_to_it_is_read() {
    let bench = Bench::new();
    let pipe = bench.root.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let id =
        bench.run("echo one; exec <&- >&- 2>&-; read go < pipe; echo two > /dev/tty; read go < pipe; exit 5").await;
    bench.wait_for_text(&id, "one").await;
    std::fs::write(&pipe, "go\n").unwrap();
    bench.wait_for_text(&id, "two").await;
    std::fs::write(&pipe, "go\n").unwrap();
    assert_eq!(bench.exit(&id).await.code, 5);
    assert_eq!(bench.raw(&id), b"one\r\ntwo\r\n");
    bench.terminals.shutdown().await;
}

#[tokio::test]
async fn a_daemon_that_keeps_the_terminal_open_does_not_hold_back_the_exit() {
    let bench = Bench::new();
    let id = bench
        .run("setsid sh -c 'echo daemon $$ ready; exec sleep 1000' & wait_for() { read go; }; wait_for; exit 6")
        .await;
    bench.wait_for_text(&id, "ready").await;
    let line = bench.terminals.screen(&id, 0).unwrap().lines[0].clone();
    bench.terminals.write(&id, b"\n").unwrap();
    assert_eq!(bench.exit(&id).await.code, 6);
    bench.terminals.shutdown().await;
    let daemon = line.split(' ').nth(1).and_then(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?)).unwrap();
    // A session of its own is none of ours.
    rustix::process::kill_process(daemon, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_stopped_program_is_closed_like_any_other() {
    let bench = Bench::new();
    let id = bench.run("trap 'echo told; exit 9' HUP; echo ready; kill -STOP $$; read go").await;
    bench.wait_for_text(&id, "ready").await;
    let mut client = bench.attach(&id, Role::View);
    bench.terminals.close(&id).await.unwrap();
    client.drain().await;
    let (_, code, signal, reason) = client.exit.unwrap();
    assert_eq!((code, signal, reason), (9, 0, 2));
}
