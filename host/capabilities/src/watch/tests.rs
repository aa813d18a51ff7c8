//! Real directories, real notifications.

use std::fs;

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
        let batches = watcher.subscribe(Scope::everything());
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

    let options = DeleteOptions { recursive: true, origin: origin("r4"), ..DeleteOptions::default() };
    watched.root.delete(&path("d"), options).await.expect("delete");
    let changes = watched.until("d").await;
    assert_eq!((told(&changes), &changes[0].origin), (vec![(ChangeKind::Deleted, "d")], &origin("r4")));
}

#[tokio::test]
async fn a_large_set_of_changes_carries_its_request_to_the_last_one() {
    use crate::files::{ApplyOptions, Change as Wanted, Create, Target};
    const WRITES: usize = 1_500;
    let mut watched = Watched::new(|_| {}).await;
    let write = |n: usize| Wanted::Write {
        at: Target { root: watched.root.clone(), path: path(&n.to_string()) },
        bytes: Bytes::from_static(b"x"),
        if_version: None,
        create: Create::Always,
        create_dirs: false,
    };
    let origin = Some(Arc::<str>::from("r1"));
    let options = ApplyOptions { origin: origin.clone(), ..ApplyOptions::default() };
    watched.root.apply((0..WRITES).map(write).collect(), options).await.expect("apply");
    let mut seen = 0;
    while seen < WRITES {
        let batch = watched.batch().await;
        assert!(batch.changes.iter().all(|change| change.origin == origin), "{batch:?}");
        seen += batch.changes.len();
    }
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
async fn a_queue_of_the_kernel_that_overflows_costs_no_change_and_nobody_has_to_look() {
    const FILES: usize = 12_000;
    let mut watched = Watched::new(|dir| fs::create_dir(dir.join("a")).expect("mkdir")).await;
    {
        // The kernel's side waits for the lock, so nobody reads the queue of 16,384.
        let _stalled = watched.watcher.status.pending();
        for n in 0..FILES {
            fs::write(watched.at(&format!("a/{n}")), "x").expect("write");
        }
        fs::create_dir(watched.at("b")).expect("mkdir");
    }
    let (mut told, mut rescans) = (std::collections::BTreeSet::new(), Vec::new());
    while told.len() <= FILES {
        let batch = watched.batch().await;
        rescans.extend(batch.rescan);
        for change in batch.changes {
            assert!(told.insert(change.path.to_string()) || change.kind == ChangeKind::Modified, "{change:?}");
        }
    }
    assert!(
        !rescans.is_empty() && rescans.iter().all(|rescan| rescan.repaired && rescan.path.is_root()),
        "{rescans:?}"
    );
    fs::write(watched.at("b/end"), "").expect("write");
    watched.until("b/end").await;
}

#[tokio::test]
async fn a_directory_that_was_moved_away_and_is_back_is_still_watched() {
    let mut watched = Watched::new(|dir| fs::create_dir_all(dir.join("a/deep")).expect("mkdir")).await;
    {
        // Both renames in one batch.
        let _stalled = watched.watcher.status.pending();
        fs::rename(watched.at("a"), watched.at("b")).expect("rename");
        fs::rename(watched.at("b"), watched.at("a")).expect("rename");
        fs::write(watched.at("mark"), "").expect("write");
    }
    assert_eq!(told(&watched.until("mark").await), [(ChangeKind::Created, "mark")]);
    for file in ["a/x", "a/deep/x"] {
        fs::write(watched.at(file), "").expect("write");
        watched.until(file).await;
    }
}

#[tokio::test]
async fn nothing_is_told_by_way_of_a_link_that_took_the_place_of_its_directory() {
    use ChangeKind::*;
    let mut watched = Watched::new(|dir| fs::create_dir(dir.join("a")).expect("mkdir")).await;
    {
        let _stalled = watched.watcher.status.pending();
        fs::write(watched.at("a/x"), "").expect("write");
        fs::rename(watched.at("a"), watched.at("b")).expect("rename");
        std::os::unix::fs::symlink("b", watched.at("a")).expect("link");
        fs::write(watched.at("mark"), "").expect("write");
    }
    let mut changes = watched.until("mark").await;
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(told(&changes), [(Created, "a"), (Moved, "b"), (Created, "b/x"), (Created, "mark")]);
}

#[tokio::test]
async fn closing_joins_the_threads_and_ends_the_subscriptions() {
    let mut watched = Watched::new(|_| {}).await;
    watched.watcher.close().await;
    assert_eq!(watched.batches.recv().await, None);
    assert_eq!(watched.watcher.subscribe(Scope::everything()).recv().await, None);
    watched.watcher.close().await;
}

#[tokio::test]
async fn a_root_that_is_gone_cannot_be_watched() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let root = Root::open(dir.path()).expect("root");
    drop(dir);
    assert!(matches!(Watcher::start(&root, Exclusions::default()).await, Err(WatchError::Watch { .. })));
}

impl Watched {
    async fn with_budget(budget: Budget, prepare: impl FnOnce(&std::path::Path)) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        prepare(dir.path());
        let root = Root::open(dir.path()).expect("root");
        let watcher = Watcher::within(&root, Exclusions::default(), budget).await.expect("watcher");
        let batches = watcher.subscribe(Scope::everything());
        Self { dir, root, watcher, batches }
    }

    /// The next batch.
    async fn batch(&mut self) -> Batch {
        tokio::time::timeout(Duration::from_secs(20), self.batches.recv()).await.expect("in time").expect("open")
    }
}

#[tokio::test]
async fn directories_that_rules_ignore_are_seen_and_not_entered_until_the_rules_change() {
    let mut watched = Watched::new(|dir| {
        fs::create_dir_all(dir.join("out/deep")).expect("mkdir");
        fs::write(dir.join(".gitignore"), "out/\n*.log\n").expect("write");
    })
    .await;
    fs::write(watched.at("out/unseen"), "").expect("write");
    fs::write(watched.at("seen.log"), "").expect("write");
    assert_eq!(told(&watched.until("seen.log").await), [(ChangeKind::Created, "seen.log")]);
    assert_eq!(watched.watcher.stats().watched, 1, "the root");

    fs::write(watched.at(".gitignore"), "").expect("write");
    let changes = watched.until("out/unseen").await;
    let created = [(ChangeKind::Created, "out/deep"), (ChangeKind::Created, "out/unseen")];
    assert!(created.iter().all(|change| told(&changes).contains(change)), "{changes:?}");
    fs::write(watched.at("out/deep/x"), "").expect("write");
    watched.until("out/deep/x").await;
}

#[tokio::test]
async fn what_is_beyond_the_budget_is_polled_and_said_with_the_remedy() {
    let mut watched = Watched::with_budget(Budget { directories: 2, entries: 1000 }, |dir| {
        for name in ["a", "b/c"] {
            fs::create_dir_all(dir.join(name)).expect("mkdir");
        }
    })
    .await;
    let degraded = watched.batch().await.degraded.expect("told first");
    assert_eq!(degraded.reason, Reason::Budget { directories: 2 });
    assert!(degraded.reason.to_string().contains("max_user_watches"), "{}", degraded.reason);
    assert_eq!((watched.watcher.stats().watched, watched.watcher.stats().polled), (2, 2));
    for name in ["a/1", "b/2", "b/c/3"] {
        fs::write(watched.at(name), "1").expect("write");
    }
    let mut missing = std::collections::BTreeSet::from(["a/1", "b/2", "b/c/3"]);
    while !missing.is_empty() {
        for change in watched.batch().await.changes {
            missing.remove(change.path.as_str());
        }
    }
    fs::write(watched.at("b/c/3"), "22").expect("write");
    assert_eq!(told(&watched.until("b/c/3").await), [(ChangeKind::Modified, "b/c/3")]);
    fs::remove_dir_all(watched.at("b")).expect("remove");
    assert_eq!(told(&watched.until("b").await), [(ChangeKind::Deleted, "b")]);
}

#[tokio::test]
async fn directories_beyond_what_is_remembered_are_seen_and_not_entered_and_said_with_the_remedy() {
    let mut watched = Watched::with_budget(Budget { directories: 100, entries: 2 }, |dir| {
        for name in ["a", "b"] {
            fs::create_dir(dir.join(name)).expect("mkdir");
        }
    })
    .await;
    let degraded = watched.batch().await.degraded.expect("told first");
    assert_eq!(degraded, Degraded { path: RelativePath::root(), reason: Reason::TooManyEntries { entries: 2 } });
    assert!(degraded.reason.to_string().contains(".gitignore"), "{}", degraded.reason);
    fs::write(watched.at("a/unseen"), "").expect("write");
    fs::write(watched.at("end"), "").expect("write");
    assert_eq!(told(&watched.until("end").await), [(ChangeKind::Created, "end")]);
}

#[tokio::test]
async fn a_file_that_costs_too_much_to_hash_comes_without_version_and_those_beside_it_with_theirs() {
    use midplane_model::limits::WATCH_HASH_BYTES_MAX;
    let mut watched = Watched::new(|_| {}).await;
    let large = fs::File::create(watched.at("large")).expect("create");
    large.set_len(WATCH_HASH_BYTES_MAX + 1).expect("length");
    fs::write(watched.at("small"), "x").expect("write");
    let changes = watched.until("small").await;
    let version = |name: &str| changes.iter().rfind(|change| change.path.as_str() == name).map(|c| c.version.is_some());
    assert_eq!((version("large"), version("small")), (Some(false), Some(true)), "{changes:?}");
}

#[tokio::test]
async fn watches_of_what_is_gone_are_released_and_those_of_what_has_moved_are_not_lost() {
    let mut watched = Watched::new(|dir| fs::create_dir_all(dir.join("a/b/c")).expect("mkdir")).await;
    assert_eq!(watched.watcher.stats().watched, 4);
    fs::rename(watched.at("a"), watched.at("z")).expect("rename");
    watched.until("z").await;
    assert_eq!(watched.watcher.stats().watched, 4);
    fs::write(watched.at("z/b/c/x"), "").expect("write");
    watched.until("z/b/c/x").await;
    fs::remove_dir_all(watched.at("z/b")).expect("remove");
    watched.until("z/b").await;
    assert_eq!(watched.watcher.stats().watched, 2);
}

#[tokio::test]
async fn a_subscriber_hears_of_its_own_part_only_and_counts_until_it_is_gone() {
    let watched = Watched::new(|dir| fs::create_dir(dir.join("docs")).expect("mkdir")).await;
    let mut docs = watched.watcher.subscribe(Scope::of(vec![path("docs")]));
    assert_eq!(watched.watcher.stats().subscribers, 2);
    fs::write(watched.at("secret"), "").expect("write");
    fs::write(watched.at("docs/x"), "").expect("write");
    let batch = docs.recv().await.expect("open");
    assert_eq!(told(&batch.changes), [(ChangeKind::Created, "docs/x")]);
    drop(docs);
    assert_eq!(watched.watcher.stats().subscribers, 1);
}

#[tokio::test]
async fn a_directory_that_was_made_again_with_the_same_number_is_watched_again() {
    let mut watched = Watched::new(|dir| fs::create_dir(dir.join("a")).expect("mkdir")).await;
    for round in 0..5 {
        fs::remove_dir_all(watched.at("a")).expect("remove");
        fs::create_dir(watched.at("a")).expect("mkdir");
        fs::write(watched.at("a/first"), "").expect("write");
        watched.until("a/first").await;
        let later = format!("a/later{round}");
        fs::write(watched.at(&later), "").expect("write");
        watched.until(&later).await;
    }
}

#[tokio::test]
async fn a_tree_that_takes_too_long_to_know_is_known_later_and_then_read_again() {
    let dir = tempfile::tempdir().expect("temporary directory");
    fs::create_dir(dir.path().join("beyond")).expect("mkdir");
    let root = Root::open(dir.path()).expect("root");
    let status = Arc::new(Status::default());
    // Whoever is beyond the budget has to be noted there, which is how the start is held up.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn({
        let status = status.clone();
        move || {
            let _held = status.degraded();
            hold.send(()).expect("send");
            _ = released.recv();
        }
    });
    held.recv().expect("held");
    let budget = Budget { directories: 1, entries: 1000 };
    let begin = Watcher::begin(&root, Exclusions::default(), budget, status, Duration::from_millis(50));
    let watcher = begin.await.expect("watcher");
    let mut batches = watcher.subscribers.add(Scope::everything(), None);
    fs::write(dir.path().join("meanwhile"), "").expect("write");
    drop(release);
    holder.join().expect("join");
    let first = tokio::time::timeout(Duration::from_secs(20), batches.recv()).await.expect("in time").expect("open");
    assert_eq!(first.rescan, Some(Rescan::unrepaired(RelativePath::root())));
    assert_eq!(watcher.stats().polled, 1);
}

/// Where name spaces are not to be had nothing is shown.
#[tokio::test]
async fn where_the_kernel_gives_no_watcher_everything_is_polled_and_that_is_said() {
    const INSIDE: &str = "MIDPLANE_TEST_WITHOUT_WATCHERS";
    if std::env::var_os(INSIDE).is_none() {
        let without = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\"";
        let mut unshare = std::process::Command::new("unshare");
        unshare.args(["-Ur", "sh", "-c", without]);
        let possible = std::process::Command::new("unshare").args(["-Ur", "sh", "-c", without, "true"]).output();
        if !possible.is_ok_and(|output| output.status.success()) {
            return;
        }
        let name = "watch::tests::where_the_kernel_gives_no_watcher_everything_is_polled_and_that_is_said";
        unshare.arg(std::env::current_exe().expect("this program")).args(["--exact", name]).env(INSIDE, "");
        let again = unshare.output().expect("unshare");
        let said = String::from_utf8_lossy(&again.stdout);
        assert!(again.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let mut watched = Watched::new(|dir| fs::create_dir_all(dir.join("a/b")).expect("mkdir")).await;
    let first = watched.batch().await.degraded.expect("said");
    assert_eq!((first.path, first.reason), (RelativePath::root(), Reason::NoWatcher));
    assert_eq!((watched.watcher.stats().watched, watched.watcher.stats().polled), (0, 3));
    fs::write(watched.at("a/b/x"), "").expect("write");
    watched.until("a/b/x").await;
    fs::write(watched.at("y"), "").expect("write");
    watched.until("y").await;
}
