use std::os::unix::fs::PermissionsExt as _;

use midplane_model::{ErrorCode, Fault, limits::*};

use super::*;

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
    let fault = Fault::from(notes.set("k", vec![0; STORAGE_VALUE_BYTES_MAX + 1]).await.expect_err("value"));
    assert_eq!(fault.code, ErrorCode::TooLarge);
    let op = |n: usize| Op::Set { key: n.to_string(), value: vec![0; STORAGE_VALUE_BYTES_MAX] };
    assert!(matches!(notes.batch((0..5).map(op).collect()).await, Err(StorageError::TooLarge { .. })));
    assert!(notes.list("", None, 10).await.expect("list").is_empty());
    notes.set(&long[1..], vec![7; STORAGE_VALUE_BYTES_MAX]).await.expect("the limits themselves fit");
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
        assert!(matches!(Storage::open(&path), Err(StorageError::Format { found: 99, expected: 1 })));
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
        writes.push(storage.shared.queue.push("notes".into(), queue::Write::Apply(ops), 1).await.expect("queued"));
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
