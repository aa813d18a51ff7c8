//! Names, trees and disks that are not as one would like them.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, symlink},
    },
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    tests::{Case, code, rel},
    *,
};
use crate::small_disk::SmallDisk;

/// Entries of the large directory: three pages. `MIDPLANE_TEST_ENTRIES` may say more.
const ENTRIES: usize = 12_000;
/// How often a path is used while it is swapped, in each way that there is. `MIDPLANE_TEST_USES` may say more.
const USES: usize = 400;

fn count(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

async fn write(root: &Root, path: &str, text: &'static str) -> Result<Written, FilesError> {
    root.write(&rel(path), Bytes::from_static(text.as_bytes()), WriteOptions::default()).await
}

fn hidden() -> ListOptions {
    ListOptions { hidden: true, ..ListOptions::default() }
}

fn edit(old: &str, new: &str) -> Vec<Replacement> {
    vec![Replacement { old: old.into(), new: new.into(), count: 1 }]
}

#[tokio::test]
async fn names_may_be_as_long_and_odd_as_the_file_system_takes_them() {
    let [case, _] = Case::both();
    let long = "x".repeat(255);
    for name in [long.as_str(), "two\nlines", "tab\tquote\"'\\", "*?[a]", "-rf", "\u{202e}gpj.exe", " ", "..."] {
        write(&case.root, name, "old").await.expect(name);
        let edited = case.root.edit(&rel(name), edit("old", "new"), EditOptions::default()).await.expect(name);
        assert_eq!(edited.replaced, 1);
        assert_eq!(case.root.read(&rel(name), None).await.expect(name).bytes, "new");
        let listed = case.root.list(&RelativePath::root(), hidden()).await.expect("list");
        assert_eq!(listed.entries.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(), [name]);
        let id = case.root.trash(&rel(name), DeleteOptions::default()).await.expect(name);
        case.root.restore(&id, &rel(name), RenameOptions::default()).await.expect(name);
        case.root.delete(&rel(name), DeleteOptions::default()).await.expect(name);
    }
    assert_eq!(code(write(&case.root, &"x".repeat(256), "").await), "invalid_params");
}

#[tokio::test]
async fn names_that_no_path_can_say_go_along_with_their_tree() {
    let [case, _] = Case::both();
    fs::create_dir(case.at("d")).expect("mkdir");
    fs::write(case.at("d").join(OsStr::from_bytes(b"\xff\xfe")), "inside").expect("write");
    case.root.copy(&rel("d"), &case.root, &rel("copy"), CopyOptions::default()).await.expect("copy");
    assert_eq!(fs::read(case.at("copy").join(OsStr::from_bytes(b"\xff\xfe"))).expect("read"), b"inside");
    let id = case.root.trash(&rel("copy"), DeleteOptions::default()).await.expect("trash");
    case.root.restore(&id, &rel("back"), RenameOptions::default()).await.expect("restore");
    let recursive = DeleteOptions { recursive: true, ..DeleteOptions::default() };
    case.root.delete(&rel("back"), recursive).await.expect("delete");
    assert!(!case.at("back").exists());
}

#[tokio::test]
async fn a_large_directory_is_listed_in_pages_that_neither_repeat_nor_skip() {
    let [case, _] = Case::both();
    let entries = count("MIDPLANE_TEST_ENTRIES", ENTRIES);
    for n in 0..entries {
        fs::write(case.at(&format!("{n:06}")), "").expect("write");
    }
    let (mut seen, mut cursor) = (Vec::with_capacity(entries), None);
    loop {
        let options = ListOptions { cursor, ..ListOptions::default() };
        let page = case.root.list(&RelativePath::root(), options).await.expect("list");
        seen.extend(page.entries.iter().map(|entry| entry.path.as_str().to_owned()));
        // What goes before the cursor and comes behind the last one shifts nothing.
        _ = fs::remove_file(case.at(&seen[0]));
        fs::write(case.at("before"), "").expect("write");
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    seen.retain(|name| name != "before");
    assert!(seen.len() == entries && seen.is_sorted());
}

/// A file, a directory, a link to the outside and nothing take turns at one path, as fast as can be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_is_swapped_during_the_call_never_leads_outside() {
    for case in Case::both() {
        let outside = case.at("").parent().expect("parent").join("secret");
        for (name, target) in [("out", "../secret"), ("proc", "/proc/self/root/etc/hostname")] {
            symlink(target, case.at(name)).expect("symlink");
        }
        fs::write(case.at("file"), "inside").expect("write");
        fs::create_dir(case.at("folder")).expect("mkdir");
        let stop = Arc::new(AtomicBool::new(false));
        let attacker = std::thread::spawn({
            let (stop, at) = (stop.clone(), ["p", "file", "folder", "out", "proc"].map(|name| case.at(name)));
            move || {
                let [p, others @ ..] = &at;
                while !stop.load(Ordering::Relaxed) {
                    for other in others {
                        // Whatever the victim has made of it meanwhile.
                        _ = fs::rename(other, p);
                        _ = fs::rename(p, other);
                    }
                }
            }
        });
        for n in 0..count("MIDPLANE_TEST_USES", USES) {
            if let Ok(content) = case.root.read(&rel("p"), None).await {
                assert!(content.bytes != "secret", "read outside");
            }
            if let Ok(file) = case.root.open_file(&rel("p")).await {
                assert!(file.read(0, 100).await.is_ok_and(|bytes| bytes != "secret"), "opened outside");
            }
            _ = case.root.edit(&rel("p"), edit("secret", "stolen"), EditOptions::default()).await;
            if let Ok(mut receiving) = case.root.receive(&rel("p"), WriteOptions::default()).await {
                _ = receiving.write(Bytes::from_static(b"inside")).await;
                _ = receiving.finish().await;
            }
            let at = Target { root: case.root.clone(), path: rel("p") };
            let change = Change::Edit { at, edits: edit("secret", "stolen"), if_version: None };
            _ = case.root.apply(vec![change], ApplyOptions::default()).await;
            let to = rel(&format!("copy{}", n % 4));
            _ = case.root.copy(&rel("p"), &case.root, &to, CopyOptions { overwrite: true, ..Default::default() }).await;
            if case.at(to.as_str()).symlink_metadata().is_ok_and(|facts| facts.is_file()) {
                assert_ne!(fs::read(case.at(to.as_str())).expect("read"), b"secret", "copied from outside");
            }
        }
        stop.store(true, Ordering::Relaxed);
        attacker.join().expect("attacker");
        assert_eq!(fs::read_to_string(outside).expect("read"), "secret");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_grows_while_it_is_read_is_given_as_it_was_at_some_moment() {
    let [case, _] = Case::both();
    fs::write(case.at("log"), "").expect("write");
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (stop, path) = (stop.clone(), case.at("log"));
        move || {
            let mut file = fs::OpenOptions::new().append(true).open(path).expect("open");
            while !stop.load(Ordering::Relaxed) {
                std::io::Write::write_all(&mut file, b"line\n").expect("append");
            }
        }
    });
    for _ in 0..100 {
        let content = case.root.read(&rel("log"), None).await.expect("read");
        assert_eq!(content.size as usize, content.bytes.len());
        assert!(content.bytes.chunks_exact(5).all(|line| line == b"line\n"));
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("writer");
}

#[tokio::test]
async fn what_is_no_file_is_neither_copied_nor_sent() {
    let [case, _] = Case::both();
    let socket = std::os::unix::net::UnixListener::bind(case.at("socket")).expect("bind");
    assert!(case.at("socket").symlink_metadata().expect("metadata").file_type().is_socket());
    assert_eq!(code(case.root.copy(&rel("socket"), &case.root, &rel("b"), CopyOptions::default()).await), "conflict");
    assert!(case.root.open_file(&rel("socket")).await.is_err());
    drop(socket);
}

#[tokio::test]
async fn a_full_disk_and_one_that_is_read_only_leave_every_file_as_it_was() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let Some(disk) = SmallDisk::mount(folder.path(), 256) else {
        return SmallDisk::elsewhere(
            "files::hard_tests::a_full_disk_and_one_that_is_read_only_leave_every_file_as_it_was",
        );
    };
    let root = Root::open(folder.path()).expect("root");
    write(&root, "a", "old").await.expect("write");
    fs::hard_link(folder.path().join("a"), folder.path().join("second")).expect("link");
    let large = Bytes::from(vec![b'x'; 512 * 1024]);
    for path in ["a", "new"] {
        let written = root.write(&rel(path), large.clone(), WriteOptions::default()).await;
        assert_eq!(code(written), "no_space", "{path}");
    }
    let at = |path: &str| Target { root: root.clone(), path: rel(path) };
    let change = |path: &str, bytes: &Bytes| Change::Write {
        at: at(path),
        bytes: bytes.clone(),
        if_version: None,
        create: Create::Always,
        create_dirs: false,
    };
    let set = vec![change("a", &Bytes::from_static(b"new")), change("b", &large)];
    assert_eq!(code(root.apply(set, ApplyOptions::default()).await), "no_space");
    let mut receiving = root.receive(&rel("c"), WriteOptions::default()).await.expect("receive");
    assert_eq!(code(receiving.write(large).await), "no_space");
    drop(receiving);
    let of = |size| UploadOptions { size, sha256: None, owner: None, write: WriteOptions::default() };
    assert_eq!(code(root.begin_upload(&rel("d"), of(512 * 1024)).await), "no_space");
    assert!(root.uploads().await.expect("list").is_empty());
    // What is begun has its space, whoever comes after.
    let begun = root.begin_upload(&rel("kept"), of(100 * 1024)).await.expect("begin");
    assert_eq!(
        code(root.write(&rel("e"), Bytes::from(vec![b'x'; 200 * 1024]), WriteOptions::default()).await),
        "no_space"
    );
    let mut appending = root.append_upload(&begun.upload.id, 0, None, None).await.expect("append");
    appending.write(Bytes::from(vec![b'x'; 100 * 1024])).await.expect("the space is kept");
    appending.finish().await.expect("finish");
    fs::remove_file(folder.path().join("kept")).expect("remove");
    let names = || {
        let mut names: Vec<_> = fs::read_dir(folder.path()).expect("read").flatten().map(|e| e.file_name()).collect();
        names.retain(|name| name != ".midplane");
        names.sort();
        names
    };
    assert_eq!(
        (names(), fs::read(folder.path().join("a")).expect("read")),
        (vec!["a".into(), "second".into()], b"old".to_vec())
    );

    disk.forbid_writing();
    assert_eq!(code(write(&root, "a", "new").await), "forbidden");
    assert_eq!(code(write(&root, "new", "new").await), "forbidden");
    assert_eq!(code(root.edit(&rel("a"), edit("old", "new"), EditOptions::default()).await), "forbidden");
    assert_eq!(code(root.delete(&rel("a"), DeleteOptions::default()).await), "forbidden");
    assert_eq!(code(root.trash(&rel("a"), DeleteOptions::default()).await), "forbidden");
    assert_eq!(
        code(root.apply(vec![change("a", &Bytes::from_static(b"new"))], ApplyOptions::default()).await),
        "forbidden"
    );
    assert_eq!(root.read(&rel("a"), None).await.expect("read").bytes, "old");
}
