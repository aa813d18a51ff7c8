use std::os::unix::fs::PermissionsExt as _;

use midplane_model::{ErrorCode, Fault, limits::*};

use serde_json::json;

use super::*;
use crate::small_disk::SmallDisk;

fn store() -> (tempfile::TempDir, Storage) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let storage = Storage::open(&dir.path().join("state.redb")).expect("open");
    (dir, storage)
}

fn plugin(name: &str) -> PluginName {
    PluginName::parse(name).expect("name")
}

#[tokio::test]
async fn a_value_is_there_after_it_was_set_and_gone_after_delete() {
    let (_dir, storage) = store();
    let notes = storage.namespace(&plugin("notes"));
    assert_eq!(notes.get("a").await.expect("get"), None);
    notes.set("a", b"1".to_vec()).await.expect("set");
    assert_eq!(notes.get("a").await.expect("get"), Some(b"1".to_vec()));
    assert!(notes.delete("a").await.expect("delete"));
    assert!(!notes.delete("a").await.expect("delete"));
    assert_eq!(notes.get("a").await.expect("get"), None);
}

#[tokio::test]
async fn a_disk_that_was_full_serves_again_when_there_is_room() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let Some(_disk) = SmallDisk::mount(dir.path(), 8 * 1024) else {
        return SmallDisk::elsewhere("storage::tests::a_disk_that_was_full_serves_again_when_there_is_room");
    };
    let storage = Storage::open(&dir.path().join("state.redb")).expect("open");
    let notes = storage.namespace(&plugin("notes"));
    notes.set("a", b"old".to_vec()).await.expect("set");
    let filler = dir.path().join("filler");
    let mut file = std::fs::File::create(&filler).expect("create");
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    drop(file);
    let mut written = 0;
    let refused = loop {
        match notes.set(&written.to_string(), vec![0; 64 * 1024]).await {
            Ok(()) => written += 1,
            Err(error) => break Fault::from(error),
        }
    };
    assert_eq!(refused.code, ErrorCode::NoSpace, "{refused:?}");
    let again = notes.set("b", vec![0; 64 * 1024]).await.expect_err("full");
    assert_eq!(Fault::from(again).code, ErrorCode::NoSpace);
    std::fs::remove_file(filler).expect("remove");
    notes.set("b", b"new".to_vec()).await.expect("there is room again");
    assert_eq!(notes.get("a").await.expect("get"), Some(b"old".to_vec()));
    for key in (0..written).map(|n: u32| n.to_string()) {
        assert_eq!(notes.get(&key).await.expect("get").map(|value| value.len()), Some(64 * 1024), "{key}");
    }
    assert_eq!(notes.get(&written.to_string()).await.expect("get"), None, "what was refused is not there");
}

#[tokio::test]
async fn plugins_do_not_see_each_others_keys() {
    let (_dir, storage) = store();
    // `a` and `ab` are neighbours in the table; `list` must stop between them.
    let (a, ab) = (storage.namespace(&plugin("a")), storage.namespace(&plugin("ab")));
    a.set("k", b"a".to_vec()).await.expect("set");
    ab.set("k", b"ab".to_vec()).await.expect("set");
    assert_eq!(a.get("k").await.expect("get"), Some(b"a".to_vec()));
    assert_eq!(a.list("", None, 10).await.expect("list"), ["k"]);
    assert!(a.delete("k").await.expect("delete"));
    assert_eq!(ab.get("k").await.expect("get"), Some(b"ab".to_vec()));
}

#[tokio::test]
async fn listing_pages_through_a_prefix_in_byte_order() {
    let (_dir, storage) = store();
    let notes = storage.namespace(&plugin("notes"));
    let keys = ["a", "n/1", "n/2", "n/3", "o"];
    let ops = keys.iter().rev().map(|key| Op::Set { key: (*key).into(), value: vec![] }).collect();
    notes.batch(ops).await.expect("batch");
    assert_eq!(notes.list("n/", None, 2).await.expect("list"), ["n/1", "n/2"]);
    assert_eq!(notes.list("n/", Some("n/2"), 2).await.expect("list"), ["n/3"]);
    assert_eq!(notes.list("n/", Some("n/25"), 2).await.expect("list"), ["n/3"]);
    assert_eq!(notes.list("n/", Some("a"), 9).await.expect("list"), ["n/1", "n/2", "n/3"]);
    assert!(notes.list("n/", Some("n/3"), 2).await.expect("list").is_empty());
    assert_eq!(notes.list("", None, 9).await.expect("list"), keys);
}

#[tokio::test]
async fn compare_and_set_lets_exactly_one_of_many_win() {
    let (_dir, storage) = store();
    let notes = storage.namespace(&plugin("notes"));
    let mut racers = tokio::task::JoinSet::new();
    for racer in 0..20_u8 {
        let notes = notes.clone();
        racers.spawn(async move { notes.compare_and_set("lock", None, Some(vec![racer])).await.expect("cas") });
    }
    let wins = racers.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(wins, 1);
    let holder = notes.get("lock").await.expect("get");
    assert!(!notes.compare_and_set("lock", Some(b"other".to_vec()), None).await.expect("cas"));
    assert!(notes.compare_and_set("lock", holder, None).await.expect("cas"));
    assert_eq!(notes.get("lock").await.expect("get"), None);
}

#[tokio::test]
async fn oversized_keys_values_and_batches_are_too_large_and_store_nothing() {
    let (_dir, storage) = store();
    let notes = storage.namespace(&plugin("notes"));
    let long = "k".repeat(STORAGE_KEY_BYTES_MAX + 1);
    let fault = Fault::from(notes.set(&long, vec![]).await.expect_err("key"));
    assert_eq!((fault.code, &fault.details["limit_bytes"]), (ErrorCode::TooLarge, &STORAGE_KEY_BYTES_MAX.into()));
    assert_eq!(Fault::from(notes.set("", vec![]).await.expect_err("key")).code, ErrorCode::InvalidParams);
    let fault = Fault::from(notes.set("k", vec![0; STORAGE_VALUE_BYTES_MAX + 1]).await.expect_err("value"));
    assert_eq!(fault.code, ErrorCode::TooLarge);
    let op = |n: usize| Op::Set { key: n.to_string(), value: vec![0; STORAGE_VALUE_BYTES_MAX] };
    assert!(matches!(notes.batch((0..5).map(op).collect()).await, Err(StorageError::TooLarge { .. })));
    assert!(notes.list("", None, 10).await.expect("list").is_empty());
    notes.set(&long[1..], vec![7; STORAGE_VALUE_BYTES_MAX]).await.expect("the limits themselves fit");
}

#[tokio::test]
async fn entries_page_by_bytes_and_have_one_at_least() {
    let (_dir, storage) = store();
    let notes = storage.namespace(&plugin("notes"));
    for (key, bytes) in [("a/1", 10), ("a/2", STORAGE_PAGE_BYTES_MAX), ("a/3", STORAGE_PAGE_BYTES_MAX / 2), ("a/4", 5)]
    {
        notes.set(key, vec![7; bytes]).await.expect("set");
    }
    notes.set("b", vec![]).await.expect("set");
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = notes.entries("a/", after.as_deref(), 10).await.expect("entries");
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        pages.push(page.into_iter().map(|(key, value)| (key, value.len())).collect::<Vec<_>>());
    }
    let whole = STORAGE_PAGE_BYTES_MAX;
    let expected = vec![
        vec![("a/1".to_owned(), 10)],
        vec![("a/2".to_owned(), whole)],
        vec![("a/3".to_owned(), whole / 2), ("a/4".to_owned(), 5)],
    ];
    assert_eq!(pages, expected);
    assert_eq!(notes.entries("a/", None, 0).await.expect("entries"), []);
    assert_eq!(notes.entries("", Some("a/3"), 1).await.expect("entries"), [("a/4".to_owned(), vec![7; 5])]);
}

#[tokio::test]
async fn a_request_beyond_the_quota_changes_nothing_and_deleting_always_passes() {
    let (_dir, storage) = store();
    let one = 100 + STORAGE_ENTRY_BYTES;
    let notes = storage.namespace(&plugin("notes")).with_quota(3 * one);
    let set = |key: &str, bytes: usize| Op::Set { key: key.into(), value: vec![7; bytes - key.len()] };
    let delete = |key: &str| Op::Delete { key: key.into() };
    let usage = || notes.gauge().read();
    notes.batch(vec![set("a", 100), set("b", 100)]).await.expect("two fit");
    assert_eq!(usage(), Usage { entries: 2, bytes: 2 * one });

    let refused = notes.batch(vec![delete("a"), set("c", 100), set("d", 100), set("e", 100)]).await;
    let fault = Fault::from(refused.expect_err("four do not"));
    let details = json!({
        "quota": "storage_bytes", "plugin": "notes", "limit_bytes": 3 * one, "used_bytes": 2 * one, "needed_bytes": 2 * one,
    });
    assert_eq!((fault.code, serde_json::Value::Object(fault.details)), (ErrorCode::QuotaExceeded, details));
    assert!(fault.message.contains("notes") && fault.message.contains("storage_bytes"), "{}", fault.message);
    assert_eq!(notes.list("", None, 9).await.expect("list"), ["a", "b"]);

    // What is deleted in a batch makes room for what is set in it, and a key that is set twice counts once.
    notes.batch(vec![set("c", 100), delete("a"), set("d", 100), set("d", 100)]).await.expect("three fit");
    assert_eq!(usage(), Usage { entries: 3, bytes: 3 * one });
    assert!(notes.compare_and_set("e", None, Some(vec![])).await.is_err());
    assert!(!notes.compare_and_set("b", None, Some(vec![7; 1000])).await.expect("what is not done needs no room"));

    // A quota that became smaller: what takes no more room than before still passes.
    let narrow = notes.clone().with_quota(1);
    assert!(narrow.set("b", vec![8; 100]).await.is_err());
    narrow.set("b", vec![8; 99]).await.expect("as large as before");
    assert!(narrow.delete("c").await.expect("delete"));
    narrow.batch(vec![delete("b"), set("x", 50)]).await.expect("less than before");
    narrow.clear().await.expect("clear");
    assert_eq!(usage(), Usage::default());
}

#[tokio::test]
async fn a_refused_request_leaves_those_that_share_its_commit_alone() {
    let (_dir, storage) = store();
    let notes = storage.namespace(&plugin("notes")).with_quota(1000);
    let other = storage.namespace(&plugin("other"));
    let writes = (0..30).map(|n| {
        let (notes, other) = (notes.clone(), other.clone());
        async move {
            let wide = notes.set(&format!("wide/{n}"), vec![0; 2000]).await.is_err();
            (
                wide,
                notes.set("small", vec![n]).await.is_ok(),
                other.set(&format!("{n:02}"), vec![0; 2000]).await.is_ok(),
            )
        }
    });
    let done = futures_util::future::join_all(writes).await;
    assert!(done.iter().all(|done| *done == (true, true, true)), "{done:?}");
    assert_eq!(notes.list("", None, 9).await.expect("list"), ["small"]);
    assert_eq!(other.gauge().read(), Usage { entries: 30, bytes: 30 * (2 + 2000 + STORAGE_ENTRY_BYTES) });
}

#[tokio::test]
async fn a_store_that_was_never_counted_is_counted_when_it_is_opened() {
    let (dir, storage) = store();
    let notes = storage.namespace(&plugin("notes"));
    notes.batch(vec![Op::Set { key: "k".into(), value: vec![7; 9] }]).await.expect("batch");
    let usage = notes.gauge().read();
    drop((storage, notes));
    let path = dir.path().join("state.redb");
    table::set_format(&path, 1);
    let storage = Storage::open(&path).expect("open");
    assert_eq!(storage.namespace(&plugin("notes")).gauge().read(), usage);
    drop(storage);
    // It stays so, and nothing is counted twice.
    let storage = Storage::open(&path).expect("open");
    assert_eq!(storage.namespace(&plugin("notes")).gauge().read(), usage);
}

#[tokio::test]
async fn a_second_host_is_refused_while_the_first_has_the_store() {
    let (dir, storage) = store();
    let path = dir.path().join("state.redb");
    assert!(matches!(Storage::open(&path), Err(StorageError::InUse)));
    drop(storage);
    Storage::open(&path).expect("free again");
}

#[test]
fn a_store_of_an_unknown_format_is_refused_and_left_alone() {
    let (dir, storage) = store();
    drop(storage);
    let path = dir.path().join("state.redb");
    table::set_format(&path, 99);
    for _ in 0..2 {
        assert!(matches!(Storage::open(&path), Err(StorageError::Format { found: 99, expected: 2 })));
    }
}

#[test]
fn the_file_is_for_its_owner_only_even_if_it_was_not_before() {
    let (dir, storage) = store();
    drop(storage);
    let path = dir.path().join("state.redb");
    let mode = || std::fs::metadata(&path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    drop(Storage::open(&path).expect("open"));
    assert_eq!(mode(), 0o600);
}

#[tokio::test]
async fn close_commits_what_is_queued_and_refuses_what_comes_later() {
    let (dir, storage) = store();
    let notes = storage.namespace(&plugin("notes"));
    let mut writes = Vec::new();
    for n in 0..100 {
        let ops = vec![Op::Set { key: n.to_string(), value: vec![n] }];
        writes.push(
            storage.shared.queue.push("notes".into(), 1 << 20, queue::Write::Apply(ops), 1).await.expect("queued"),
        );
    }
    storage.close().await;
    assert!(matches!(notes.set("late", vec![]).await, Err(StorageError::Closed)));
    for write in writes {
        write.await.expect("answered").expect("committed");
    }
    drop((storage, notes));
    let storage = Storage::open(&dir.path().join("state.redb")).expect("open");
    assert_eq!(storage.namespace(&plugin("notes")).list("", None, 1000).await.expect("list").len(), 100);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

    #[test]
    fn the_account_agrees_with_what_is_stored_after_any_writes(
        writes in proptest::collection::vec(proptest::collection::vec((0..6_u8, proptest::option::of(0..300_usize)), 1..6), 1..12),
    ) {
        let (_dir, storage) = store();
        let notes = storage.namespace(&plugin("notes")).with_quota(800);
        tokio::runtime::Builder::new_current_thread().build().expect("runtime").block_on(async {
            for steps in writes {
                let op = |(key, value): (u8, Option<usize>)| {
                    let key = "k".repeat(usize::from(key) + 1);
                    value.map_or(Op::Delete { key: key.clone() }, |bytes| Op::Set { key, value: vec![0; bytes] })
                };
                _ = notes.batch(steps.into_iter().map(op).collect()).await;
                let usage = notes.gauge().read();
                assert_eq!(usage, storage.shared.opened.with(StorageError::read, |database| Ok(usage::recount(database))).expect("read").remove("notes").unwrap_or_default());
                assert!(usage.bytes <= 800);
            }
        });
    }
}
