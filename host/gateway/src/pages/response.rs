//! What a plugin may say to a browser, which takes the host and all its plugins for one site.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{Visitor, cookies, request::remove_hop_by_hop};

/// A document of a plugin gets an origin of its own, which the host's `Origin` check refuses: its scripts run, and cannot act
/// on the host, or on other plugins, in the name of whoever looks at it.
const SANDBOX: HeaderValue =
    HeaderValue::from_static("sandbox allow-scripts allow-forms allow-modals allow-popups allow-downloads");

/// What would be about the whole host, not about one answer.
const ABOUT_THE_HOST: &[&str] = &[
    "alt-svc",
    "clear-site-data",
    "nel",
    "origin-agent-cluster",
    "public-key-pins",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "strict-transport-security",
];

/// Confines an answer to the plugin's own corner.
pub(super) fn confine(headers: &mut HeaderMap, visitor: &Visitor) {
    remove_hop_by_hop(headers);
    for name in ABOUT_THE_HOST {
        headers.remove(*name);
    }
    cookies::confine(headers, &visitor.prefix);
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        move_below(headers, &name, &visitor.prefix);
    }
    if !visitor.page.rules().same_origin {
        // Beside the plugin's own policy, if it has one: a browser obeys both.
        headers.append(header::CONTENT_SECURITY_POLICY, SANDBOX);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("same-origin"));
}

/// A path from the root means the plugin's root. Complete addresses and relative ones stay as they are.
fn move_below(headers: &mut HeaderMap, name: &HeaderName, prefix: &str) {
    let Some(target) = headers.get(name).and_then(|value| value.to_str().ok()) else { return };
    if target.starts_with('/') && !target.starts_with("//") {
        match HeaderValue::from_str(&cookies::below(target, prefix)) {
            Ok(moved) => _ = headers.insert(name, moved),
            Err(_) => _ = headers.remove(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_from_the_root_is_below_the_plugins_root() {
        for (given, expected) in [
            ("/login?next=/", "/p/spell/login?next=/"),
            ("/p/spell/login", "/p/spell/login"),
            ("login", "login"),
            ("//elsewhere.example/", "//elsewhere.example/"),
            ("https://elsewhere.example/", "https://elsewhere.example/"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::LOCATION, HeaderValue::from_static(given));
            move_below(&mut headers, &header::LOCATION, "/p/spell");
            assert_eq!(headers[header::LOCATION], expected, "{given}");
        }
    }
}
