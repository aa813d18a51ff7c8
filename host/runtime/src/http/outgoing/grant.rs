//! One entry of `[grants] http`.

use std::{fmt, net::SocketAddr};

use super::{
    address::is_public,
    target::{Host, Target},
};

/// `api.example.com:443`, `*.example.com:443` (every name below, not the name itself), `10.0.0.7:80`, `[::1]:8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpGrant {
    host: GrantedHost,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum GrantedHost {
    Exactly(Host),
    /// `.example.com`, with the dot.
    Below(String),
}

impl HttpGrant {
    /// # Errors
    /// What is wrong with the text, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no server; write a name or an address with its port, like \"api.example.com:443\"");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        let host = match host.strip_prefix("*.") {
            Some(name) => match Host::parse(name) {
                Some(Host::Name(name)) if name.contains('.') => GrantedHost::Below(format!(".{name}")),
                _ => return Err(wrong()),
            },
            None => GrantedHost::Exactly(Host::parse(host).ok_or_else(wrong)?),
        };
        Ok(Self { host, port })
    }

    pub fn covers(&self, target: &Target) -> bool {
        let host = match (&self.host, &target.host) {
            (GrantedHost::Exactly(granted), host) => granted == host,
            (GrantedHost::Below(suffix), Host::Name(name)) => {
                name.ends_with(suffix.as_str()) && name.len() > suffix.len()
            }
            (GrantedHost::Below(_), Host::Address(_)) => false,
        };
        host && self.port == target.port
    }
}

/// Whether a granted target may be reached at an address that its name resolves to. A public name that leads into this machine
/// or its network is how a stranger reaches what only the inside should (DNS rebinding): then the address must be granted too.
pub fn permits(grants: &[HttpGrant], target: &Target, address: SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    match &target.host {
        Host::Address(_) => true,
        // By definition this machine (RFC 6761), so whoever granted it meant it.
        Host::Name(name) if name == "localhost" || name.ends_with(".localhost") => ip.is_loopback(),
        Host::Name(_) if is_public(ip) => true,
        Host::Name(_) => {
            let literal = Target { host: Host::Address(ip), ..target.clone() };
            grants.iter().any(|grant| grant.covers(&literal))
        }
    }
}

impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            GrantedHost::Exactly(host) => write!(f, "{host}:{}", self.port),
            GrantedHost::Below(suffix) => write!(f, "*{suffix}:{}", self.port),
        }
    }
}

impl serde::Serialize for HttpGrant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(grant: &str, uri: &str) -> bool {
        let target = Target::of(&uri.parse().unwrap());
        target.is_some_and(|target| HttpGrant::parse(grant).unwrap().covers(&target))
    }

    #[test]
    fn a_grant_is_for_one_port_of_one_name_whatever_its_case() {
        assert!(covers("api.example.com:443", "https://API.example.com/any?path"));
        assert!(covers("API.Example.com:443", "https://api.example.com:443/"));
        for uri in [
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://example.com/",
            "https://api.example.com.evil.example/",
            "https://api.example.com@evil.example/",
            "https://evil.example@api.example.com/",
            "https://api-example.com/",
        ] {
            assert!(!covers("api.example.com:443", uri), "{uri}");
        }
    }

    #[test]
    fn a_star_is_for_names_below_only() {
        assert!(
            covers("*.example.com:443", "https://a.example.com/")
                && covers("*.example.com:443", "https://a.b.example.com/")
        );
        for uri in ["https://example.com/", "https://.example.com/", "https://badexample.com/", "http://a.example.com/"]
        {
            assert!(!uri.parse::<http::Uri>().is_ok_and(|_| covers("*.example.com:443", uri)), "{uri}");
        }
    }

    #[test]
    fn an_address_is_granted_only_as_an_address() {
        assert!(covers("127.0.0.1:80", "http://127.0.0.1/") && covers("[::1]:80", "http://[0::1]/"));
        assert!(!covers("localhost:80", "http://127.0.0.1/") && !covers("127.0.0.1:80", "http://localhost/"));
    }

    #[test]
    fn a_public_name_does_not_lead_inside() {
        let grants: Vec<HttpGrant> =
            ["api.example.com:80", "localhost:80"].iter().map(|text| HttpGrant::parse(text).unwrap()).collect();
        let permitted = |grants: &[HttpGrant], uri: &str, address: &str| {
            permits(grants, &Target::of(&uri.parse().unwrap()).unwrap(), address.parse().unwrap())
        };
        assert!(permitted(&grants, "http://api.example.com/", "93.184.215.14:80"));
        for inside in ["127.0.0.1:80", "10.0.0.7:80", "[::1]:80", "[::ffff:127.0.0.1]:80", "169.254.169.254:80"] {
            assert!(!permitted(&grants, "http://api.example.com/", inside), "{inside}");
        }
        assert!(permitted(&grants, "http://localhost/", "127.0.0.1:80"));
        assert!(!permitted(&grants, "http://localhost/", "10.0.0.7:80"));
        let mut both = grants;
        both.push(HttpGrant::parse("10.0.0.7:80").unwrap());
        assert!(permitted(&both, "http://api.example.com/", "10.0.0.7:80"));
        assert!(!permitted(&both, "http://api.example.com/", "10.0.0.8:80"));
    }

    #[test]
    fn what_is_no_server_is_refused_and_the_rest_is_written_as_it_was_read() {
        for text in [
            "example.com",
            "example.com:",
            "example.com:0",
            "example.com:99999",
            "*:443",
            "*.com:443",
            "https://a.b:443",
            "a b:1",
            "127.1:80",
            "u@h.example:80",
            "*.127.0.0.1:80",
        ] {
            assert!(HttpGrant::parse(text).is_err(), "{text}");
        }
        for text in ["example.com:443", "*.example.com:443", "127.0.0.1:80", "[::1]:8080", "localhost:1"] {
            assert_eq!(HttpGrant::parse(text).unwrap().to_string(), text);
        }
    }
}
