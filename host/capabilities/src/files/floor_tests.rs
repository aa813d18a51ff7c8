//! A root that is narrowed to one path.

use std::{fs, os::unix::fs::symlink};

use super::{
    tests::{Case, code, rel},
    *,
};

/// `docs` with links inside and out, and `other` beside it.
fn tree() -> [Case; 2] {
    let cases = Case::both();
    for case in &cases {
        for folder in ["docs", "docs/sub", "other"] {
            fs::create_dir(case.at(folder)).expect("mkdir");
        }
        fs::write(case.at("docs/a"), "a").expect("write");
        fs::write(case.at("other/b"), "b").expect("write");
        symlink("sub/../a", case.at("docs/inside")).expect("link");
        symlink("../other/b", case.at("docs/out")).expect("link");
        symlink("../other", case.at("docs/folder")).expect("link");
        symlink("../docs/a", case.at("docs/around")).expect("link");
    }
    cases
}

async fn read(root: &Root, path: &str) -> Result<Bytes, FilesError> {
    root.read(&rel(path), None).await.map(|content| content.bytes)
}

fn write_always() -> WriteOptions {
    WriteOptions { create: Create::Always, ..WriteOptions::default() }
}

#[tokio::test]
async fn below_the_floor_links_lead_anywhere_but_out() {
    for case in tree() {
        let docs = case.root.within(rel("docs"));
        for inside in ["docs/a", "docs/inside"] {
            assert_eq!(read(&docs, inside).await.expect(inside), "a");
        }
        for outside in ["other/b", "docs/out", "docs/folder/b", "docs/around"] {
            assert_eq!(code(read(&docs, outside).await), "outside_root", "{outside}");
            let written = docs.write(&rel(outside), Bytes::from_static(b"x"), write_always()).await;
            assert_eq!(code(written), "outside_root", "{outside}");
        }
        assert_eq!(fs::read(case.at("other/b")).expect("read"), b"b");
        for (from, to) in [("docs/a", "other/a"), ("other/b", "docs/b"), ("docs/folder/b", "docs/b")] {
            let moved = docs.rename(&rel(from), &rel(to), RenameOptions::default()).await;
            assert_eq!(code(moved), "outside_root", "{from} to {to}");
        }
        let listing = docs.list(&rel("docs"), ListOptions { depth: 9, ..ListOptions::default() }).await.expect("list");
        let out: Vec<_> = listing
            .entries
            .iter()
            .filter(|entry| entry.symlink.as_ref().is_some_and(|link| link.link_outside))
            .map(|entry| entry.path.as_str())
            .collect();
        assert_eq!(out, ["docs/around", "docs/folder", "docs/out"]);
        assert!(listing.entries.iter().all(|entry| entry.path.is_within(&rel("docs"))));
    }
}

#[tokio::test]
async fn a_link_in_the_place_of_the_floor_leads_nowhere() {
    for case in tree() {
        symlink("other", case.at("granted")).expect("link");
        let granted = case.root.within(rel("granted"));
        for path in ["granted", "granted/b"] {
            assert_eq!(code(read(&granted, path).await), "conflict", "{path}");
        }
        let made = granted.make_dir(&rel("granted/sub"), MakeDirOptions::default()).await;
        assert_eq!(code(made), "conflict");
        assert_eq!(code(granted.hold().await), "conflict");
        // The link itself is the holder's to remove, and then the place is free.
        granted.delete(&rel("granted"), DeleteOptions::default()).await.expect("delete");
        assert!(case.at("other/b").exists());
        let options = WriteOptions { create_dirs: true, ..write_always() };
        granted.write(&rel("granted/x/y"), Bytes::from_static(b"y"), options).await.expect("write");
        assert_eq!(fs::read(case.at("granted/x/y")).expect("read"), b"y");
    }
}

#[tokio::test]
async fn a_held_directory_stays_the_one_that_was_opened() {
    let [case, _] = tree();
    let held = case.root.within(rel("docs")).hold().await.expect("hold");
    fs::rename(case.at("docs"), case.at("moved")).expect("rename");
    symlink("other", case.at("docs")).expect("link");
    let names: Vec<_> = fs::read_dir(held.path()).expect("open").flatten().map(|entry| entry.file_name()).collect();
    assert!(names.iter().any(|name| name == "a"), "{names:?}");
}
