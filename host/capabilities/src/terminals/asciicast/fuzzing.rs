//! The door to recordings; see `crate::fuzzing`.

use std::time::Duration;

use super::{Cast, Event, Pace};

/// A recording. What is read of it is played to its end, and is the same when it is written again.
pub fn recording(bytes: &[u8]) {
    let Ok(mut cast) = Cast::open(bytes) else { return };
    let limit = cast.header.idle_time_limit.and_then(|limit| Duration::try_from_secs_f64(limit).ok());
    let (mut pace, mut due) = (Pace::new(0.5, limit), Duration::ZERO);
    let (mut again, mut events) = (cast.header.line(), Vec::new());
    while let Ok(Some((at, event))) = cast.next_event() {
        let next = pace.due(at);
        assert!(next >= due, "{at:?} is not before what came before it");
        due = next;
        again.extend(event.line(at));
        events.push(event);
    }
    let mut same = Cast::open(&again[..]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((same.header.size, same.header.timestamp), (cast.header.size, cast.header.timestamp));
    let mut read: Vec<Event> = Vec::new();
    while let Some((_, event)) = same.next_event().unwrap_or_else(|error| panic!("{error}")) {
        read.push(event);
    }
    assert_eq!(read, events);
}
