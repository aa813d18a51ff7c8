use std::{
    fs,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    sync::Arc,
    time::Duration,
};

use midplane_model::{ErrorCode, Fault, PluginName, limits::*};

use super::*;
use crate::leaks::{self, children, descriptors};

struct Bench {
    dir: tempfile::TempDir,
    processes: Processes,
    owner: PluginName,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut ProcessesConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = ProcessesConfig::new(dir.path().to_owned(), std::env::var("PATH").ok());
        change(&mut config);
        Self { dir, processes: Processes::new(config), owner: PluginName::parse("runner").unwrap() }
    }

    async fn run(&self, script: &str, options: RunOptions) -> Finished {
        self.processes.run(&self.owner, shell(script), options).await.unwrap()
    }

    async fn spawn(&self, script: &str) -> Arc<str> {
        self.processes.spawn(&self.owner, shell(script), nobody()).await.unwrap().id
    }

    /// A pipe by name that scripts open with `exec 3> pipe`, and the end of it that says when all who have it are gone.
    fn pipe(&self) -> fs::File {
        let path = self.dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        fs::OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
            .open(path)
            .unwrap()
    }

    /// Everything a stream has from `from` on until it contains `text`.
    async fn until(&self, id: &str, text: &str) -> String {
        let mut all = Vec::new();
        loop {
            let from = (Stream::Stdout, all.len() as u64);
            let piece = self.processes.read(&self.owner, id, from, 1 << 20, Duration::from_secs(60)).await.unwrap();
            all.extend(piece.bytes);
            let so_far = String::from_utf8_lossy(&all).into_owned();
            if so_far.contains(text) {
                return so_far;
            }
            assert!(!piece.ended, "{text:?} never came: {so_far:?}");
        }
    }
}

fn shell(script: &str) -> Command {
    let env = vec![("PATH".to_owned(), std::env::var("PATH").unwrap_or_default())];
    Command { program: "sh".into(), args: vec!["-c".into(), script.into()], cwd: None, env }
}

fn nobody() -> OnExit {
    Box::new(|_| Box::pin(async {}))
}

fn code<T: std::fmt::Debug>(result: Result<T, ProcessError>) -> ErrorCode {
    Fault::from(result.unwrap_err()).code
}

/// Resolves when nobody has the pipe open for writing any more, which somebody must have had.
async fn all_gone(mut pipe: fs::File) {
    rustix::fs::fcntl_setfl(&pipe, rustix::fs::OFlags::empty()).unwrap();
    tokio::task::spawn_blocking(move || std::io::copy(&mut pipe, &mut std::io::sink()).unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_program_is_fed_and_read_to_its_end() {
    let bench = Bench::new();
    let options = RunOptions { stdin: b"hello".to_vec(), ..RunOptions::default() };
    let finished = bench.run("cat; echo problem >&2; exit 3", options).await;
    assert_eq!((finished.exit.code, finished.exit.signal), (3, None));
    assert_eq!((&*finished.stdout, &*finished.stderr), (&b"hello"[..], &b"problem\n"[..]));
    assert!(!finished.timed_out && !finished.stdout_truncated && !finished.stderr_truncated);
    let finished = bench.run("kill -TERM $$", RunOptions::default()).await;
    assert_eq!(finished.exit.signal, Some(15));
}

#[tokio::test]
async fn more_output_than_wanted_is_cut_and_holds_up_nobody() {
    let bench = Bench::new();
    let options = RunOptions { stdout_bytes_max: 10, ..RunOptions::default() };
    let finished = bench.run("head -c 3000000 /dev/zero; echo done >&2", options).await;
    assert_eq!((finished.stdout.len(), finished.stdout_truncated), (10, true));
    assert_eq!((&*finished.stderr, finished.stderr_truncated), (&b"done\n"[..], false));
    // Nor does a program that reads nothing of what it is given.
    let options = RunOptions { stdin: vec![0; 3_000_000], ..RunOptions::default() };
    assert_eq!(bench.run("exit 0", options).await.exit.code, 0);
}

#[tokio::test]
async fn the_timeout_kills_the_program_with_all_it_has_started() {
    let bench = Bench::new();
    let options = RunOptions { timeout: Some(Duration::from_millis(300)), ..RunOptions::default() };
    let pipe = bench.pipe();
    let finished = bench.run("exec 3> pipe; sleep 1000 & sleep 1000 | sleep 1000", options).await;
    assert!(finished.timed_out);
    assert_eq!(finished.exit.signal, Some(9));
    all_gone(pipe).await;
}

#[tokio::test]
async fn what_a_program_leaves_behind_in_its_session_ends_with_it() {
    let bench = Bench::new();
    let pipe = bench.pipe();
    let finished = bench.run("exec 3> pipe; sleep 1000 & true", RunOptions::default()).await;
    assert_eq!(finished.exit.code, 0);
    all_gone(pipe).await;
}

#[tokio::test]
async fn giving_up_kills_the_program() {
    let bench = Bench::new();
    let pipe = bench.pipe();
    let options = RunOptions::default();
    let run = bench.processes.run(&bench.owner, shell("exec 3> pipe; echo > ready; sleep 1000"), options);
    let ready = async {
        while !bench.dir.path().join("ready").exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = run => panic!("it sleeps"),
        () = ready => {}
    }
    all_gone(pipe).await;
    bench.processes.shutdown().await;
}

#[tokio::test]
async fn a_child_is_written_to_and_read_by_offset() {
    let bench = Bench::with(|config| config.ring_bytes = 4096);
    let (told, exit) = tokio::sync::oneshot::channel();
    let on_exit: OnExit = Box::new(|info| Box::pin(async move { told.send(info).unwrap() }));
    let command = shell("echo ready; while read line; do echo got $line; done; echo bye >&2");
    let id = bench.processes.spawn(&bench.owner, command, on_exit).await.unwrap().id;
    bench.until(&id, "ready").await;
    bench.processes.write(&bench.owner, &id, b"one\ntwo\n".to_vec()).unwrap();
    assert_eq!(bench.until(&id, "got two").await, "ready\ngot one\ngot two\n");
    bench.processes.close_input(&bench.owner, &id).unwrap();
    let exited = exit.await.unwrap();
    assert_eq!(exited.exit, Some(Exit { code: 0, signal: None }));
    assert_eq!(bench.processes.wait(&bench.owner, &id).await.unwrap().code, 0);
    let read = async |stream, from| bench.processes.read(&bench.owner, &id, (stream, from), 100, Duration::MAX).await;
    let piece = read(Stream::Stderr, 0).await.unwrap();
    assert_eq!((&*piece.bytes, piece.next, piece.ended), (&b"bye\n"[..], 4, true));
    assert_eq!(code(read(Stream::Stderr, 5).await), ErrorCode::InvalidParams);
    assert_eq!(code(bench.processes.write(&bench.owner, &id, vec![0])), ErrorCode::Conflict);
    assert_eq!(bench.processes.list(&bench.owner).len(), 1);
    bench.processes.close(&bench.owner, &id).await.unwrap();
    assert!(bench.processes.list(&bench.owner).is_empty());
}

#[tokio::test]
async fn forgotten_output_is_a_later_offset() {
    let bench = Bench::with(|config| config.ring_bytes = 1000);
    let id = bench.spawn("head -c 200000 /dev/zero").await;
    bench.processes.wait(&bench.owner, &id).await.unwrap();
    let from = (Stream::Stdout, 0);
    let piece = bench.processes.read(&bench.owner, &id, from, 1 << 20, Duration::ZERO).await.unwrap();
    assert_eq!((piece.offset, piece.bytes.len(), piece.next, piece.ended), (199_000, 1000, 200_000, true));
}

#[tokio::test]
async fn input_that_is_not_read_is_refused_beyond_its_bound() {
    let bench = Bench::new();
    let id = bench.spawn("sleep 1000").await;
    let write = |bytes| bench.processes.write(&bench.owner, &id, vec![0; bytes]);
    assert_eq!(code(write(PROCESS_INPUT_BYTES_MAX + 1)), ErrorCode::TooLarge);
    // The pipe takes some of it, and nobody reads that.
    let refused = (0..10).find_map(|_| write(PROCESS_INPUT_BYTES_MAX / 2).err()).unwrap();
    assert_eq!(Fault::from(refused).code, ErrorCode::Unavailable);
    bench.processes.shutdown().await;
}

#[tokio::test]
async fn an_owner_sees_only_its_own_and_takes_them_along() {
    let bench = Bench::new();
    let other = PluginName::parse("other").unwrap();
    let pipe = bench.pipe();
    let id = bench.spawn("exec 3> pipe; echo ready; sleep 1000 & wait").await;
    bench.until(&id, "ready").await;
    assert!(bench.processes.list(&other).is_empty());
    assert_eq!(code(bench.processes.signal(&other, &id, "KILL")), ErrorCode::NotFound);
    bench.processes.end_all(&other).await;
    assert_eq!(bench.processes.list(&bench.owner)[0].exit, None);
    bench.processes.end_all(&bench.owner).await;
    all_gone(pipe).await;
    assert_eq!(code(bench.processes.signal(&bench.owner, &id, "KILL")), ErrorCode::NotFound);
}

#[tokio::test]
async fn a_child_that_ignores_sigterm_is_killed() {
    let bench = Bench::new();
    let id = bench.spawn("trap '' TERM; echo ready; while true; do sleep 1000; done").await;
    bench.until(&id, "ready").await;
    bench.processes.signal(&bench.owner, &id, "STOP").unwrap();
    bench.processes.close(&bench.owner, &id).await.unwrap();
}

#[tokio::test]
async fn one_process_too_many_is_a_quota_and_an_ended_one_makes_room() {
    let bench = Bench::with(|config| config.running_per_owner_max = 2);
    let first = bench.spawn("sleep 1000").await;
    bench.spawn("sleep 1000").await;
    let more = async || bench.processes.spawn(&bench.owner, shell("sleep 1000"), nobody()).await;
    assert_eq!(code(more().await), ErrorCode::QuotaExceeded);
    bench.processes.close(&bench.owner, &first).await.unwrap();
    more().await.unwrap();
    bench.processes.shutdown().await;
    assert_eq!(code(more().await), ErrorCode::Unavailable);
}

#[tokio::test]
async fn a_child_gets_three_descriptors_its_environment_and_a_session() {
    let bench = Bench::new();
    let env = || vec![("PATH".to_owned(), std::env::var("PATH").unwrap()), ("EXTRA".to_owned(), "1".to_owned())];
    let told = async |program: &str, args: &[&str]| {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let command = Command { program: program.into(), args, cwd: Some("below".into()), env: env() };
        let finished = bench.processes.run(&bench.owner, command, RunOptions::default()).await.unwrap();
        String::from_utf8(finished.stdout).unwrap()
    };
    fs::create_dir(bench.dir.path().join("below")).unwrap();
    // The fourth is the one that `ls` reads the list from.
    assert_eq!(told("ls", &["/proc/self/fd"]).await.lines().count(), 4);
    let variables = told("env", &[]).await;
    let names: Vec<_> = variables.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert_eq!(names, ["EXTRA", "PATH"]);
    let leads =
        "read -r _ _ _ _ group session _ < /proc/$$/stat; [ $$ = $group ] && [ $$ = $session ] && echo leads; pwd";
    let cwd = bench.dir.path().canonicalize().unwrap().join("below");
    assert_eq!(told("sh", &["-c", leads]).await, format!("leads\n{}\n", cwd.display()));
}

#[tokio::test]
async fn names_are_looked_up_in_absolute_folders_only_and_bad_commands_are_named() {
    let bench = Bench::with(|config| config.path = Some(".:bin".into()));
    let tool = bench.dir.path().join("tool");
    fs::write(&tool, "#!/bin/sh\necho tool\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let run = async |command| bench.processes.run(&bench.owner, command, RunOptions::default()).await;
    let of = |program: &str| Command { program: program.into(), ..Command::default() };
    for program in ["tool", "./tool", "", "a\0b", "/etc/passwd", "/no/such"] {
        assert_eq!(code(run(of(program)).await), ErrorCode::NotFound, "{program:?}");
    }
    assert_eq!(run(of(tool.to_str().unwrap())).await.unwrap().stdout, b"tool\n");
    let sh = || of("/bin/sh");
    for (command, expected) in [
        (Command { cwd: Some("..".into()), ..sh() }, ErrorCode::OutsideRoot),
        (Command { cwd: Some("missing".into()), ..sh() }, ErrorCode::NotFound),
        (Command { args: vec!["a\0b".into()], ..sh() }, ErrorCode::InvalidParams),
        (Command { env: vec![("LD_PRELOAD".into(), "x".into())], ..sh() }, ErrorCode::InvalidParams),
        (Command { args: vec!["x".repeat(PROCESS_ARGUMENT_BYTES_MAX)], ..sh() }, ErrorCode::TooLarge),
    ] {
        assert_eq!(code(run(command).await), expected);
    }
}

/// Descriptors and children are counted for the whole process, so this runs in one of its own.
#[test]
fn a_hundred_processes_leave_no_descriptor_and_no_child() {
    leaks::run_alone("processes::tests::hundred_processes");
}

#[tokio::test]
#[ignore = "run by a_hundred_processes_leave_no_descriptor_and_no_child, alone in its process"]
async fn hundred_processes() {
    let bench = Bench::new();
    let counted = || (descriptors(), children());
    bench.run("true", RunOptions::default()).await;
    let before = counted();
    assert_eq!(before.1, 0);
    for _ in 0..50 {
        bench.run("sleep 1000 & true", RunOptions::default()).await;
        let id = bench.spawn("echo ready; sleep 1000").await;
        bench.until(&id, "ready").await;
        bench.processes.close(&bench.owner, &id).await.unwrap();
    }
    assert_eq!(counted(), before);
}
