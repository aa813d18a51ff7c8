//! One range of bytes (RFC 9110, section 14). Several at once are answered with the whole, which the standard allows.

use std::ops::Range;

/// No byte lies in the range.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsatisfiable;

/// The bytes that are asked for; none where the header says nothing that is kept here.
pub(super) fn single(text: &str, size: u64) -> Option<Result<Range<u64>, Unsatisfiable>> {
    let (unit, set) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    let number = |text: &str| match !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit()) {
        // A number beyond all files is beyond this one.
        true => Some(text.parse().unwrap_or(u64::MAX)),
        false => None,
    };
    let part = match (number(first), number(last)) {
        (Some(first), Some(last)) if last < first => return None,
        (Some(first), Some(last)) => first..last.saturating_add(1).min(size),
        (Some(first), None) if last.is_empty() => first..size,
        // The last bytes.
        (None, Some(count)) if first.is_empty() => size.saturating_sub(count)..size,
        _ => return None,
    };
    Some(if part.start < part.end { Ok(part) } else { Err(Unsatisfiable) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_size_and_what_is_no_single_range_is_none() {
        for (text, expected) in [
            ("bytes=0-0", Some(Ok(0..1))),
            ("bytes=2-4", Some(Ok(2..5))),
            ("bytes=8-99", Some(Ok(8..10))),
            ("Bytes = 3-", Some(Ok(3..10))),
            ("bytes=-3", Some(Ok(7..10))),
            ("bytes=-99", Some(Ok(0..10))),
            ("bytes=0-99999999999999999999", Some(Ok(0..10))),
            ("bytes=10-", Some(Err(Unsatisfiable))),
            ("bytes=-0", Some(Err(Unsatisfiable))),
            ("bytes=4-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("bytes=+1-2", None),
            ("lines=0-1", None),
            ("bytes", None),
        ] {
            assert_eq!(single(text, 10), expected, "{text}");
        }
        assert_eq!(single("bytes=0-", 0), Some(Err(Unsatisfiable)));
    }
}
