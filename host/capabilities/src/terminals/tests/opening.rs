//! What a program finds when it starts, and what is refused.

use super::*;

#[tokio::test]
async fn a_program_gets_the_environment_folder_and_size_it_was_opened_with() {
    let bench = Bench::new();
    std::fs::create_dir(bench.root.path().join("sub")).unwrap();
    let options = OpenOptions {
        cwd: Some("sub".into()),
        env: vec![("GREETING".into(), "hello there".into())],
        cols: 97,
        rows: 31,
        agent: true,
        ..script_options(r#"stty size; pwd; echo "$TERM|$GREETING|$PAGER|$CARGO_PKG_NAME|""#)
    };
    let info = bench.terminals.open(options).await.unwrap();
    bench.exit(&info.id).await;
    let raw = String::from_utf8(bench.raw(&info.id)).unwrap();
    let folder = bench.root.path().canonicalize().unwrap().join("sub");
    assert_eq!(raw, format!("31 97\r\n{}\r\nxterm-256color|hello there|cat||\r\n", folder.display()));
    assert_eq!((info.size, &*info.name), (Size { cols: 97, rows: 31 }, "sh"));
}

#[tokio::test]
async fn an_unknown_shell_is_an_error_that_names_it() {
    let bench = Bench::new();
    for shell in ["no-such-shell", "/no/such/shell", "/tmp", "", "a\0b"] {
        let options = OpenOptions { shell: Some(shell.into()), ..script_options("") };
        let (code, message) = fault(bench.terminals.open(options).await.unwrap_err());
        assert_eq!(code, "invalid_params");
        assert!(message.contains(&format!("{shell:?}")), "{message}");
    }
    assert_eq!(bench.terminals.list(), []);
}

#[tokio::test]
async fn a_folder_outside_the_root_is_refused() {
    let bench = Bench::new();
    std::os::unix::fs::symlink("/", bench.root.path().join("link")).unwrap();
    std::fs::write(bench.root.path().join("file"), "").unwrap();
    let refused = async |cwd: &str| {
        let options = OpenOptions { cwd: Some(cwd.into()), ..script_options("") };
        fault(bench.terminals.open(options).await.unwrap_err()).0
    };
    for outside in ["/", "..", "a/../..", "link", "link/tmp", "\0"] {
        assert_eq!(refused(outside).await, "outside_root", "{outside:?}");
    }
    assert_eq!(refused("missing").await, "not_found");
    assert_eq!(refused("file").await, "not_found");
}

#[tokio::test]
async fn sizes_beyond_the_bounds_are_refused() {
    let bench = Bench::new();
    for (cols, rows) in [(1, 24), (80, 0), (1001, 24), (80, 1001)] {
        let options = OpenOptions { cols, rows, ..script_options("") };
        let error = bench.terminals.open(options).await.unwrap_err();
        assert_eq!(fault(error).0, "invalid_params");
    }
    let id = bench.run("cat").await;
    assert_eq!(fault(bench.terminals.resize(&id, 1, 1).unwrap_err()).0, "invalid_params");
    bench.terminals.shutdown().await;
}

#[tokio::test]
async fn one_terminal_too_many_is_refused_until_one_is_closed() {
    let bench = Bench::with_limits(TerminalLimits { terminals: 1, ..TerminalLimits::default() });
    let id = bench.run("cat").await;
    let error = bench.terminals.open(script_options("cat")).await.unwrap_err();
    assert_eq!(fault(error).0, "quota_exceeded");
    bench.terminals.close(&id).await.unwrap();
    bench.run("cat").await;
    bench.terminals.shutdown().await;
    assert_eq!(fault(bench.terminals.open(script_options("")).await.unwrap_err()).0, "unavailable");
}

#[tokio::test]
async fn an_unknown_id_is_not_found_by_name() {
    let bench = Bench::new();
    let (code, message) = fault(bench.terminals.get("t-00000000").unwrap_err());
    assert_eq!(code, "not_found");
    assert!(message.contains("t-00000000"));
}
