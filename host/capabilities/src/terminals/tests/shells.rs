//! What shells say: folders, commands and their exit codes.

use super::*;

const PROMPT: &str = r"printf '\033]7;file://h/tmp/a%%20b\007\033]133;A\007$ \033]133;B\007'";

#[tokio::test]
async fn commands_are_known_with_their_output_and_exit_code_and_can_be_waited_for() {
    let mut bench = Bench::new();
    let run = r"printf '\033]633;E;make all\007\033]133;C\007'; echo building; printf '\033]133;D;2\007'";
    let id = bench.run(&format!("{PROMPT}; read go; {run}; {PROMPT}; read go")).await;
    bench.wait_for_text(&id, "$ ").await;
    let done = bench.terminals.wait(&id, WaitFor::CommandDone(None), GUARD);
    let (done, _) = tokio::join!(done, async { bench.terminals.write(&id, b"\n") });
    assert_eq!(done.unwrap().state, TerminalState::Running);
    // One that has ended already.
    bench.wait(&id, WaitFor::CommandDone(Some(1))).await;
    let command = bench.terminals.commands(&id, 10).unwrap().remove(0);
    assert_eq!((command.number, command.exit_code, command.line.as_deref()), (1, Some(2), Some("make all")));
    assert_eq!(command.cwd.as_deref(), Some("/tmp/a b"));
    let (from, to) = (command.from, command.to.unwrap());
    let output = bench.terminals.read(&id, from, usize::try_from(to - from).unwrap()).unwrap().bytes;
    assert_eq!(output, b"building\r\n");
    let status = bench.terminals.status(&id).unwrap();
    assert_eq!((status.cwd.as_deref(), status.commands_ended, status.attachments), (Some("/tmp/a b"), 1, 0));
    assert!(matches!(bench.event().await, TerminalEvent::Opened(_)));
    assert!(matches!(bench.event().await, TerminalEvent::CwdChanged { cwd, .. } if cwd == "/tmp/a b"));
    assert!(matches!(bench.event().await, TerminalEvent::CommandDone { command, .. } if command.number == 1));
    let mut client = bench.attach(&id, Role::View);
    assert_eq!(client.until_meta("cwd").await, "/tmp/a b");
    let never = bench.terminals.wait(&id, WaitFor::CommandDone(None), GUARD);
    let (never, _) = tokio::join!(never, async { bench.terminals.write(&id, b"\n") });
    assert_eq!(fault(never.unwrap_err()).0, "conflict");
}

#[tokio::test]
async fn lines_that_have_left_the_screen_are_read_as_text() {
    let bench = Bench::new();
    let id = bench.run("seq 1 1000; read go").await;
    bench.wait_for_text(&id, "1000").await;
    let screen = bench.terminals.screen(&id, 700).unwrap();
    assert_eq!((screen.above.len(), screen.lines[22].as_str()), (700, "1000"));
    assert_eq!((screen.above[699].as_str(), screen.above[0].as_str()), ("977", "278"));
    bench.terminals.shutdown().await;
}
