use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use midplane_model::Fault;
use serde_json::json;

use super::{
    super::tests::{Case, code, rel},
    *,
};

fn at(case: &Case, path: &str) -> Target {
    Target { root: case.root.clone(), path: rel(path) }
}

fn write(case: &Case, path: &str, text: &str) -> Change {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    Change::Write { at: at(case, path), bytes, if_version: None, create: Create::Always, create_dirs: true }
}

fn edit(case: &Case, path: &str, old: &str, new: &str) -> Change {
    let edits = vec![Replacement { old: old.into(), new: new.into(), count: 1 }];
    Change::Edit { at: at(case, path), edits, if_version: None }
}

fn delete(case: &Case, path: &str) -> Change {
    Change::Delete { at: at(case, path), recursive: true, if_version: None }
}

fn relocate(case: &Case, from: &str, to: &str) -> Change {
    Change::Move { from: at(case, from), to: at(case, to), overwrite: true }
}

async fn apply(case: &Case, changes: Vec<Change>) -> Result<Vec<Outcome>, Fault> {
    Ok(case.root.apply(changes, ApplyOptions::default()).await?)
}

/// `a`, `b`, `c` with those contents, a hard link and a directory with a file.
fn tree(case: &Case) {
    for name in ["a", "b", "c", "linked"] {
        fs::write(case.at(name), format!("{name} old\n")).expect("write");
    }
    fs::hard_link(case.at("linked"), case.at("second")).expect("link");
    fs::set_permissions(case.at("a"), fs::Permissions::from_mode(0o751)).expect("chmod");
    fs::create_dir_all(case.at("d/sub")).expect("mkdir");
    fs::write(case.at("d/f"), "f\n").expect("write");
    fs::create_dir(case.at("gone")).expect("mkdir");
    fs::write(case.at("gone/g"), "g\n").expect("write");
}

/// One of everything.
fn everything(case: &Case) -> Vec<Change> {
    vec![
        edit(case, "a", "old", "new"),
        relocate(case, "a", "moved"),
        edit(case, "moved", "a new", "edited after the move"),
        relocate(case, "b", "t"),
        relocate(case, "c", "b"),
        relocate(case, "t", "c"),
        edit(case, "linked", "old", "new"),
        write(case, "new/deep/file", "made\n"),
        Change::MakeDir { at: at(case, "empty"), parents: false },
        relocate(case, "d", "e"),
        delete(case, "gone"),
    ]
}

/// Every file below with its content, and every directory.
fn picture(root: &Path) -> Vec<(String, Option<String>)> {
    fn add(root: &Path, folder: &Path, found: &mut Vec<(String, Option<String>)>) {
        for entry in fs::read_dir(folder).expect("read") {
            let path = entry.expect("entry").path();
            let name = path.strip_prefix(root).expect("below").to_str().expect("UTF-8").to_owned();
            if name == ".midplane" {
                continue;
            }
            found.push((name, path.is_file().then(|| fs::read_to_string(&path).expect("read"))));
            if path.is_dir() {
                add(root, &path, found);
            }
        }
    }
    let mut found = Vec::new();
    add(root, root, &mut found);
    found.sort();
    found
}

#[tokio::test]
async fn a_set_happens_as_if_its_changes_came_one_after_the_other() {
    let [case, _] = Case::both();
    tree(&case);
    let inode = fs::metadata(case.at("b")).expect("metadata").ino();
    let outcomes = apply(&case, everything(&case)).await.expect("apply");
    assert_eq!(outcomes.len(), 11);
    assert_eq!(outcomes[0].kind, OutcomeKind::Modified);
    assert_eq!((outcomes[1].kind, &outcomes[1].from), (OutcomeKind::Moved, &Some(rel("a"))));
    assert_eq!(outcomes[2].version, case.root.stat(&rel("moved")).await.expect("stat").version);
    let text = |path: &str| fs::read_to_string(case.at(path)).expect(path);
    assert_eq!(text("moved"), "edited after the move\n");
    assert_eq!((text("b"), text("c")), ("c old\n".into(), "b old\n".into()));
    assert_eq!((text("linked"), text("second")), ("linked new\n".into(), "linked new\n".into()));
    assert_eq!((text("new/deep/file"), text("e/f")), ("made\n".into(), "f\n".into()));
    for gone in ["a", "t", "d", "gone"] {
        assert!(!case.at(gone).exists(), "{gone}");
    }
    assert!(case.at("empty").is_dir());
    assert_eq!(
        fs::metadata(case.at("moved")).expect("metadata").mode() & 0o777,
        0o751,
        "an edited file keeps its mode"
    );
    assert_eq!(fs::metadata(case.at("c")).expect("metadata").ino(), inode, "a moved file stays the file");
    assert_eq!(fs::metadata(case.at("c")).expect("metadata").nlink(), 1);
    assert_eq!(fs::read_dir(case.at(".midplane/staging")).expect("read").count(), 0, "nothing stays staged");
}

#[tokio::test]
async fn one_change_that_cannot_be_keeps_all_from_happening() {
    let [case, _] = Case::both();
    tree(&case);
    let before = picture(&case.at(""));
    let stale = Some(Version::new("stale"));
    for (bad, expected) in [
        (edit(&case, "a", "nowhere", "x"), "conflict"),
        (edit(&case, "none", "x", "y"), "not_found"),
        (delete(&case, "none"), "not_found"),
        (Change::Delete { at: at(&case, "a"), recursive: false, if_version: stale.clone() }, "precondition_failed"),
        (Change::Delete { at: at(&case, "d"), recursive: false, if_version: None }, "conflict"),
        (Change::Move { from: at(&case, "b"), to: at(&case, "c"), overwrite: false }, "already_exists"),
        (relocate(&case, "d", "d/sub/d"), "conflict"),
        (relocate(&case, "b", "none/b"), "not_found"),
        (Change::MakeDir { at: at(&case, "d"), parents: false }, "already_exists"),
        (write(&case, "a/below", "x"), "conflict"),
        (write(&case, "d", "x"), "conflict"),
        (delete(&case, "."), "conflict"),
    ] {
        let changes = vec![write(&case, "first", "x"), write(&case, "c", "x"), bad];
        let fault = apply(&case, changes).await.expect_err("should fail");
        assert_eq!((fault.code.as_str(), &fault.details["change"]), (expected, &json!(2)), "{fault:?}");
        assert_eq!(picture(&case.at("")), before);
    }
    let entangled = vec![relocate(&case, "d", "e"), edit(&case, "e/f", "f", "g")];
    assert_eq!(code(apply(&case, entangled).await), "conflict");
    assert_eq!(code(apply(&case, Vec::new()).await), "invalid_params");
    assert_eq!(picture(&case.at("")), before);
}

#[tokio::test]
async fn a_dry_run_tells_what_would_be_and_touches_nothing() {
    let [case, _] = Case::both();
    tree(&case);
    let before = picture(&case.at(""));
    let options = ApplyOptions { dry_run: true, ..ApplyOptions::default() };
    let outcomes = case.root.apply(everything(&case), options).await.expect("dry run");
    assert_eq!(outcomes[0].diff.as_deref(), Some("--- a/a\n+++ b/a\n@@ -1 +1 @@\n-a old\n+a new\n"));
    assert!(outcomes[7].diff.as_deref().is_some_and(|diff| diff.starts_with("--- /dev/null")));
    assert_eq!(picture(&case.at("")), before);
    assert!(!case.at(".midplane").exists());
}

/// A host is killed after each number of steps, and in the midst of taking them back.
#[tokio::test]
async fn a_set_that_was_cut_off_anywhere_is_whole_after_the_next_start() {
    let (old, new) = {
        let [case, _] = Case::both();
        tree(&case);
        let old = picture(&case.at(""));
        apply(&case, everything(&case)).await.expect("apply");
        (old, picture(&case.at("")))
    };
    for recorded in [true, false] {
        for taken_back in [0, 3] {
            for done in 0.. {
                let [case, _] = Case::both();
                tree(&case);
                let data = tempfile::tempdir().expect("data");
                let (changes, _) = resolve::resolve(everything(&case)).expect("resolve");
                let mut plan = Plan::new(&case.root, false);
                plan.decide(&changes).expect("decide");
                let jail = case.root.jail.clone();
                let staging = Staging::create(&jail).expect("staging");
                let steps = plan.stage(&staging).expect("stage");
                if done > steps.len() {
                    break;
                }
                let site = steps::Site { jail: &jail, staging: &staging };
                if recorded {
                    journal::record(data.path(), &site, &steps).expect("record");
                }
                // Without a record nothing has begun.
                for step in steps[..if recorded { done } else { 0 }].iter() {
                    step.redo(&site).expect("redo");
                    step.redo(&site).expect("done already");
                }
                for step in steps[..if recorded { done } else { 0 }].iter().rev().take(taken_back) {
                    step.undo(&site).expect("undo");
                }
                staging.abandon();
                let root = Root::open_recorded(&case.at(""), data.path(), u64::MAX).expect("open");
                assert_eq!(
                    picture(&case.at("")),
                    if recorded { new.clone() } else { old.clone() },
                    "after {done} steps"
                );
                assert_eq!(fs::read_dir(case.at(".midplane/staging")).expect("read").count(), 0);
                let left: Vec<_> = fs::read_dir(data.path()).expect("read").flatten().map(|e| e.file_name()).collect();
                assert_eq!(left, ["strays"]);
                drop(root);
                if !recorded {
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_step_that_fails_takes_back_those_before_it() {
    let [case, _] = Case::both();
    tree(&case);
    let before = picture(&case.at(""));
    let (changes, _) = resolve::resolve(everything(&case)).expect("resolve");
    let mut plan = Plan::new(&case.root, false);
    plan.decide(&changes).expect("decide");
    let staging = Staging::create(&case.root.jail).expect("staging");
    let mut steps = plan.stage(&staging).expect("stage");
    // Somebody puts something where the last step wants to go.
    steps.push(steps::Step::MoveTree { from: rel("e"), to: rel("linked") });
    let site = steps::Site { jail: &case.root.jail, staging: &staging };
    let result = journal::carry_out(&case.root, &site, &steps, None);
    assert_eq!(code(result), "already_exists");
    drop(staging);
    assert_eq!(picture(&case.at("")), before);
}

#[tokio::test]
async fn nobody_reaches_the_hosts_own_folder_by_its_name() {
    let [case, _] = Case::both();
    tree(&case);
    apply(&case, everything(&case)).await.expect("apply");
    for path in [".midplane", "./.midplane/staging", "d/../.midplane/x"] {
        assert_eq!(code(RelativePath::parse(path)), "forbidden", "{path}");
    }
    let listing = case.root.list(&rel("."), crate::files::ListOptions { hidden: true, ..Default::default() }).await;
    assert!(listing.expect("list").entries.iter().all(|entry| entry.path.as_str() != ".midplane"));
    assert_eq!(fs::read_to_string(case.at(".midplane/.gitignore")).expect("read"), "*\n");
}
