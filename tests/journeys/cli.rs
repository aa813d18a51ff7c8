use anyhow::Result;
use midplane_tests::Host;

#[tokio::test]
async fn the_command_line_ends_with_the_codes_of_the_contract() -> Result<()> {
    let host = Host::start().await?;
    for (arguments, expected) in [
        (&["call", "system.status"][..], 0),
        (&["call", "files.read", r#"{"path": "missing"}"#], 4),
        (&["call", "no.such_method"], 4),
        (&["call", "files.read", "{not json"], 2),
        (&["no-such-command"], 2),
        (&["call", "system.status", "--token", "wrong"], 3),
        (&["call", "system.status", "--url", "http://127.0.0.1:1"], 6),
        (&["plugin", "list"], 0),
    ] {
        let (code, _, stderr) = host.cli(arguments).await?;
        assert_eq!(code, expected, "{arguments:?}: {stderr}");
        assert_eq!(stderr.is_empty(), expected == 0, "{arguments:?}: {stderr}");
    }
    Ok(())
}
