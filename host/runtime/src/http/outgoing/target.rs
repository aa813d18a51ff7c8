//! Where a request goes: a name or an address, a port, and whether TLS protects it.

use std::{fmt, net::IpAddr};

use http::{Uri, uri::Scheme};

/// The host of a request or of a grant, in the one form in which two of them can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// In lower case.
    Name(String),
    Address(IpAddr),
}

impl Host {
    /// Reads `api.example.com`, `127.0.0.1` or `[::1]`; none for anything else, above all for the other ways of writing an
    /// address (`127.1`, `0x7f000001`), which resolvers understand and nobody reads in a grant.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(inside) = text.strip_prefix('[') {
            return inside.strip_suffix(']')?.parse().ok().map(Self::Address);
        }
        if let Ok(address) = text.parse::<std::net::Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        let name = text.to_ascii_lowercase();
        let word = |label: &str| {
            !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
        };
        let last = name.rsplit('.').next().unwrap_or_default();
        let number = last.starts_with("0x") || last.bytes().all(|c| c.is_ascii_digit());
        (name.len() <= 253 && name.split('.').all(word) && !number).then_some(Self::Name(name))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub host: Host,
    pub port: u16,
    pub tls: bool,
}

impl Target {
    /// None for what names no server clearly: no host, a user beside it, a port that is none.
    pub fn of(uri: &Uri) -> Option<Self> {
        let authority = uri.authority()?;
        let text = authority.as_str();
        let tls = uri.scheme() == Some(&Scheme::HTTPS);
        let host = Host::parse(authority.host())?;
        let port = match text.strip_prefix(authority.host())? {
            "" if tls => 443,
            "" => 80,
            port => port.strip_prefix(':')?.parse().ok()?,
        };
        Some(Self { host, port, tls })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> Option<String> {
        Target::of(&uri.parse().ok()?).map(|target| format!("{target} {}", target.tls))
    }

    #[test]
    fn a_target_has_one_form() {
        for (uri, expected) in [
            ("https://API.Example.com/x", "api.example.com:443 true"),
            ("http://example.com", "example.com:80 false"),
            ("https://example.com:8443/", "example.com:8443 true"),
            ("http://127.0.0.1:80/", "127.0.0.1:80 false"),
            ("http://[::1]:8080/", "[::1]:8080 false"),
            ("http://[0:0::1]/", "[::1]:80 false"),
        ] {
            assert_eq!(target(uri).as_deref(), Some(expected), "{uri}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_no_target() {
        for uri in [
            "https://api.example.com@evil.example/",
            "https://user:secret@api.example.com/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0x0.0x0.0x1/",
            "http://example.com./",
            "http://example..com/",
            "http://example.com:0x50/",
            "/only/a/path",
        ] {
            assert_eq!(target(uri), None, "{uri}");
        }
    }
}
