use std::{
    fs::{self, File},
    io::{BufReader, Write},
    path::PathBuf,
};

use super::*;
use crate::terminals::asciicast::{Cast, Event};

const MIB: u64 = 1024 * 1024;

fn options() -> RecordOptions {
    RecordOptions { path: "a.cast".into(), input: false, limit_bytes: 64 * MIB }
}

fn tape(bench: &Bench) -> (PathBuf, File) {
    let path = bench.root.path().join("a.cast");
    let file = fs::OpenOptions::new().append(true).create_new(true).open(&path).unwrap();
    (path, file)
}

fn events(path: &PathBuf) -> Vec<Event> {
    let mut cast = Cast::open(BufReader::new(File::open(path).unwrap())).unwrap();
    let mut events = Vec::new();
    let mut last = Duration::ZERO;
    while let Some((at, event)) = cast.next_event().unwrap() {
        assert!(at >= last, "lines are in the order of their times");
        last = at;
        events.push(event);
    }
    events
}

fn played(name: &str) -> PlayOptions {
    PlayOptions { name: name.into(), speed: 1000.0, idle_limit: Some(Duration::ZERO), opened_by: None }
}

const SCRIPT: &str = "stty -echo; printf 'before '; read go; printf '\\033[1;31mred \\344\\270'; printf '\\255 \\377\\033[m\\r\\nnext'; \
                      read go; printf '\\033[?1049hother'; read go; seq 100; exit 3";

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_when_played_ends_with_the_screen_that_was_recorded() {
    let mut bench = Bench::new();
    let id = bench.run(SCRIPT).await;
    bench.wait_for_text(&id, "before").await;
    let (path, file) = tape(&bench);
    let begun = bench.terminals.record(&id, file, &RecordOptions { input: true, ..options() }).unwrap();
    assert_eq!((begun.bytes, begun.end), (0, None));
    let again = bench.terminals.record(&id, File::open(&path).unwrap(), &options()).unwrap_err();
    assert_eq!(fault(again).0, "conflict");
    let mut watching = bench.attach(&id, Role::View);
    assert_eq!(watching.until_meta("recording").await, "a.cast");
    drop(watching);
    assert_eq!(bench.terminals.status(&id).unwrap().attachments, 0, "nobody looks on");
    bench.terminals.write(&id, b"typed\n").unwrap();
    bench.wait_for_text(&id, "next").await;
    bench.terminals.resize(&id, 60, 20).unwrap();
    bench.terminals.write(&id, b"\n").unwrap();
    bench.wait_for_text(&id, "other").await;
    bench.terminals.write(&id, b"\n").unwrap();
    bench.exit(&id).await;
    let recording = bench.terminals.stop_recording(&id).await.unwrap();
    assert_eq!((recording.end, recording.bytes), (Some(RecordingEnd::Exited), fs::metadata(&path).unwrap().len()));
    let recorded = events(&path);
    let text: String = recorded
        .iter()
        .filter_map(|event| if let Event::Output(text) = event { Some(&**text) } else { None })
        .collect();
    assert!(text.contains("red 中 \u{fffd}"), "{text:?}");
    let typed: String =
        recorded.iter().filter_map(|event| if let Event::Input(text) = event { Some(&**text) } else { None }).collect();
    assert_eq!(typed, "typed\n\n\n");
    assert!(recorded.contains(&Event::Resize(Size { cols: 60, rows: 20 })));

    let replay = bench.terminals.play(File::open(&path).unwrap(), played("replay")).await.unwrap();
    assert_eq!((replay.pid, replay.size), (0, Size { cols: 80, rows: 24 }));
    assert_eq!(bench.exit(&replay.id).await.code, 0);
    let drawn = |client: &mut Client| (client.emulator.lines(), client.screen());
    let (mut original, mut copy) = (bench.attach(&id, Role::View), bench.attach(&replay.id, Role::View));
    original.drain().await;
    copy.drain().await;
    assert_eq!(drawn(&mut copy), drawn(&mut original));
    let mut ends = Vec::new();
    // Who stops a recording may hear of its end before the event does.
    while ends.len() < 2 {
        match bench.event().await {
            TerminalEvent::RecordingBegan { id, .. } => ends.push((id, None)),
            TerminalEvent::RecordingEnded { id, recording } => ends.push((id, recording.end)),
            _ => {}
        }
    }
    assert_eq!(ends, [(id.clone(), None), (id, Some(RecordingEnd::Exited))]);
    bench.terminals.shutdown().await;
}

#[tokio::test]
async fn what_plays_takes_no_input_and_ends_when_it_is_closed() {
    let bench = Bench::new();
    let path = bench.root.path().join("long.cast");
    // The second event is due in ten days.
    fs::write(
        &path,
        "{\"version\":2,\"width\":40,\"height\":10}\n[0,\"o\",\"hello \\u001b[6n\"]\n[864000,\"o\",\"later\"]\n",
    )
    .unwrap();
    let options = PlayOptions { speed: 1.0, idle_limit: None, ..played("long") };
    let id = bench.terminals.play(File::open(&path).unwrap(), options.clone()).await.unwrap().id;
    bench.wait_for_text(&id, "hello").await;
    let refused = |result: Result<(), TerminalError>| fault(result.unwrap_err()).0;
    assert_eq!(refused(bench.terminals.write(&id, b"x")), "forbidden");
    assert_eq!(refused(bench.terminals.resize(&id, 50, 10)), "forbidden");
    assert_eq!(refused(bench.terminals.signal(&id, "INT")), "forbidden");
    let mut client = bench.attach(&id, Role::Drive);
    client.input(0, b"x");
    assert_eq!(client.until_meta("error").await["code"], "forbidden");
    bench.terminals.close(&id).await.unwrap();
    client.drain().await;
    assert_eq!(client.exit.unwrap().3, 2, "closed");
    let fast = PlayOptions { speed: 0.0, ..options };
    let refused = bench.terminals.play(File::open(&path).unwrap(), fast).await.unwrap_err();
    assert!(fault(refused).1.contains("as fast"));
    fs::write(&path, "no recording\n").unwrap();
    let refused = bench.terminals.play(File::open(&path).unwrap(), played("none")).await.unwrap_err();
    assert_eq!(fault(refused).0, "invalid_params");
    bench.terminals.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_ends_at_its_limit_and_says_so_and_the_program_goes_on() {
    let bench = Bench::new();
    let id = bench
        .run("stty raw -echo; echo ready; read go; yes '\\033[1mall work' | head -c 3000000; printf DONE; read go")
        .await;
    bench.wait_for_text(&id, "ready").await;
    let (path, file) = tape(&bench);
    let small =
        bench.terminals.record(&id, File::open(&path).unwrap(), &RecordOptions { limit_bytes: 100, ..options() });
    assert_eq!(fault(small.unwrap_err()).0, "invalid_params");
    bench.terminals.record(&id, file, &RecordOptions { limit_bytes: MIB, ..options() }).unwrap();
    bench.terminals.write(&id, b"\n").unwrap();
    bench.wait_for_text(&id, "DONE").await;
    let recording = bench.terminals.stop_recording(&id).await.unwrap();
    assert_eq!(recording.end, Some(RecordingEnd::Limit));
    assert!(recording.bytes <= MIB && recording.bytes == fs::metadata(&path).unwrap().len());
    let all = events(&path);
    assert!(
        matches!(all.last(), Some(Event::Marker(label)) if label.contains("as large as it may be")),
        "{:?}",
        all.last()
    );
    bench.terminals.shutdown().await;
}

#[tokio::test]
async fn a_recording_that_cannot_be_written_ends_and_holds_nobody_up() {
    let bench = Bench::new();
    let id = bench.run("echo ready; read go; seq 3; read go").await;
    bench.wait_for_text(&id, "ready").await;
    let full = fs::OpenOptions::new().append(true).open("/dev/full").unwrap();
    bench.terminals.record(&id, full, &options()).unwrap();
    bench.terminals.write(&id, b"\n").unwrap();
    assert_eq!(bench.terminals.stop_recording(&id).await.unwrap().end, Some(RecordingEnd::Failed));
    // Others may follow; the last ends with the host.
    let (path, file) = tape(&bench);
    bench.terminals.record(&id, file.try_clone().unwrap(), &options()).unwrap();
    let mut watching = bench.attach(&id, Role::View);
    assert_eq!(watching.until_meta("recording").await, "a.cast");
    assert_eq!(bench.terminals.stop_recording(&id).await.unwrap().end, Some(RecordingEnd::Stopped));
    assert_eq!(watching.until_meta("recording").await, serde_json::Value::Null);
    file.set_len(0).unwrap();
    bench.terminals.record(&id, file, &options()).unwrap();
    bench.terminals.shutdown().await;
    assert!(!events(&path).is_empty());
}

#[tokio::test]
async fn a_terminal_that_has_just_ended_is_recorded_as_it_stands() {
    let bench = Bench::new();
    let id = bench.run("echo the end").await;
    bench.exit(&id).await;
    assert_eq!(fault(bench.terminals.check_recording(&id, &options()).unwrap_err()).0, "conflict");
    // Who had looked before it ended has made the file by now.
    let (path, file) = tape(&bench);
    bench.terminals.record(&id, file, &options()).unwrap();
    assert_eq!(bench.terminals.stop_recording(&id).await.unwrap().end, Some(RecordingEnd::Exited));
    let shown = |event: &Event| matches!(event, Event::Output(text) if text.contains("the end"));
    assert!(events(&path).iter().any(shown));
    bench.terminals.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_slower_than_a_program_may_be_held_back_ends_the_recording_and_not_the_program() {
    let bench = Bench::with_limits(TerminalLimits {
        ring_bytes: 256 * 1024,
        scrollback_lines: 100,
        hold_max: Duration::from_millis(300),
        ..TerminalLimits::default()
    });
    let id =
        bench.run("stty raw -echo; echo ready; read go; yes 'all work' | head -c 3000000; printf DONE; read go").await;
    bench.wait_for_text(&id, "ready").await;
    // A disk that takes nothing: a pipe, and nobody reads.
    let pipe = bench.root.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let both = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let file = fs::OpenOptions::new().append(true).open(&pipe).unwrap();
    bench.terminals.record(&id, file, &options()).unwrap();
    bench.terminals.write(&id, b"\n").unwrap();
    bench.wait_for_text(&id, "DONE").await;
    // The disk goes on: what was on its way is written, and no line is cut.
    let read = std::thread::spawn(move || {
        let (mut lines, mut reader) = (Vec::new(), BufReader::new(both));
        loop {
            let mut line = String::new();
            std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
            if line.is_empty() || line == "over\n" {
                return lines;
            }
            lines.push(line);
        }
    });
    assert_eq!(bench.terminals.stop_recording(&id).await.unwrap().end, Some(RecordingEnd::Slow));
    fs::OpenOptions::new().append(true).open(&pipe).unwrap().write_all(b"over\n").unwrap();
    let lines = read.join().unwrap();
    assert!(lines.len() > 2 && lines.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    bench.terminals.shutdown().await;
}
