use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
};

use midplane_model::{ErrorCode, Fault, limits::*};

use super::*;

pub(super) struct Case {
    /// Holds `root`, which is served, and `secret`, which is not.
    dir: tempfile::TempDir,
    pub(super) root: Root,
}

impl Case {
    fn new() -> Self {
        Self::with(|jail| jail)
    }

    fn with(jail: impl FnOnce(Jail) -> Jail) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let served = dir.path().join("root");
        fs::create_dir(&served).expect("mkdir");
        fs::write(dir.path().join("secret"), "secret").expect("write");
        let root = Root::of(jail(Jail::open(&served).expect("jail")), served, Strays::default(), None, u64::MAX);
        Self { dir, root }
    }

    /// The same with `openat2`, where there is one, and without.
    pub(super) fn both() -> [Self; 2] {
        [Self::new(), Self::with(Jail::without_openat2)]
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    async fn write(&self, path: &str, bytes: &'static str, options: WriteOptions) -> Result<Written, Fault> {
        Ok(self.root.write(&rel(path), Bytes::from_static(bytes.as_bytes()), options).await?)
    }

    async fn read(&self, path: &str) -> Result<String, Fault> {
        let content = self.root.read(&rel(path), None).await?;
        Ok(String::from_utf8(content.bytes.to_vec()).expect("UTF-8"))
    }

    async fn paths(&self, options: ListOptions) -> Vec<String> {
        let listing = self.root.list(&RelativePath::root(), options).await.expect("list");
        listing.entries.iter().map(|entry| entry.path.to_string()).collect()
    }
}

pub(super) fn rel(text: &str) -> RelativePath {
    RelativePath::parse(text).expect("path")
}

pub(super) fn code<T: std::fmt::Debug>(result: Result<T, impl Into<Fault>>) -> &'static str {
    result.expect_err("should fail").into().code.as_str()
}

#[tokio::test]
async fn links_that_leave_the_root_are_never_followed() {
    for case in Case::both() {
        let outside = case.dir.path().join("secret");
        fs::create_dir(case.at("d")).expect("mkdir");
        for (link, target) in [
            ("up", "../secret"),
            ("d/up", "../../secret"),
            ("absolute", outside.to_str().expect("UTF-8")),
            ("proc", "/proc/self/root"),
            ("parent", ".."),
            ("hop", "d/up"),
        ] {
            symlink(target, case.at(link)).expect("symlink");
        }
        for path in ["up", "d/up", "absolute", "proc", "proc/etc/passwd", "parent", "parent/secret", "hop"] {
            assert_eq!(code(case.read(path).await), "outside_root", "read {path}");
            assert_eq!(code(case.write(path, "x", WriteOptions::default()).await), "outside_root", "write {path}");
            assert_eq!(code(case.root.list(&rel(path), ListOptions::default()).await), "outside_root", "list {path}");
        }
        for path in ["parent/secret", "proc/tmp/x"] {
            assert_eq!(code(case.root.delete(&rel(path), DeleteOptions::default()).await), "outside_root", "{path}");
            assert_eq!(code(case.root.make_dir(&rel(path), MakeDirOptions::default()).await), "outside_root", "{path}");
            assert_eq!(code(case.root.rename(&rel("d"), &rel(path), RenameOptions::default()).await), "outside_root");
        }
        assert_eq!(fs::read_to_string(outside).expect("read"), "secret");
    }
}

#[tokio::test]
async fn links_that_leave_are_listed_as_such_and_deleted_as_links() {
    for case in Case::both() {
        symlink("../secret", case.at("up")).expect("symlink");
        let listing = case.root.list(&RelativePath::root(), ListOptions::default()).await.expect("list");
        let link = listing.entries[0].symlink.as_ref().expect("a link");
        assert!(link.link_outside && link.target.is_none() && link.target_kind.is_none());
        assert!(case.root.stat(&rel("up")).await.expect("stat").symlink.expect("a link").link_outside);
        case.root.delete(&rel("up"), DeleteOptions::default()).await.expect("delete");
        assert!(case.dir.path().join("secret").exists() && !case.at("up").is_symlink());
    }
}

#[tokio::test]
async fn links_inside_are_followed_and_writing_replaces_their_target() {
    for case in Case::both() {
        fs::create_dir_all(case.at("d/e")).expect("mkdir");
        fs::write(case.at("d/f"), "old").expect("write");
        symlink("../f", case.at("d/e/file")).expect("symlink");
        symlink("d/e", case.at("dir")).expect("symlink");
        assert_eq!(case.read("dir/file").await.expect("read"), "old");
        let stat = case.root.stat(&rel("dir/file")).await.expect("stat");
        let link = stat.symlink.expect("a link");
        assert_eq!((stat.kind, stat.size), (Kind::Symlink, 3));
        assert_eq!(
            (link.target.as_deref(), link.target_kind, link.link_outside),
            (Some("../f"), Some(Kind::File), false)
        );
        let options = WriteOptions { if_version: stat.version, ..WriteOptions::default() };
        case.write("dir/file", "new", options).await.expect("write");
        assert!(case.at("d/e/file").is_symlink());
        assert_eq!(fs::read_to_string(case.at("d/f")).expect("read"), "new");
    }
}

#[tokio::test]
async fn loops_of_links_are_a_conflict() {
    for case in Case::both() {
        symlink("b", case.at("a")).expect("symlink");
        symlink("a", case.at("b")).expect("symlink");
        assert_eq!(code(case.read("a").await), "conflict");
        assert_eq!(code(case.write("a", "x", WriteOptions::default()).await), "conflict");
    }
}

/// A directory is swapped for a link to the outside and back, as fast as can be, while it is used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_swapped_for_a_link_never_lets_anybody_out() {
    for case in Case::both() {
        let outside = case.dir.path().join("outside");
        fs::create_dir(&outside).expect("mkdir");
        fs::write(outside.join("f"), "secret").expect("write");
        fs::create_dir(case.at("real")).expect("mkdir");
        fs::write(case.at("real/f"), "inside").expect("write");
        symlink("../outside", case.at("link")).expect("symlink");
        fs::rename(case.at("real"), case.at("d")).expect("rename");
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let attacker = std::thread::spawn({
            let (stop, at) = (stop.clone(), ["d", "real", "link"].map(|name| case.at(name)));
            move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let [d, real, link] = &at;
                    for (from, to) in [(d, real), (link, d), (d, link), (real, d)] {
                        fs::rename(from, to).expect("swap");
                    }
                }
            }
        });
        for n in 0..300 {
            if let Ok(content) = case.root.read(&rel("d/f"), None).await {
                assert_ne!(&content.bytes[..], b"secret");
            }
            _ = case.root.write(&rel(&format!("d/{n}")), Bytes::new(), WriteOptions::default()).await;
            _ = case.root.delete(&rel("d/f2"), DeleteOptions::default()).await;
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        attacker.join().expect("attacker");
        assert_eq!(fs::read_dir(outside).expect("read").count(), 1);
    }
}

#[tokio::test]
async fn a_write_creates_changes_and_leaves_alone_what_is_the_same() {
    let case = Case::new();
    let new = case.write("a", "1", WriteOptions::default()).await.expect("create");
    assert_eq!((new.created, new.unchanged, new.size, new.write_mode), (true, false, 1, WriteMode::Atomic));
    let before = fs::metadata(case.at("a")).expect("metadata");
    let same = case.write("a", "1", WriteOptions::default()).await.expect("same");
    assert_eq!((same.created, same.unchanged, &same.version), (false, true, &new.version));
    let after = fs::metadata(case.at("a")).expect("metadata");
    assert_eq!((before.ino(), before.ctime_nsec()), (after.ino(), after.ctime_nsec()));
    let options = WriteOptions { durable: true, ..WriteOptions::default() };
    let changed = case.write("a", "2", options).await.expect("change");
    assert_eq!((changed.created, changed.unchanged), (false, false));
    assert_ne!(changed.version, new.version);
    assert_eq!(case.root.stat(&rel("a")).await.expect("stat").version, Some(changed.version.clone()));
    assert_eq!(case.root.read(&rel("a"), None).await.expect("read").version, changed.version);
    assert_eq!(fs::read_dir(case.at("")).expect("read").count(), 1, "no temporary file stays");
}

#[tokio::test]
async fn create_says_what_may_be_there() {
    let case = Case::new();
    let create = |create| WriteOptions { create, ..WriteOptions::default() };
    assert_eq!(code(case.write("a", "1", create(Create::Never)).await), "not_found");
    case.write("a", "1", create(Create::MustNotExist)).await.expect("new");
    assert_eq!(code(case.write("a", "2", create(Create::MustNotExist)).await), "already_exists");
    case.write("a", "3", create(Create::Never)).await.expect("there");
    assert_eq!(code(case.write("d/e/a", "1", WriteOptions::default()).await), "not_found");
    let options = WriteOptions { create_dirs: true, ..WriteOptions::default() };
    case.write("d/e/a", "1", options).await.expect("with directories");
    assert_eq!(code(case.write("d", "1", WriteOptions::default()).await), "conflict");
    assert_eq!(code(case.write("a/b", "1", WriteOptions::default()).await), "conflict");
    assert_eq!(code(case.write(".", "1", WriteOptions::default()).await), "conflict");
}

#[tokio::test]
async fn a_stale_version_is_refused_with_the_current_one() {
    let case = Case::new();
    let first = case.write("a", "1", WriteOptions::default()).await.expect("create");
    fs::write(case.at("a"), "foreign").expect("write");
    let options = WriteOptions { if_version: Some(first.version.clone()), ..WriteOptions::default() };
    let fault = case.write("a", "2", options.clone()).await.expect_err("stale");
    let current = case.root.stat(&rel("a")).await.expect("stat").version.expect("version");
    assert_eq!(fault.code, ErrorCode::PreconditionFailed);
    assert_eq!(fault.details["current_version"], current.as_str());
    assert_eq!(case.read("a").await.expect("read"), "foreign");
    fs::remove_file(case.at("a")).expect("remove");
    let fault = case.write("a", "2", options).await.expect_err("gone");
    assert!(fault.code == ErrorCode::PreconditionFailed && fault.details["current_version"].is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_writers_with_the_same_version_exactly_one_wins() {
    // Atomically, and in place because of a hard link.
    for mode in [WriteMode::Atomic, WriteMode::InPlace] {
        let case = Case::new();
        fs::create_dir(case.at("d")).expect("mkdir");
        symlink("d", case.at("alias")).expect("symlink");
        let version = case.write("d/a", "0", WriteOptions::default()).await.expect("create").version;
        if mode == WriteMode::InPlace {
            fs::hard_link(case.at("d/a"), case.at("d/b")).expect("link");
        }
        let mut writers = tokio::task::JoinSet::new();
        for n in 0..32 {
            let (root, version) = (case.root.clone(), version.clone());
            // Two names of one file are one line.
            let path = rel(if n % 2 == 0 { "d/a" } else { "alias/a" });
            writers.spawn(async move {
                let options = WriteOptions { if_version: Some(version), ..WriteOptions::default() };
                root.write(&path, Bytes::from(format!("writer {n}")), options).await.map_err(Fault::from)
            });
        }
        let results = writers.join_all().await;
        let won: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert_eq!((won.len(), won[0].write_mode), (1, mode));
        for fault in results.iter().filter_map(|result| result.as_ref().err()) {
            assert_eq!(fault.details["current_version"], won[0].version.as_str());
        }
        assert_eq!(case.root.inner.turns.len(), 0);
    }
}

#[tokio::test]
async fn a_writer_checks_the_version_when_it_has_its_turn_and_not_before() {
    let case = Case::new();
    let version = case.write("a", "0", WriteOptions::default()).await.expect("create").version;
    symlink("a", case.at("alias")).expect("symlink");
    let turn = case.root.inner.turns.wait(vec![rel("a")]).await;
    let options = WriteOptions { if_version: Some(version), ..WriteOptions::default() };
    let mut write = Box::pin(case.write("alias", "1", options));
    while case.root.inner.turns.in_line(&rel("a")) < 2 {
        tokio::select! {
            biased;
            result = &mut write => panic!("did not wait: {result:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    fs::write(case.at("a"), "foreign").expect("write");
    drop(turn);
    assert_eq!(code(write.await), "precondition_failed");
}

#[tokio::test]
async fn hard_links_are_written_in_place_and_keep_leading_to_one_file() {
    let case = Case::new();
    fs::write(case.at("a"), "long old content").expect("write");
    fs::hard_link(case.at("a"), case.at("b")).expect("link");
    let written = case.write("a", "new", WriteOptions::default()).await.expect("write");
    assert_eq!((written.write_mode, written.created), (WriteMode::InPlace, false));
    assert_eq!(fs::read_to_string(case.at("b")).expect("read"), "new");
    assert_eq!(case.root.stat(&rel("b")).await.expect("stat").version, Some(written.version));
}

#[tokio::test]
async fn mode_is_kept_and_a_directory_that_forbids_new_files_is_written_in_place() {
    let case = Case::new();
    fs::create_dir(case.at("d")).expect("mkdir");
    fs::write(case.at("d/a"), "old").expect("write");
    fs::set_permissions(case.at("d/a"), fs::Permissions::from_mode(0o751)).expect("chmod");
    case.write("d/a", "new", WriteOptions::default()).await.expect("write");
    assert_eq!(fs::metadata(case.at("d/a")).expect("metadata").mode() & 0o777, 0o751);
    fs::set_permissions(case.at("d"), fs::Permissions::from_mode(0o555)).expect("chmod");
    let written = case.write("d/a", "newer", WriteOptions::default()).await.expect("write");
    // Root may do anything.
    let expected = if rustix::process::geteuid().is_root() { WriteMode::Atomic } else { WriteMode::InPlace };
    fs::set_permissions(case.at("d"), fs::Permissions::from_mode(0o755)).expect("chmod");
    assert_eq!((written.write_mode, case.read("d/a").await.expect("read").as_str()), (expected, "newer"));
}

#[tokio::test]
async fn versions_follow_content_up_to_the_hashed_size_and_identity_above() {
    let case = Case::new();
    let limit = usize::try_from(FILE_HASH_BYTES_MAX).expect("fits");
    for (name, bytes) in [("small", limit), ("large", limit + 1)] {
        let path = rel(name);
        let write = |fill: u8| case.root.write(&path, vec![fill; bytes].into(), WriteOptions::default());
        let written = write(1).await.expect("write");
        assert_eq!(written.version.as_str().starts_with("m-"), bytes > limit);
        assert_eq!(case.root.stat(&rel(name)).await.expect("stat").version, Some(written.version.clone()));
        let read = case.root.read(&rel(name), Some(2..5)).await.expect("read");
        assert_eq!((&read.bytes[..], read.size, &read.version), (&[1, 1, 1][..], bytes as u64, &written.version));
        assert_ne!(write(2).await.expect("write").version, written.version);
        assert_eq!(write(1).await.expect("write").version == written.version, bytes <= limit);
    }
}

#[tokio::test]
async fn ranges_are_cut_to_the_file_and_oversized_requests_are_too_large() {
    let case = Case::new();
    case.write("a", "0123456789", WriteOptions::default()).await.expect("write");
    for (range, expected) in [(3..5, "34"), (8..99, "89"), (10..20, ""), (50..60, ""), (0..0, "")] {
        let content = case.root.read(&rel("a"), Some(range)).await.expect("read");
        assert_eq!((&content.bytes[..], content.size), (expected.as_bytes(), 10));
    }
    fs::File::create(case.at("huge")).expect("create").set_len(FILE_BYTES_MAX as u64 + 1).expect("sparse");
    let fault = Fault::from(case.root.read(&rel("huge"), None).await.expect_err("read"));
    assert_eq!((fault.code, &fault.details["limit_bytes"]), (ErrorCode::TooLarge, &FILE_BYTES_MAX.into()));
    assert_eq!(case.root.read(&rel("huge"), Some(0..8)).await.expect("read").bytes, vec![0; 8]);
    let bytes = vec![0; FILE_BYTES_MAX + 1].into();
    assert_eq!(code(case.root.write(&rel("a"), bytes, WriteOptions::default()).await), "too_large");
}

#[cfg(target_os = "linux")] // rustix makes no pipes elsewhere
#[tokio::test]
async fn only_regular_files_are_read_and_a_pipe_blocks_nobody() {
    for case in Case::both() {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, case.at("pipe"), rustix::fs::FileType::Fifo, mode, 0).expect("mkfifo");
        assert_eq!(case.root.stat(&rel("pipe")).await.expect("stat").kind, Kind::Other);
        assert_eq!(code(case.read("pipe").await), "conflict");
        assert_eq!(code(case.write("pipe", "x", WriteOptions::default()).await), "conflict");
        assert_eq!(code(case.read(".").await), "conflict");
        assert_eq!(code(case.read("nothing").await), "not_found");
    }
}

#[tokio::test]
async fn listings_are_sorted_paged_and_stable_under_change() {
    let case = Case::new();
    for path in ["b/2", "b/1", "b/c/d", "a", "b-", ".hidden", ".midplane-1-1.tmp"] {
        fs::create_dir_all(case.at(path).parent().expect("parent")).expect("mkdir");
        fs::write(case.at(path), "").expect("write");
    }
    assert_eq!(case.paths(ListOptions::default()).await, ["a", "b", "b-"]);
    assert_eq!(case.paths(ListOptions { hidden: true, ..ListOptions::default() }).await, [".hidden", "a", "b", "b-"]);
    let deep = ListOptions { depth: 3, ..ListOptions::default() };
    assert_eq!(case.paths(deep.clone()).await, ["a", "b", "b/1", "b/2", "b/c", "b/c/d", "b-"]);

    let mut seen = Vec::new();
    let mut options = ListOptions { limit: 2, ..deep };
    loop {
        let page = case.root.list(&RelativePath::root(), options.clone()).await.expect("list");
        seen.extend(page.entries.iter().map(|entry| entry.path.to_string()));
        // What comes and goes elsewhere neither repeats nor hides what stays; the cursor itself may go.
        fs::write(case.at("0"), "").expect("write");
        _ = fs::remove_file(case.at("b/1"));
        match page.next_cursor {
            Some(cursor) => options.cursor = Some(cursor),
            None => break,
        }
    }
    assert_eq!(seen, ["a", "b", "b/2", "b/c", "b/c/d", "b-"]);
    assert_eq!(code(case.root.list(&rel("a"), ListOptions::default()).await), "conflict");
}

#[tokio::test]
async fn names_that_are_not_utf8_are_names_like_any_other() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    for case in Case::both() {
        let on_disk = |name: &[u8]| case.at("").join(OsStr::from_bytes(name));
        fs::create_dir(on_disk(b"d\xff")).expect("mkdir");
        fs::write(on_disk(b"d\xff/caf\xe9"), "au lait").expect("write");
        std::os::unix::fs::symlink(OsStr::from_bytes(b"d\xff/caf\xe9"), on_disk(b"link\xfe")).expect("link");
        let options = ListOptions { depth: 2, ..ListOptions::default() };
        let listing = case.root.list(&RelativePath::root(), options).await.expect("list");
        let listed: Vec<_> = listing.entries.iter().map(|entry| entry.path.clone()).collect();
        let file = rel("d\u{efff}/caf\u{efe9}");
        assert_eq!(listed, [rel("d\u{efff}"), file.clone(), rel("link\u{effe}")]);
        assert_eq!(listing.entries[2].symlink.as_ref().and_then(|link| link.target.as_deref()), Some(file.as_str()));
        for path in [&file, &listed[2]] {
            assert_eq!(case.root.read(path, None).await.expect("read").bytes, "au lait");
        }
        case.root.write(&listed[2], Bytes::from_static(b"noir"), WriteOptions::default()).await.expect("write");
        assert_eq!(fs::read(on_disk(b"d\xff/caf\xe9")).expect("read"), b"noir");
        case.root
            .copy(&rel("d\u{efff}"), &case.root, &rel("copy\u{efee}"), CopyOptions::default())
            .await
            .expect("copy");
        assert_eq!(fs::read(on_disk(b"copy\xee/caf\xe9")).expect("read"), b"noir");
        case.root.rename(&file, &rel("d\u{efff}/now-\u{fc}"), RenameOptions::default()).await.expect("move");
        assert_eq!(fs::read(on_disk("d\u{fc}".as_bytes())).ok(), None);
        assert_eq!(fs::read(on_disk(b"d\xff/now-\xc3\xbc")).expect("read"), b"noir");
        let id = case.root.trash(&rel("copy\u{efee}"), DeleteOptions::default()).await.expect("trash");
        assert!(!on_disk(b"copy\xee").exists());
        case.root.restore(&id, &rel("copy\u{efee}"), RenameOptions::default()).await.expect("restore");
        assert!(on_disk(b"copy\xee/caf\xe9").exists());
        let change = Change::Delete {
            at: Target { root: case.root.clone(), path: rel("copy\u{efee}/caf\u{efe9}") },
            recursive: false,
            if_version: None,
        };
        case.root.apply(vec![change], ApplyOptions::default()).await.expect("apply");
        assert!(!on_disk(b"copy\xee/caf\xe9").exists());
        case.root
            .delete(&rel("d\u{efff}"), DeleteOptions { recursive: true, ..DeleteOptions::default() })
            .await
            .expect("delete");
        assert!(!on_disk(b"d\xff").exists());
    }
}

#[test]
fn one_name_has_one_path() {
    assert_eq!(rel("\u{efc3}\u{efbc}/\u{efe9}").as_str(), "\u{fc}/\u{efe9}");
}

#[tokio::test]
async fn directories_are_made_moved_and_deleted_with_their_content() {
    let case = Case::new();
    let parents = MakeDirOptions { parents: true, ..MakeDirOptions::default() };
    assert_eq!(code(case.root.make_dir(&rel("a/b"), MakeDirOptions::default()).await), "not_found");
    case.root.make_dir(&rel("a/b"), parents.clone()).await.expect("parents");
    case.root.make_dir(&rel("a/b"), parents.clone()).await.expect("content with what exists");
    assert_eq!(code(case.root.make_dir(&rel("a/b"), MakeDirOptions::default()).await), "already_exists");
    case.write("a/b/f", "x", WriteOptions::default()).await.expect("write");
    assert_eq!(code(case.root.make_dir(&rel("a/b/f"), parents).await), "already_exists");

    case.root.rename(&rel("a"), &rel("z"), RenameOptions::default()).await.expect("rename");
    assert_eq!(case.read("z/b/f").await.expect("read"), "x");
    assert_eq!(code(case.root.rename(&rel("z"), &rel("z/b/z"), RenameOptions::default()).await), "conflict");
    case.write("g", "g", WriteOptions::default()).await.expect("write");
    assert_eq!(code(case.root.rename(&rel("g"), &rel("z/b/f"), RenameOptions::default()).await), "already_exists");
    let overwrite = RenameOptions { overwrite: true, ..RenameOptions::default() };
    case.root.rename(&rel("g"), &rel("z/b/f"), overwrite).await.expect("overwrite");
    assert_eq!(case.read("z/b/f").await.expect("read"), "g");
    assert_eq!(code(case.root.rename(&rel("g"), &rel("h"), RenameOptions::default()).await), "not_found");

    symlink("../..", case.at("z/b/out")).expect("symlink");
    assert_eq!(code(case.root.delete(&rel("z"), DeleteOptions::default()).await), "conflict");
    let recursive = DeleteOptions { recursive: true, ..DeleteOptions::default() };
    case.root.delete(&rel("z"), recursive.clone()).await.expect("recursive");
    assert_eq!(code(case.root.delete(&rel("z"), recursive.clone()).await), "not_found");
    assert_eq!(code(case.root.delete(&RelativePath::root(), recursive).await), "conflict");
    assert!(case.dir.path().join("secret").exists());
}

#[tokio::test]
async fn messages_name_the_relative_path_only() {
    let case = Case::new();
    let fault = case.read("d/missing").await.expect_err("missing");
    assert!(fault.message.contains("d/missing") && !fault.message.contains(case.dir.path().to_str().expect("UTF-8")));
}

#[tokio::test]
async fn a_closed_root_refuses_work() {
    let case = Case::new();
    case.root.close().await;
    assert_eq!(code(case.read("a").await), "unavailable");
}
