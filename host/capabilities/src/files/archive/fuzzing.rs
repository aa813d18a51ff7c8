//! The door to names in archives; see `crate::fuzzing`.

use midplane_model::limits::COPY_DEPTH_MAX;

use super::{super::replace::is_ours, names::Name};

/// The name of an entry, a line feed, and where it points as a link.
pub fn entry(bytes: &[u8]) {
    let mut halves = bytes.splitn(2, |byte| *byte == b'\n');
    let mut half = || halves.next().unwrap_or_default();
    let (raw, target) = (half(), half());
    let Ok(name) = Name::parse(raw) else { return };
    let parts: Vec<&[u8]> = name.parts().iter().map(|part| part.to_bytes()).collect();
    assert!(parts.len() <= COPY_DEPTH_MAX);
    for part in &parts {
        assert!(!part.is_empty() && *part != b"." && *part != b"..", "{raw:?}");
        assert!(!part.contains(&b'/') && !part.contains(&b'\\') && !part.contains(&0), "{raw:?}");
        assert!(!std::str::from_utf8(part).is_ok_and(is_ours), "{raw:?}");
    }
    assert!(Name::parse(&parts.join(&b'/')).is_ok_and(|same| same == name), "its plainest form is the same name");
    if !name.may_point(target) {
        return;
    }
    // From where the link is, step by step, where nothing on the way is a link.
    let mut depth = parts.len().saturating_sub(1);
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => depth = depth.checked_sub(1).unwrap_or_else(|| panic!("{target:?} leads out from {raw:?}")),
            _ => depth += 1,
        }
    }
    assert!(!target.starts_with(b"/"), "{target:?}");
}
