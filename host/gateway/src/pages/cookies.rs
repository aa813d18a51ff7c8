//! Cookies of plugins beside the host's own: neither gets to see, or to take the place of, the other's.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};

/// Every name of this kind is a host's. Cookies do not know ports, so those of other hosts on this machine come along too.
pub(crate) const OUR_NAMES: &str = "midplane_";

/// Prefixes with which a browser takes only cookies for the whole host.
const WHOLE_HOST: &[&str] = &["__host-", "__http-", "__host-http-"];

fn is_ours(name: &str) -> bool {
    name.trim().get(..OUR_NAMES.len()).is_some_and(|start| start.eq_ignore_ascii_case(OUR_NAMES))
}

/// Takes out of a request the host's cookies, and those that are credentials for it.
pub(super) fn remove_ours(headers: &mut HeaderMap, credentials: &[Arc<str>]) {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for value in headers.get_all(header::COOKIE) {
        for pair in value.as_bytes().split(|byte| *byte == b';') {
            let pair = pair.trim_ascii();
            let ours = pair.get(..OUR_NAMES.len()).is_some_and(|s| s.eq_ignore_ascii_case(OUR_NAMES.as_bytes()));
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii_end();
            let ours = ours || credentials.iter().any(|credential| credential.as_bytes() == name);
            if !ours && !pair.is_empty() {
                kept.push(pair.to_vec());
            }
        }
    }
    headers.remove(header::COOKIE);
    if let (false, Ok(value)) = (kept.is_empty(), HeaderValue::from_bytes(&kept.join(&b"; "[..]))) {
        headers.insert(header::COOKIE, value);
    }
}

/// Confines the cookies that an answer sets to `{prefix}/`. Those that cannot be confined are left out.
pub(super) fn confine(headers: &mut HeaderMap, prefix: &str) {
    let header::Entry::Occupied(entry) = headers.entry(header::SET_COOKIE) else { return };
    let (name, values) = entry.remove_entry_mult();
    let confined: Vec<HeaderValue> = values.filter_map(|value| confined(&value, prefix)).collect();
    for value in confined {
        headers.append(name.clone(), value);
    }
}

fn confined(value: &HeaderValue, prefix: &str) -> Option<HeaderValue> {
    let text = std::str::from_utf8(value.as_bytes()).ok()?;
    let mut attributes = text.split(';').map(str::trim);
    let pair = attributes.next()?;
    // A cookie without a name is sent as its value alone, which could read like a name and a value.
    let (cookie, _) = pair.split_once('=').filter(|(name, _)| !name.trim().is_empty())?;
    let lower = cookie.trim().to_ascii_lowercase();
    if is_ours(cookie) || WHOLE_HOST.iter().any(|whole| lower.starts_with(whole)) {
        return None;
    }
    let (mut path, mut kept) = (None, vec![pair]);
    for attribute in attributes.filter(|attribute| !attribute.is_empty()) {
        let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        match key.trim().to_ascii_lowercase().as_str() {
            "path" => path = Some(value.trim()),
            // Would send it to other hosts.
            "domain" => {}
            _ => kept.push(attribute),
        }
    }
    let path = format!("Path={}", below(path.unwrap_or("/"), prefix));
    kept.push(&path);
    HeaderValue::from_str(&kept.join("; ")).ok()
}

/// An absolute path as the plugin means it: below its root, or already with the prefix.
pub(super) fn below(path: &str, prefix: &str) -> String {
    if path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/')) {
        path.to_owned()
    } else if path.starts_with('/') {
        format!("{prefix}{path}")
    } else {
        format!("{prefix}/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Option<String> {
        confined(&HeaderValue::from_str(text).unwrap(), "/p/spell").map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_cookie_is_for_the_plugins_own_pages() {
        for (given, expected) in [
            ("a=1", "a=1; Path=/p/spell/"),
            ("a=1; Path=/; HttpOnly", "a=1; HttpOnly; Path=/p/spell/"),
            ("a=1; path=/admin; Secure", "a=1; Secure; Path=/p/spell/admin"),
            ("a=1; Path=/p/spell/admin", "a=1; Path=/p/spell/admin"),
            ("a=1; Path=/p/spelling", "a=1; Path=/p/spell/p/spelling"),
            ("a=1; Path=/x; Path=/p/other/", "a=1; Path=/p/spell/p/other/"),
            ("a=1; Domain=example.com; Max-Age=5", "a=1; Max-Age=5; Path=/p/spell/"),
            ("a=b=c; Path", "a=b=c; Path=/p/spell/"),
        ] {
            assert_eq!(set(given).as_deref(), Some(expected), "{given}");
        }
    }

    #[test]
    fn nothing_takes_the_place_of_the_hosts_cookie() {
        for given in [
            "midplane_7420=x",
            "Midplane_7420=x",
            " midplane_7420 =x",
            "=midplane_7420=x",
            "midplane_7420",
            "",
            "__Host-a=1; Secure; Path=/",
            "__HOST-a=1",
        ] {
            assert_eq!(set(given), None, "{given:?}");
        }
    }

    #[test]
    fn the_hosts_cookies_do_not_reach_a_plugin() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; midplane_7420=secret;b=2; sso=secret; sso2=3"));
        headers.append(header::COOKIE, HeaderValue::from_static("midplane_7421=other"));
        remove_ours(&mut headers, &["sso".into()]);
        assert_eq!(headers.get_all(header::COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; sso2=3"]);
        headers.insert(header::COOKIE, HeaderValue::from_static("midplane_7420=secret"));
        remove_ours(&mut headers, &[]);
        assert!(!headers.contains_key(header::COOKIE));
    }
}
