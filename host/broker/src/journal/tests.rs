use std::time::Duration;

use midplane_model::{Origin, Stamp, Topic};
use serde_json::value::to_raw_value;

use super::*;

fn event(seq: u64) -> Arc<Event> {
    let stamp = Stamp { stream: "s".into(), epoch: "e".into(), seq, time: SystemTime::now() };
    let origin = Origin { principal: Some("owner".into()), ..Origin::default() };
    let payload = to_raw_value(&format!("event {seq}")).unwrap();
    let mut event = Event::new(stamp, Topic::parse("a.b").unwrap(), payload, origin);
    event.expires_at = seq.is_multiple_of(2).then(|| clock::now() + Duration::from_secs(3600));
    Arc::new(event)
}

fn open(folder: &Path) -> Opened {
    Journal::open(folder, &"s".into()).unwrap()
}

fn commit(home: &mut dyn Home, seqs: impl IntoIterator<Item = u64>) {
    home.commit(&seqs.into_iter().map(event).collect::<Vec<_>>()).unwrap();
}

fn seqs(opened: &Opened) -> Vec<u64> {
    opened.events.iter().map(|event| event.seq).collect()
}

/// The newest segment.
fn newest(folder: &Path) -> PathBuf {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| segment::base(path).is_some()).max().unwrap()
}

/// A copy of the folder as a crash would leave it: what is committed is there, the lock is not held.
fn crashed(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    copy
}

#[test]
fn events_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = open(folder.path());
    let events: Vec<_> = (1..=4).map(event).collect();
    first.home.commit(&events).unwrap();
    first.home.close().unwrap();
    let epoch = first.epoch.clone();
    drop(first);
    let second = open(folder.path());
    assert_eq!((&second.epoch, second.head, second.next, second.lost_until), (&epoch, 4, 5, 0));
    for (before, after) in events.iter().zip(&second.events) {
        assert_eq!((before.seq, &before.topic, &before.origin), (after.seq, &after.topic, &after.origin));
        assert_eq!(before.payload.get(), after.payload.get());
        assert_eq!(midplane_model::event::rfc3339(before.time), midplane_model::event::rfc3339(after.time));
        assert_eq!(before.expires_at.is_some(), after.expires_at.is_some());
        assert_eq!(after.epoch, epoch);
    }
}

#[test]
fn after_a_crash_no_number_is_given_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = open(folder.path());
    commit(&mut *first.home, 1..=3);
    let mut copy = crashed(folder.path());
    for _ in 0..3 {
        let mut again = open(copy.path());
        assert_eq!((&again.epoch, again.head), (&first.epoch, *seqs(&again).last().unwrap()));
        assert!(again.next > 3 + FENCE_SEQS, "whatever was given out before the crash is below {}", again.next);
        let next = again.next;
        commit(&mut *again.home, [next]);
        copy = crashed(copy.path());
    }
    assert_eq!(seqs(&open(copy.path())).len(), 6);
}

#[test]
fn an_end_torn_anywhere_costs_the_last_commit_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = open(folder.path());
    commit(&mut *first.home, 1..=2);
    let path = newest(folder.path());
    let before = std::fs::metadata(&path).unwrap().len();
    commit(&mut *first.home, 3..=5);
    let after = std::fs::metadata(&path).unwrap().len();
    for length in before..after {
        let copy = crashed(folder.path());
        let path = newest(copy.path());
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        let mut again = open(copy.path());
        assert_eq!((seqs(&again), &again.epoch), (vec![1, 2], &first.epoch), "torn at {length}");
        assert!(again.next > 5);
        let next = again.next;
        commit(&mut *again.home, [next]);
        let copy = crashed(copy.path());
        assert_eq!(seqs(&open(copy.path())), [1, 2, next], "what is written behind the cut is read");
    }
}

#[test]
fn a_changed_byte_is_never_read_as_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = open(folder.path());
    commit(&mut *first.home, 1..=2);
    let path = newest(folder.path());
    let last = std::fs::metadata(&path).unwrap().len();
    commit(&mut *first.home, 3..=4);
    let bytes = std::fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        let copy = crashed(folder.path());
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x20;
        std::fs::write(newest(copy.path()), bytes).unwrap();
        let again = open(copy.path());
        if at as u64 >= last {
            // It cannot be told from a torn end.
            assert_eq!((seqs(&again), &again.epoch), (vec![1, 2], &first.epoch), "byte {at}");
        } else {
            assert_eq!((seqs(&again).len(), again.next), (0, 1), "byte {at}");
            assert_ne!(again.epoch, first.epoch, "byte {at}: the past cannot be trusted");
            assert!(copy.path().join("damaged").is_dir(), "byte {at}: set aside for whoever wants to look");
        }
    }
}

#[test]
fn what_could_not_be_committed_never_comes_back_and_later_commits_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = opening::open(folder.path(), &"s".into()).unwrap().journal;
    commit(&mut journal, [1]);
    journal.current.as_mut().unwrap().break_file(folder.path());
    assert!(matches!(journal.commit(&[event(2)]), Err(HomeError::Write { .. })));
    // What the failed commit had written before the disk gave up.
    let mut frame = Vec::new();
    write_frame(&mut frame, &[event(2)], Clocks { wall: SystemTime::now(), monotonic: clock::now() });
    let mut bytes = std::fs::read(newest(folder.path())).unwrap();
    bytes.extend(frame);
    std::fs::write(newest(folder.path()), bytes).unwrap();
    commit(&mut journal, [3]);
    commit(&mut journal, [4]);
    journal.close().unwrap();
    drop(journal);
    assert_eq!(seqs(&open(folder.path())), [1, 3, 4]);
}

#[test]
fn old_files_go_when_nothing_in_them_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = open(folder.path());
    let payload = to_raw_value(&"x".repeat(1024 * 1024 - 2)).unwrap();
    for seq in 1..=20 {
        let mut event = Arc::into_inner(event(seq)).unwrap();
        event.payload = payload.clone();
        first.home.commit(&[Arc::new(event)]).unwrap();
    }
    let count = || {
        std::fs::read_dir(folder.path())
            .unwrap()
            .filter(|e| segment::base(&e.as_ref().unwrap().path()).is_some())
            .count()
    };
    assert_eq!(count(), 3);
    first.home.release(8);
    assert_eq!(count(), 3, "8 is still needed, and in the first file");
    first.home.release(10);
    assert_eq!(count(), 2);
    first.home.release(100);
    assert_eq!(count(), 1, "the newest stays");
    first.home.close().unwrap();
    let epoch = first.epoch.clone();
    drop(first);
    let again = open(folder.path());
    assert_eq!((again.epoch.clone(), again.lost_until + 1, again.head), (epoch, again.events[0].seq, 20));
}

#[test]
fn a_missing_file_or_fence_is_a_new_epoch() {
    for missing in ["fence", "segment"] {
        let folder = tempfile::tempdir().unwrap();
        let mut first = open(folder.path());
        commit(&mut *first.home, [1]);
        let epoch = first.epoch.clone();
        drop(first);
        let path = if missing == "fence" { folder.path().join("fence") } else { newest(folder.path()) };
        std::fs::remove_file(path).unwrap();
        let again = open(folder.path());
        assert_eq!((again.epoch == epoch, again.events.len()), (false, 0), "without the {missing}");
    }
}

#[test]
fn a_second_host_is_refused_and_a_newer_format_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = open(folder.path());
    assert!(matches!(Journal::open(folder.path(), &"s".into()), Err(HomeError::InUse { .. })));
    commit(&mut *first.home, [1]);
    let header = Header { format: FORMAT + 1, epoch: first.epoch.clone(), predecessor: None };
    drop(first);
    Segment::create(folder.path(), 9, &header, &[]).unwrap();
    for _ in 0..2 {
        let error = Journal::open(folder.path(), &"s".into()).err().unwrap();
        assert!(matches!(error, HomeError::Format { found: 2, expected: 1, .. }), "{error}");
    }
}
