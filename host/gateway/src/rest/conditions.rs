//! Conditional requests (RFC 9110, section 13) for something with a strong tag and a date.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderName, header};

/// What the tag of a compressed representation ends with. Whoever sends it back means the file.
pub(super) const COMPRESSED: &str = "-gzip";

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Go,
    NotModified,
    Failed,
}

/// What there is, for a request that reads.
pub(super) struct Conditions<'a> {
    pub tag: &'a str,
    pub modified: SystemTime,
}

impl Conditions<'_> {
    /// In the order of section 13.2.2.
    pub fn judge(&self, headers: &HeaderMap) -> Verdict {
        if headers.contains_key(header::IF_MATCH) {
            if !self.names(headers, header::IF_MATCH, false) {
                return Verdict::Failed;
            }
        } else if date(headers, header::IF_UNMODIFIED_SINCE).is_some_and(|date| self.whole_seconds() > date) {
            return Verdict::Failed;
        }
        if headers.contains_key(header::IF_NONE_MATCH) {
            if self.names(headers, header::IF_NONE_MATCH, true) {
                return Verdict::NotModified;
            }
        } else if date(headers, header::IF_MODIFIED_SINCE).is_some_and(|date| self.whole_seconds() <= date) {
            return Verdict::NotModified;
        }
        Verdict::Go
    }

    /// Whether a range may be answered as one: without `If-Range`, or when that names exactly what there is. A date never does:
    /// two changes within a second have the same one.
    pub fn allow_range(&self, headers: &HeaderMap) -> bool {
        match headers.get(header::IF_RANGE) {
            None => true,
            Some(value) => value.to_str().is_ok_and(|tag| tag.trim() == format!("\"{}\"", self.tag)),
        }
    }

    fn names(&self, headers: &HeaderMap, name: HeaderName, weakly: bool) -> bool {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(str::trim).any(|offered| {
            let strong = if weakly { offered.trim_start_matches("W/") } else { offered };
            let tag = strong.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            offered == "*" || tag.is_some_and(|tag| tag.strip_suffix(COMPRESSED).unwrap_or(tag) == self.tag)
        })
    }

    fn whole_seconds(&self) -> SystemTime {
        let since = self.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        UNIX_EPOCH + Duration::from_secs(since.as_secs())
    }
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(pairs: &[(HeaderName, &str)]) -> (Verdict, bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value.parse().unwrap());
        }
        // Half a second after the full one, as files are.
        let modified = UNIX_EPOCH + Duration::from_millis(1_000_000_500);
        let conditions = Conditions { tag: "v", modified };
        (conditions.judge(&headers), conditions.allow_range(&headers))
    }

    #[test]
    fn conditions_are_judged_in_the_order_of_the_standard() {
        use header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
        let (then, before) = ("Mon, 12 Jan 1970 13:46:40 GMT", "Mon, 12 Jan 1970 13:46:39 GMT");
        for (pairs, expected) in [
            (&[][..], Verdict::Go),
            (&[(IF_MATCH, "\"v\"")], Verdict::Go),
            (&[(IF_MATCH, "*")], Verdict::Go),
            (&[(IF_MATCH, "\"v-gzip\"")], Verdict::Go),
            (&[(IF_MATCH, "W/\"v\"")], Verdict::Failed),
            (&[(IF_MATCH, "\"x\", \"y\"")], Verdict::Failed),
            (&[(IF_NONE_MATCH, "\"x\", W/\"v\"")], Verdict::NotModified),
            (&[(IF_NONE_MATCH, "\"x\"")], Verdict::Go),
            (&[(IF_MODIFIED_SINCE, then)], Verdict::NotModified),
            (&[(IF_MODIFIED_SINCE, before)], Verdict::Go),
            (&[(IF_MODIFIED_SINCE, "yesterday")], Verdict::Go),
            (&[(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, then)], Verdict::Go),
            (&[(IF_UNMODIFIED_SINCE, before)], Verdict::Failed),
            (&[(IF_MATCH, "\"v\""), (IF_UNMODIFIED_SINCE, before)], Verdict::Go),
        ] {
            assert_eq!(judge(pairs).0, expected, "{pairs:?}");
        }
        for (value, allowed) in [("\"v\"", true), ("\"x\"", false), ("W/\"v\"", false), (then, false)] {
            assert_eq!(judge(&[(header::IF_RANGE, value)]).1, allowed, "{value}");
        }
    }
}
