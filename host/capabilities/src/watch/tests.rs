//! Real directories, real notifications.

use std::{fs, time::Duration};

use bytes::Bytes;

use super::*;
use crate::files::{DeleteOptions, MakeDirOptions, RenameOptions, WriteOptions};

struct Watched {
    dir: tempfile::TempDir,
    root: Root,
    watcher: Watcher,
    batches: mpsc::Receiver<Batch>,
}

impl Watched {
    /// Watches a tree that `prepare` has made.
    async fn new(prepare: impl FnOnce(&std::path::Path)) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        prepare(dir.path());
        let root = Root::open(dir.path()).expect("root");
        let watcher = Watcher::start(&root, Exclusions::default()).await.expect("watcher");
        let batches = watcher.subscribe();
        Self { dir, root, watcher, batches }
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join(path)
    }

    /// All changes up to the one of `last`.
    async fn until(&mut self, last: &str) -> Vec<Change> {
        let mut changes = Vec::new();
        while !changes.iter().any(|change: &Change| change.path.as_str() == last) {
            let batch = tokio::time::timeout(Duration::from_secs(20), self.batches.recv()).await;
            changes.extend(batch.unwrap_or_else(|_| panic!("no {last} in {changes:?}")).expect("open").changes);
        }
        changes
    }
}

fn path(text: &str) -> RelativePath {
    RelativePath::parse(text).expect("path")
}

fn told(changes: &[Change]) -> Vec<(ChangeKind, &str)> {
    changes.iter().map(|change| (change.kind, change.path.as_str())).collect()
}

#[tokio::test]
async fn files_that_come_change_move_and_go_are_told() {
    use ChangeKind::*;
    let mut watched = Watched::new(|_| {}).await;
    fs::write(watched.at("a"), "1").expect("write");
    let changes = watched.until("a").await;
    assert_eq!(told(&changes), [(Created, "a")]);
    assert_eq!(changes[0].version, Some(watched.root.stat(&path("a")).await.expect("stat").version.expect("version")));

    fs::write(watched.at("a"), "22").expect("write");
    assert_eq!(told(&watched.until("a").await), [(Modified, "a")]);

    fs::rename(watched.at("a"), watched.at("b")).expect("rename");
    let changes = watched.until("b").await;
    assert_eq!((told(&changes), &changes[0].from), (vec![(Moved, "b")], &Some(path("a"))));

    fs::remove_file(watched.at("b")).expect("remove");
    assert_eq!(told(&watched.until("b").await), [(Deleted, "b")]);
}

#[tokio::test]
async fn whatever_is_made_inside_of_new_and_moved_directories_is_told() {
    let mut watched = Watched::new(|_| {}).await;
    fs::create_dir_all(watched.at("a/b/c")).expect("mkdir");
    fs::write(watched.at("a/b/c/1"), "1").expect("write");
    watched.until("a/b/c/1").await;
    fs::rename(watched.at("a/b"), watched.at("z")).expect("rename");
    fs::write(watched.at("z/c/2"), "2").expect("write");
    watched.until("z/c/2").await;
    fs::write(watched.at("z/c/3"), "3").expect("write");
    watched.until("z/c/3").await;
    fs::remove_dir_all(watched.at("z")).expect("remove");
    fs::write(watched.at("end"), "").expect("write");
    let changes = watched.until("end").await;
    assert!(told(&changes).contains(&(ChangeKind::Deleted, "z")), "{changes:?}");
}

#[tokio::test]
async fn nothing_inside_of_excluded_directories_is_told() {
    let mut watched = Watched::new(|dir| fs::create_dir_all(dir.join(".git/objects")).expect("mkdir")).await;
    fs::create_dir(watched.at("node_modules")).expect("mkdir");
    watched.until("node_modules").await;
    fs::write(watched.at("node_modules/x"), "").expect("write");
    fs::write(watched.at(".git/index"), "").expect("write");
    fs::write(watched.at(".midplane-0-0.tmp"), "").expect("write");
    fs::write(watched.at("end"), "").expect("write");
    assert_eq!(told(&watched.until("end").await), [(ChangeKind::Created, "end")]);
}

#[tokio::test]
async fn own_changes_carry_their_request_and_version_and_foreign_ones_do_not() {
    let mut watched = Watched::new(|dir| fs::write(dir.join("old"), "old").expect("write")).await;
    let origin = |id: &str| Some(Arc::<str>::from(id));
    let options = WriteOptions { origin: origin("r1"), create_dirs: true, ..WriteOptions::default() };
    let written = watched.root.write(&path("d/own"), Bytes::from_static(b"x"), options).await.expect("write");
    let changes = watched.until("d/own").await;
    assert_eq!(told(&changes), [(ChangeKind::Created, "d"), (ChangeKind::Created, "d/own")]);
    assert!(changes.iter().all(|change| change.origin == origin("r1")), "{changes:?}");
    assert_eq!(changes[1].version, Some(written.version));

    let options = WriteOptions { origin: origin("r2"), ..WriteOptions::default() };
    watched.root.write(&path("old"), Bytes::from_static(b"new"), options).await.expect("write");
    let changes = watched.until("old").await;
    assert_eq!((told(&changes), &changes[0].origin), (vec![(ChangeKind::Modified, "old")], &origin("r2")));

    fs::write(watched.at("old"), "foreign").expect("write");
    assert_eq!(watched.until("old").await[0].origin, None);

    let options = RenameOptions { origin: origin("r3"), ..RenameOptions::default() };
    watched.root.rename(&path("old"), &path("e"), options).await.expect("rename");
    let changes = watched.until("e").await;
    assert_eq!((told(&changes), &changes[0].origin), (vec![(ChangeKind::Moved, "e")], &origin("r3")));

    let options = DeleteOptions { recursive: true, origin: origin("r4") };
    watched.root.delete(&path("d"), options).await.expect("delete");
    let changes = watched.until("d").await;
    assert_eq!((told(&changes), &changes[0].origin), (vec![(ChangeKind::Deleted, "d")], &origin("r4")));
}

#[tokio::test]
async fn a_write_of_the_same_bytes_is_no_change() {
    let mut watched = Watched::new(|dir| fs::write(dir.join("a"), "same").expect("write")).await;
    watched.root.write(&path("a"), Bytes::from_static(b"same"), WriteOptions::default()).await.expect("write");
    watched.root.make_dir(&path("end"), MakeDirOptions::default()).await.expect("mkdir");
    assert_eq!(told(&watched.until("end").await), [(ChangeKind::Created, "end")]);
}

#[tokio::test]
async fn many_changes_come_in_bounded_batches_and_none_is_missing() {
    use midplane_model::limits::WATCH_CHANGES_MAX;
    let mut watched = Watched::new(|_| {}).await;
    let count = 2 * WATCH_CHANGES_MAX + 1;
    for n in 0..count {
        fs::write(watched.at(&n.to_string()), "").expect("write");
    }
    let mut created = std::collections::BTreeSet::new();
    while created.len() < count {
        let batch = tokio::time::timeout(Duration::from_secs(20), watched.batches.recv()).await;
        let batch = batch.expect("in time").expect("open");
        assert!(batch.changes.len() <= WATCH_CHANGES_MAX && batch.rescan.is_none());
        created.extend(
            batch.changes.into_iter().map(|change| (change.kind, change.path.as_str().to_owned())).map(|(_, p)| p),
        );
    }
}

#[tokio::test]
async fn hints_that_were_dropped_become_a_rescan_with_the_differences() {
    let mut watched = Watched::new(|dir| fs::create_dir(dir.join("target")).expect("mkdir")).await;
    watched.watcher.status.lost.store(true, Ordering::Release);
    fs::write(watched.at("a"), "").expect("write");
    let batch = watched.batches.recv().await.expect("open");
    assert_eq!((told(&batch.changes), batch.rescan), (vec![(ChangeKind::Created, "a")], Some(RelativePath::root())));
}

#[tokio::test]
async fn closing_joins_the_threads_and_ends_the_subscriptions() {
    let mut watched = Watched::new(|_| {}).await;
    watched.watcher.close().await;
    assert_eq!(watched.batches.recv().await, None);
    assert_eq!(watched.watcher.subscribe().recv().await, None);
    watched.watcher.close().await;
}

#[tokio::test]
async fn a_root_that_is_gone_cannot_be_watched() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let root = Root::open(dir.path()).expect("root");
    drop(dir);
    assert!(matches!(Watcher::start(&root, Exclusions::default()).await, Err(WatchError::Watch { .. })));
}
