//! `midplane plugin check`: what a plugin is, wants and breaks, without running it.

use anyhow::{Context, Result};
use midplane_tests::{Host, copy_folder, example, guest, pack_folder, set_in_manifest};
use serde_json::{Value, json};

async fn check(host: &Host, arguments: &[&str]) -> Result<(i32, Value)> {
    let (code, stdout, stderr) = host.cli(&[&["plugin", "check", "--json"], arguments].concat()).await?;
    Ok((code, serde_json::from_str(&stdout).with_context(|| format!("{stdout}{stderr}"))?))
}

fn text(path: &std::path::Path) -> Result<&str> {
    path.to_str().context("a path")
}

#[tokio::test]
async fn a_plugin_is_explained_from_a_folder_an_archive_and_a_component_alone() -> Result<()> {
    let host = Host::start().await?;
    let staged = tempfile::tempdir()?;
    let (folder, archive, bare) = (example("spell")?, staged.path().join("s.tgz"), staged.path().join("spell.wasm"));
    pack_folder(&archive, &folder, "spell-1.0.0")?;
    std::fs::copy(folder.join("spell.wasm"), &bare)?;
    for (path, has_docs) in [(&folder, true), (&archive, true), (&bare, false)] {
        let (code, report) = check(&host, &[text(path)?]).await?;
        assert_eq!(code, 0, "{report}");
        assert_eq!(
            (&report["name"], &report["version"], &report["links"]),
            (&json!("spell"), &json!("1.0.0"), &json!(true))
        );
        let service = &report["services"][0];
        assert_eq!(service["interface"], "acme:spell/checker@1.0.0");
        let function = &service["functions"][0];
        assert_eq!(function["method"], "spell.checker.check");
        assert_eq!(function["docs"].is_string(), has_docs, "{report}");
        if has_docs {
            assert!(service["types"].to_string().contains("record finding"), "{report}");
        }
        assert_eq!(report["grants"], json!({ "asks": {}, "missing": [], "unused": [] }));
    }
    let (code, text, _) = host.cli(&["plugin", "check", text(&folder)?]).await?;
    assert_eq!(code, 0);
    assert!(text.contains("spell.checker.check = check: func(text: string)"), "{text}");
    Ok(())
}

#[tokio::test]
async fn grants_that_imports_need_and_grants_that_nothing_needs_are_named() -> Result<()> {
    let host = Host::start().await?;
    let (_, report) = check(&host, &[text(&guest("shapes-next")?)?]).await?;
    assert_eq!(report["grants"]["missing"][0]["grant"], "files", "{report}");
    assert_eq!(report["grants"]["unused"], json!(["methods"]));
    assert!(report["problems"].to_string().contains("scopes.missing"), "{report}");
    let (_, report) = check(&host, &[text(&guest("shapes")?)?]).await?;
    assert_eq!(report["grants"]["unused"], json!(["terminals"]));
    Ok(())
}

#[tokio::test]
async fn what_breaks_users_of_the_older_version_is_named_with_the_version_that_it_needs() -> Result<()> {
    let host = Host::start().await?;
    let (old, new) = (guest("shapes")?, guest("shapes-next")?);
    let (code, report) = check(&host, &[text(&new)?, "--against", text(&old)?]).await?;
    assert_eq!(code, 1);
    let against = &report["against"];
    assert_eq!((&against["weight"], &against["needs_version"]), (&json!("breaking"), &json!("2.0.0")));
    assert_eq!(against["has_version"], false);
    assert_eq!(against["grants_added"], json!({ "methods": ["shapes.kept"] }));
    let differences = against["differences"].as_array().context("differences")?;
    let of = |change: &str| -> Vec<&Value> { differences.iter().filter(|one| one["change"] == change).collect() };
    assert_eq!(of("interface_removed")[0]["interface"], "test:shapes/old@1.2.0");
    assert_eq!(of("function_removed")[0]["function"], "forgotten");
    let changed = of("function_changed");
    assert_eq!(changed.len(), 1, "{against}");
    assert_eq!(
        (&changed[0]["was"], &changed[0]["is"]),
        (&json!("named: func(id: u32) -> string"), &json!("named: func(id: u64) -> string"))
    );
    let types: Vec<_> = of("type_changed").iter().map(|one| (one["type"].clone(), one["details"][0].clone())).collect();
    assert_eq!(
        types,
        [(json!("colour"), json!("case blue was added")), (json!("size"), json!("field depth of type u32 was added")),]
    );
    assert_eq!(of("function_added")[0]["weight"], "addition");

    let (code, text, _) = host.cli(&["plugin", "check", text(&new)?, "--against", text(&old)?]).await?;
    assert_eq!(code, 1);
    assert!(text.contains("type size (in area): field depth of type u32 was added"), "{text}");
    assert!(text.contains("1.3.0 HAS NOT the 2.0.0"), "{text}");
    Ok(())
}

#[tokio::test]
async fn the_same_package_and_an_older_compatible_one_break_nobody() -> Result<()> {
    let host = Host::start().await?;
    let folder = example("spell")?;
    let bare = folder.join("spell.wasm");
    let (code, report) = check(&host, &[text(&folder)?, "--against", text(&bare)?]).await?;
    assert_eq!(
        (code, &report["against"]["weight"], &report["against"]["has_version"]),
        (0, &json!("none"), &json!(true))
    );
    Ok(())
}

#[tokio::test]
async fn a_plugin_that_this_host_could_not_run_says_why() -> Result<()> {
    let host = Host::start().await?;
    let (code, report) = check(&host, &[text(&guest("wrong-contract")?)?]).await?;
    assert_eq!((code, &report["links"]), (1, &json!(false)));
    assert!(report["problems"].to_string().contains("midplane:host"), "{report}");
    let staged = tempfile::tempdir()?;
    let folder = staged.path().join("spell");
    copy_folder(&example("spell")?, &folder)?;
    std::fs::write(folder.join("spell.wasm"), "no component")?;
    let (code, report) = check(&host, &[text(&folder)?]).await?;
    assert_eq!((code, &report["links"]), (1, &json!(false)));
    set_in_manifest(&folder, "version", "version = \"one\"")?;
    let (code, _, stderr) = host.cli(&["plugin", "check", text(&folder)?]).await?;
    assert!(code == 1 && stderr.contains("plugin.version"), "{code} {stderr}");
    let (code, _, stderr) = host.cli(&["plugin", "check", "/nowhere"]).await?;
    assert!(code == 4 && stderr.contains("/nowhere"), "{code} {stderr}");
    Ok(())
}
