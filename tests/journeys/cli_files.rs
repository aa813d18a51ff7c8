//! `midplane files`: what a shell does with the served directory.

use anyhow::Result;
use midplane_tests::Host;
use serde_json::{Value, json};

#[tokio::test]
async fn files_are_listed_shown_put_edited_moved_copied_and_removed_from_a_shell() -> Result<()> {
    let host = Host::start().await?;
    let here = tempfile::tempdir()?;
    let source = here.path().join("source");
    std::fs::write(&source, b"one\ntwo\xff\n")?;
    let source = source.to_str().unwrap_or_default();
    let run = |arguments: &[&str]| {
        let arguments: Vec<String> = ["files"].iter().chain(arguments).map(|text| (*text).to_owned()).collect();
        let host = &host;
        async move { host.cli(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await }
    };
    let (code, out, err) = run(&["put", "--parents", source, "src/a.bin"]).await?;
    assert_eq!((code, out.starts_with("src/a.bin: created, 9 bytes")), (0, true), "{out}{err}");
    assert_eq!(std::fs::read(host.directory.join("src/a.bin"))?, b"one\ntwo\xff\n");
    let (code, _, err) = run(&["put", "--new", source, "src/a.bin"]).await?;
    assert_eq!(code, 5, "{err}");
    let (code, _, err) = run(&["put", "--if-version", "stale", source, "src/a.bin"]).await?;
    assert_eq!(code, 5, "{err}");
    host.write_file("src/b.rs", "fn main() {}\n")?;
    host.write_file("src/c.rs", "fn other() {}\n")?;

    let (code, out, _) = run(&["cat", "src/*.rs"]).await?;
    assert_eq!((code, &*out), (0, "fn main() {}\nfn other() {}\n"));
    let (code, out, _) = run(&["ls", "src"]).await?;
    assert_eq!((code, &*out), (0, "src/a.bin\nsrc/b.rs\nsrc/c.rs\n"));
    let (code, out, _) = run(&["ls", "--json", "**/b.*"]).await?;
    let listed: Value = serde_json::from_str(&out)?;
    assert_eq!((code, &listed[0]["path"]), (0, &json!("src/b.rs")), "{out}");
    let (code, out, err) = run(&["edit", "-n", "src/b.rs", "--old", "main", "--new", "start"]).await?;
    assert_eq!((code, out.contains("-fn main() {}\n+fn start() {}")), (0, true), "{out}{err}");
    let (code, _, err) = run(&["edit", "src/b.rs", "--old", "nowhere", "--new", "x"]).await?;
    assert_eq!((code, err.contains("0 times")), (5, true), "{err}");
    let (code, out, _) = run(&["edit", "src/b.rs", "--old", "main", "--new", "start"]).await?;
    assert_eq!((code, out.starts_with("src/b.rs: 1 replaced")), (0, true), "{out}");

    let (code, _, err) = run(&["mv", "src/b.rs", "src/c.rs"]).await?;
    assert_eq!(code, 5, "{err}");
    std::fs::create_dir(host.directory.join("to"))?;
    let (code, out, err) = run(&["mv", "src/*.rs", "to"]).await?;
    assert_eq!((code, &*out), (0, "src/b.rs -> to/b.rs\nsrc/c.rs -> to/c.rs\n"), "{err}");
    let (code, _, err) = run(&["cp", "to", "copy"]).await?;
    assert_eq!(
        (code, std::fs::read_to_string(host.directory.join("copy/b.rs"))?.as_str()),
        (0, "fn start() {}\n"),
        "{err}"
    );
    let (code, _, err) = run(&["rm", "to"]).await?;
    assert_eq!(code, 5, "a directory with content: {err}");
    let (code, out, err) = run(&["rm", "--trash", "to", "copy/*"]).await?;
    assert_eq!((code, out.lines().count()), (0, 3), "{out}{err}");
    assert!(!host.directory.join("to").exists());
    for gone in [&["cat", "none"][..], &["ls", "*.none"], &["rm", "none"]] {
        let (code, _, err) = run(gone).await?;
        assert_eq!(code, 4, "{gone:?}: {err}");
    }
    let (code, out, err) = run(&["cat", "none", "src/a.bin", "nor this"]).await?;
    assert_eq!((code, out.starts_with("one\ntwo"), err.lines().count()), (4, true, 2), "the rest all the same: {err}");
    let (code, _, err) = run(&["cat", "../data/token"]).await?;
    assert_eq!(code, 1, "{err}");
    Ok(())
}

#[tokio::test]
async fn paths_are_taken_as_shells_and_frameworks_write_them_and_errors_say_what_helps() -> Result<()> {
    let host = Host::start().await?;
    let here = tempfile::tempdir()?;
    let source = here.path().join("source");
    std::fs::write(&source, "new")?;
    let source = source.to_str().unwrap_or_default();
    std::fs::create_dir_all(host.directory.join("src/deep"))?;
    for name in ["src/a", "src/[id].tsx", "src/i.tsx"] {
        host.write_file(name, name)?;
    }
    for (arguments, code, said) in [
        (&["files", "ls", "src/deep/"][..], 0, ""),
        (&["files", "ls", "src/a"], 0, "src/a\n"),
        (&["files", "put", source, "src/"], 0, "src/source: created"),
        (&["files", "put", source, "src/deep"], 0, "src/deep/source: created"),
        (&["files", "put", source, "nowhere/x"], 4, "--parents"),
        (&["files", "cat", "src/[id].tsx"], 0, "src/[id].tsx"),
        (&["files", "rm", "src/[id].tsx"], 0, "src/[id].tsx is deleted"),
        (&["files", "cat", "src/[id].tsx"], 0, "src/i.tsx"),
        (&["files", "mv", "src/a", "src/deep/"], 0, "src/a -> src/deep/a"),
        (&["files", "rm", "src/"], 5, "--recursive"),
        (&["files", "rm", "none", "src/i.tsx"], 4, "none"),
        (&["files", "rm", "-r", "src/"], 0, "src is deleted"),
    ] {
        let (ended, out, err) = host.cli(arguments).await?;
        let all = format!("{out}{err}");
        assert_eq!((ended, all.contains(said)), (code, true), "{arguments:?}: {all}");
    }
    assert!(!host.directory.join("src").exists());
    Ok(())
}

#[tokio::test]
async fn who_has_enough_closes_the_pipe_and_nobody_complains() -> Result<()> {
    let host = Host::start().await?;
    // More than any pipe holds.
    std::fs::create_dir(host.directory.join("d"))?;
    std::fs::write(host.directory.join("d/large"), "a line of it\n".repeat(400_000))?;
    for number in 0..3_000 {
        host.write_file(&format!("d/{number:0200}"), "")?;
    }
    for arguments in ["cat d/large", "ls d", "ls --json d", "search --max-results 20000 line d", "find 0", "pack d"] {
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", "\"$0\" files \"$@\" | head -c 10", &*Host::program().to_string_lossy()]);
        command.args(arguments.split(' ')).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("MIDPLANE_URL", &host.url).env("MIDPLANE_TOKEN", &host.token);
        let output = command.output().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.stdout.len() == 10 && said.is_empty(), "{arguments}: {said}");
    }
    Ok(())
}
