use std::{fs, fs::File, time::Duration};

use bytes::Bytes;
use midplane_model::Fault;

use super::{
    super::tests::{Case, code, rel},
    *,
};
use crate::small_disk::SmallDisk;

fn of(size: u64) -> UploadOptions {
    UploadOptions { size, sha256: None, owner: None, write: WriteOptions::default() }
}

async fn begin(root: &Root, path: &str, options: UploadOptions) -> Result<String, FilesError> {
    root.begin_upload(&rel(path), options).await.map(|begun| begun.upload.id)
}

async fn append(root: &Root, id: &str, offset: u64, bytes: &'static [u8]) -> Result<Appended, FilesError> {
    let mut appending = root.append_upload(id, offset, None, None).await?;
    appending.write(bytes.into()).await?;
    appending.finish().await
}

fn left(case: &Case) -> usize {
    fs::read_dir(case.at(".midplane/uploads")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn an_upload_goes_on_where_it_was_and_becomes_the_file_in_one_step() {
    for case in Case::both() {
        let write = WriteOptions { create_dirs: true, ..WriteOptions::default() };
        let id = begin(&case.root, "new/a", UploadOptions { write, ..of(10) }).await.expect("begin");
        let first = append(&case.root, &id, 0, b"0123").await.expect("append");
        assert_eq!((first.upload.offset, first.upload.complete, first.written), (4, false, None));
        // A request that breaks off has said what it said.
        let mut broken = case.root.append_upload(&id, 4, None, None).await.expect("append");
        broken.write(Bytes::from_static(b"45")).await.expect("write");
        drop(broken);
        let elsewhere = Fault::from(append(&case.root, &id, 4, b"x").await.expect_err("elsewhere"));
        assert_eq!((elsewhere.code.as_str(), &elsewhere.details["offset"]), ("conflict", &6.into()));
        assert_eq!(code(append(&case.root, &id, 6, b"67890").await), "too_large");
        assert!(!case.at("new").exists());
        let last = append(&case.root, &id, 6, b"6789").await.expect("append");
        let written = last.written.expect("the file");
        assert_eq!((last.upload.complete, written.created, written.size), (true, true, 10));
        assert_eq!(fs::read(case.at("new/a")).expect("read"), b"0123456789");
        assert_eq!(case.root.stat(&rel("new/a")).await.expect("stat").version, Some(written.version));
        assert!(case.root.upload(&id).await.is_ok_and(|upload| upload.complete && upload.offset == 10));
        assert_eq!(code(append(&case.root, &id, 10, b"").await), "not_found");
        case.root.cancel_upload(&id).await.expect("cancel");
        assert_eq!((code(case.root.upload(&id).await), left(&case)), ("not_found", 0));
    }
}

#[tokio::test]
async fn the_newer_request_takes_an_upload_over() {
    let [case, _] = Case::both();
    let id = begin(&case.root, "a", of(4)).await.expect("begin");
    let mut old = case.root.append_upload(&id, 0, None, None).await.expect("append");
    old.write(Bytes::from_static(b"01")).await.expect("write");
    let mut new = case.root.append_upload(&id, 2, None, None).await.expect("append");
    assert_eq!(code(old.write(Bytes::from_static(b"xx")).await), "conflict");
    new.write(Bytes::from_static(b"23")).await.expect("write");
    new.finish().await.expect("finish");
    assert_eq!(fs::read(case.at("a")).expect("read"), b"0123");

    let id = begin(&case.root, "b", of(4)).await.expect("begin");
    let mut appending = case.root.append_upload(&id, 0, None, None).await.expect("append");
    case.root.cancel_upload(&id).await.expect("cancel");
    assert_eq!(code(appending.write(Bytes::from_static(b"0123")).await), "conflict");
    assert!(!case.at("b").exists());
}

#[tokio::test]
async fn what_may_not_become_the_file_leaves_it_as_it_was() {
    let [case, _] = Case::both();
    fs::write(case.at("a"), "old").expect("write");
    let version = case.root.stat(&rel("a")).await.expect("stat").version;
    let write = WriteOptions { if_version: version, ..WriteOptions::default() };
    let id = begin(&case.root, "a", UploadOptions { write: write.clone(), ..of(3) }).await.expect("begin");
    fs::write(case.at("a"), "other").expect("write");
    assert_eq!(code(append(&case.root, &id, 0, b"new").await), "precondition_failed");
    assert_eq!(code(begin(&case.root, "a", UploadOptions { write, ..of(3) }).await), "precondition_failed");
    assert_eq!(fs::read(case.at("a")).expect("read"), b"other");
    // Nobody has to send it all again.
    let now = case.root.stat(&rel("a")).await.expect("stat").version;
    let done = case.root.append_upload(&id, 3, now, None).await.expect("append").finish().await.expect("finish");
    assert!(done.written.is_some_and(|written| !written.created));
    assert_eq!(fs::read(case.at("a")).expect("read"), b"new");

    let sha256 = |text: &str| Some(text.to_owned());
    let good = "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437";
    for (hash, expected) in [(sha256(good), Ok(())), (sha256(&"0".repeat(64)), Err("invalid_request"))] {
        let id = begin(&case.root, "b", UploadOptions { sha256: hash, ..of(3) }).await.expect("begin");
        let appended = append(&case.root, &id, 0, b"new").await.map(drop);
        assert_eq!(appended.map_err(|error| Fault::from(error).code.as_str()), expected);
    }
    assert_eq!(code(begin(&case.root, "b", UploadOptions { sha256: sha256("abc"), ..of(3) }).await), "invalid_params");
    let nothing = case.root.begin_upload(&rel("empty"), of(0)).await.expect("begin");
    assert!(nothing.upload.complete && nothing.written.is_some() && case.at("empty").exists());
}

#[tokio::test]
async fn what_waits_too_long_is_gone_also_for_the_next_host() {
    let [case, _] = Case::both();
    let age = |id: &str| {
        let file =
            File::options().write(true).open(case.at(&format!(".midplane/uploads/{id}/gathered"))).expect("open");
        file.set_modified(SystemTime::now() - UPLOAD_AGE_MAX - Duration::from_secs(1)).expect("times");
    };
    let [old, young] = ["a", "b"].map(|path| begin(&case.root, path, of(4)));
    let (old, young) = (old.await.expect("begin"), young.await.expect("begin"));
    append(&case.root, &old, 0, b"01").await.expect("append");
    age(&old);
    assert_eq!(code(append(&case.root, &old, 2, b"23").await), "not_found");
    assert_eq!((case.root.uploads().await.expect("list").len(), left(&case)), (1, 2));
    assert_eq!((case.root.tidy_uploads().await.expect("tidy"), left(&case)), (1, 1));
    age(&young);
    let data = tempfile::tempdir().expect("temporary directory");
    let next = Root::open_recorded(&case.at(""), data.path(), u64::MAX).expect("open");
    assert_eq!((next.uploads().await.expect("list").len(), left(&case)), (0, 0));
}

#[tokio::test]
async fn uploads_have_a_number_and_a_size() {
    let [case, _] = Case::both();
    let mut ids = Vec::new();
    for _ in 0..UPLOADS_MAX {
        ids.push(begin(&case.root, "a", of(1)).await.expect("begin"));
    }
    assert_eq!(code(begin(&case.root, "a", of(1)).await), "quota_exceeded");
    append(&case.root, &ids[0], 0, b"x").await.expect("append");
    begin(&case.root, "a", of(1)).await.expect("one of them is complete");
    assert_eq!(code(begin(&case.root, "a", of(STREAM_BYTES_MAX + 1)).await), "too_large");
}

#[tokio::test]
async fn an_upload_whose_space_the_file_system_does_not_keep_ends_when_the_disk_is_full() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let Some(_disk) = SmallDisk::mount(folder.path(), 256) else {
        return SmallDisk::elsewhere(
            "files::uploads::tests::an_upload_whose_space_the_file_system_does_not_keep_ends_when_the_disk_is_full",
        );
    };
    let root = Root::open(folder.path()).expect("root");
    let id = begin(&root, "a", of(150 * 1024)).await.expect("begin");
    let mut appending = root.append_upload(&id, 0, None, None).await.expect("append");
    appending.write(Bytes::from(vec![b'x'; 8 * 1024])).await.expect("write");
    // Gives back what was reserved, so that it is as where nothing can be.
    let gathered = folder.path().join(".midplane/uploads").join(&id).join("gathered");
    File::options().write(true).open(gathered).expect("open").set_len(8 * 1024).expect("truncate");
    let other = root.write(&rel("b"), Bytes::from(vec![b'x'; 200 * 1024]), WriteOptions::default()).await;
    other.expect("the space is free");
    assert_eq!(code(appending.write(Bytes::from(vec![b'x'; 142 * 1024])).await), "no_space");
    drop(appending);
    assert!(root.uploads().await.expect("list").is_empty(), "it does not keep the disk full");
    assert!(!folder.path().join("a").exists());
    root.write(&rel("c"), Bytes::from(vec![b'x'; 8 * 1024]), WriteOptions::default()).await.expect("room again");
}
