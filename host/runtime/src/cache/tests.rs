//! What somebody could do to the files of the cache, and what must not come of it.

use std::{
    fs::{self, Permissions},
    io::Read,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tempfile::TempDir;
use wasmtime::CacheStore;

use super::{
    CodeCache, Interrupted,
    private::{Distrust, PrivateDirectory},
};

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(path: &Path) -> Arc<PrivateDirectory> {
    Arc::new(PrivateDirectory::open(path).unwrap())
}

fn write(directory: &Arc<PrivateDirectory>, name: &str, content: &[u8]) {
    let mut writer = directory.write(name).unwrap();
    writer.append(content).unwrap();
    writer.commit().unwrap();
}

fn content(directory: &PrivateDirectory, name: &str) -> Vec<u8> {
    let entry = directory.read(name).unwrap().unwrap();
    let mut content = Vec::new();
    entry.file.take(entry.content_bytes).read_to_end(&mut content).unwrap();
    content
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn what_was_written_is_read_back_by_whoever_opens_the_directory_next() {
    let home = home();
    let path = home.path().join("below/code");
    write(&open(&path), "a.code", b"native code");
    assert_eq!(content(&open(&path), "a.code"), b"native code");
    assert!(open(&path).read("b.code").unwrap().is_none());
    assert_eq!((mode(&path), mode(&path.join("key")), mode(&path.join("a.code"))), (0o700, 0o600, 0o600));
}

#[test]
fn a_flipped_byte_anywhere_is_found() {
    let home = home();
    let directory = open(home.path());
    let path = home.path().join("a.code");
    for index in [0, 5, 11, 40] {
        write(&directory, "a.code", b"native code");
        let mut bytes = fs::read(&path).unwrap();
        bytes[index] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(matches!(directory.read("a.code"), Err(Distrust::Damaged)), "byte {index}");
    }
    write(&directory, "a.code", b"native code");
    assert_eq!(content(&directory, "a.code"), b"native code", "a new entry takes the place of a damaged one");
}

#[test]
fn an_entry_that_was_cut_off_is_found() {
    let home = home();
    let directory = open(home.path());
    write(&directory, "a.code", b"native code");
    for bytes in [42, 32, 31, 0] {
        let file = fs::OpenOptions::new().write(true).open(home.path().join("a.code")).unwrap();
        file.set_len(bytes).unwrap();
        assert!(matches!(directory.read("a.code"), Err(Distrust::Damaged)), "{bytes} bytes");
    }
}

#[test]
fn an_entry_under_another_name_is_no_entry() {
    let home = home();
    let directory = open(home.path());
    write(&directory, "a.code", b"one");
    write(&directory, "b.code", b"two");
    let at = |name: &str| home.path().join(name);
    fs::rename(at("a.code"), at("c")).unwrap();
    fs::rename(at("b.code"), at("a.code")).unwrap();
    fs::rename(at("c"), at("b.code")).unwrap();
    assert!(matches!(directory.read("a.code"), Err(Distrust::Damaged)));
    assert!(matches!(directory.read("b.code"), Err(Distrust::Damaged)));
}

#[test]
fn an_entry_of_another_installation_is_not_believed() {
    let (mine, theirs) = (home(), home());
    write(&open(theirs.path()), "a.code", b"their code");
    let directory = open(mine.path());
    fs::copy(theirs.path().join("a.code"), mine.path().join("a.code")).unwrap();
    assert!(matches!(directory.read("a.code"), Err(Distrust::Damaged)));
}

#[test]
fn a_link_in_the_place_of_an_entry_is_not_followed_and_not_written_through() {
    let (home, elsewhere) = (home(), home());
    let directory = open(home.path());
    write(&directory, "a.code", b"native code");
    let target = elsewhere.path().join("target");
    fs::rename(home.path().join("a.code"), &target).unwrap();
    symlink(&target, home.path().join("a.code")).unwrap();
    assert!(matches!(directory.read("a.code"), Err(Distrust::Foreign)));
    let before = fs::read(&target).unwrap();
    write(&directory, "a.code", b"newer code");
    assert_eq!(content(&directory, "a.code"), b"newer code");
    assert_eq!(fs::read(&target).unwrap(), before);
}

#[test]
fn an_entry_that_others_may_write_or_that_is_no_file_is_not_believed() {
    let home = home();
    let directory = open(home.path());
    write(&directory, "a.code", b"native code");
    fs::set_permissions(home.path().join("a.code"), Permissions::from_mode(0o620)).unwrap();
    assert!(matches!(directory.read("a.code"), Err(Distrust::Foreign)));
    fs::create_dir(home.path().join("b.code")).unwrap();
    assert!(matches!(directory.read("b.code"), Err(Distrust::Foreign)));
}

#[test]
fn a_directory_in_which_others_could_write_is_made_private_and_nothing_in_it_is_believed() {
    let home = home();
    let path = home.path().join("code");
    write(&open(&path), "a.code", b"native code");
    fs::set_permissions(&path, Permissions::from_mode(0o770)).unwrap();
    let directory = open(&path);
    assert_eq!(mode(&path), 0o700);
    assert!(matches!(directory.read("a.code"), Err(Distrust::Damaged)));
}

#[test]
fn a_directory_that_is_a_link_is_refused() {
    let home = home();
    let path = home.path().join("code");
    fs::create_dir(home.path().join("elsewhere")).unwrap();
    symlink(home.path().join("elsewhere"), &path).unwrap();
    assert!(PrivateDirectory::open(&path).is_err());
    // A host with such a path goes on without a cache.
    let engine = wasmtime::Engine::default();
    let cache = CodeCache::open(&path);
    cache.store("a.code", b"native code");
    assert!(cache.load(&engine, "a.code").is_none());
    assert!(fs::read_dir(home.path().join("elsewhere")).unwrap().next().is_none());
}

#[test]
fn a_key_that_others_may_write_is_replaced() {
    let home = home();
    write(&open(home.path()), "a.code", b"native code");
    let key = home.path().join("key");
    let before = fs::read(&key).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o666)).unwrap();
    let directory = open(home.path());
    assert_ne!(fs::read(&key).unwrap(), before);
    assert!(matches!(directory.read("a.code"), Err(Distrust::Damaged)));
}

#[test]
fn hosts_that_start_together_agree_on_one_key() {
    let home = home();
    let path = home.path().join("code");
    let opened: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| open(&path))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (index, directory) in opened.iter().enumerate() {
        write(directory, "a.code", &[index as u8; 1000]);
        assert!(opened.iter().all(|other| content(other, "a.code") == [index as u8; 1000]));
    }
    assert!(fs::read_dir(&path).unwrap().all(|file| !file.unwrap().file_name().to_str().unwrap().starts_with("tmp-")));
}

#[test]
fn the_longest_unused_entries_are_evicted() {
    let home = home();
    let directory = open(home.path());
    for (name, age) in [("a.code", 40), ("b.code", 30), ("c.code", 20), ("other.functions", 90)] {
        write(&directory, name, &[0; 68]);
        let used = SystemTime::now() - Duration::from_secs(age);
        fs::File::options().write(true).open(home.path().join(name)).unwrap().set_modified(used).unwrap();
    }
    directory.read("a.code").unwrap().unwrap().touch();
    write(&directory, "d.code", &[0; 68]);
    directory.evict(".code", 350, "d.code").unwrap();
    let names = |ending| directory.list(ending).unwrap().into_iter().map(|listed| listed.name).collect::<Vec<_>>();
    assert_eq!(names(".functions"), ["other.functions"]);
    let mut left = names(".code");
    left.sort();
    assert_eq!(left, ["a.code", "c.code", "d.code"]);
    directory.evict(".code", 0, "d.code").unwrap();
    assert_eq!(names(".code"), ["d.code"], "what was just written stays");
}

/// The smallest component: nothing in it.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

#[test]
fn code_is_loaded_for_the_settings_it_was_compiled_with() {
    let home = home();
    let cache = CodeCache::open(home.path());
    let engine = wasmtime::Engine::default();
    let name = CodeCache::name(&engine, &[1; 32]);
    assert!(cache.load(&engine, &name).is_none());
    cache.store(&name, &engine.precompile_component(COMPONENT).unwrap());
    assert!(cache.load(&engine, &name).is_some());

    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    let other = wasmtime::Engine::new(&config).unwrap();
    assert_ne!(CodeCache::name(&other, &[1; 32]), name);
    assert!(cache.load(&other, &name).is_none(), "not even under the name of the others");
}

#[test]
fn functions_of_one_session_are_found_in_the_next() {
    let home = home();
    let engine = wasmtime::Engine::default();
    let functions = CodeCache::open(home.path()).functions(&engine);
    assert!(!functions.insert(&[7; 32], b"outside".to_vec()), "nothing is kept outside of a session");
    {
        let _part = functions.join();
        assert!(functions.get(&[1; 32]).is_none());
        assert!(functions.insert(&[1; 32], b"one".to_vec()) && functions.insert(&[2; 32], Vec::new()));
    }
    assert!(functions.get(&[1; 32]).is_none(), "nothing is held between sessions");
    {
        let (_part, _other) = (functions.join(), functions.join());
        assert_eq!(functions.get(&[1; 32]).as_deref(), Some(&b"one"[..]));
        assert_eq!(functions.get(&[2; 32]).as_deref(), Some(&b""[..]));
        assert!(functions.get(&[3; 32]).is_none() && functions.get(b"short").is_none());
        assert!(functions.insert(&[3; 32], b"three".to_vec()));
    }
    let _part = functions.join();
    assert_eq!(functions.get(&[1; 32]).as_deref(), Some(&b"one"[..]));
    assert_eq!(functions.get(&[3; 32]).as_deref(), Some(&b"three"[..]));
}

#[test]
fn functions_that_were_tampered_with_are_compiled_again() {
    let home = home();
    let functions = CodeCache::open(home.path()).functions(&wasmtime::Engine::default());
    {
        let _part = functions.join();
        functions.insert(&[1; 32], b"native code".to_vec());
    }
    let segment = || {
        let files = fs::read_dir(home.path()).unwrap().map(|file| file.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|ending| ending == "functions")).collect::<Vec<_>>()
    };
    let mut bytes = fs::read(&segment()[0]).unwrap();
    bytes[40] ^= 1;
    fs::write(&segment()[0], bytes).unwrap();
    let _part = functions.join();
    assert!(functions.get(&[1; 32]).is_none());
    assert!(segment().is_empty(), "it is gone");
}

#[test]
fn an_interrupted_compile_ends_at_its_next_function() {
    let home = home();
    let functions = CodeCache::open(home.path()).functions(&wasmtime::Engine::default());
    functions.interrupt();
    let ended = catch_unwind(AssertUnwindSafe(|| functions.get(&[1; 32]).is_some()));
    assert!(ended.unwrap_err().is::<Interrupted>());
}
