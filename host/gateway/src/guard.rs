//! Whether a request was meant for this host and may come from where it does: `Host` and `Origin`, before anything else.
//!
//! A page of another site can make a browser send requests here, and a name that resolves to loopback makes them look
//! local. The first is refused by `Origin` and `Sec-Fetch-Site`, the second by `Host`.

use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use midplane_model::ErrorCode;

use crate::{config::GatewayConfig, problem::Problem};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The hosts and origins that are ours.
pub(crate) struct Guard {
    /// Lower case, with port unless it is the scheme's own.
    hosts: Vec<String>,
    origins: Vec<String>,
    scheme: &'static str,
}

impl Guard {
    pub(crate) fn new(config: &GatewayConfig) -> Self {
        let (scheme, own_port) = if config.behind_tls { ("https", 443) } else { ("http", 80) };
        let port = config.listen.port();
        let mut names = vec![match config.listen.ip() {
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
            std::net::IpAddr::V4(ip) => ip.to_string(),
        }];
        if config.listen.ip().is_loopback() || config.listen.ip().is_unspecified() {
            names.extend(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned));
        }
        let mut hosts: Vec<String> = names.iter().map(|name| format!("{name}:{port}")).collect();
        if port == own_port {
            hosts.extend(names);
        }
        hosts.extend(config.allowed_hosts.iter().map(|host| host.to_ascii_lowercase()));
        Self { hosts, origins: config.allowed_origins.clone(), scheme }
    }

    /// # Errors
    /// 421 for a host that is not ours; 403 for a foreign origin.
    pub(crate) fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let host = self.check_host(uri, headers)?;
        self.check_origin(&host, headers)?;
        check_fetch_site(method, headers)
    }

    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<String, Problem> {
        let refused = || {
            let detail = "this host does not answer under that name; start it with the name among its allowed hosts";
            Problem::with_status(StatusCode::MISDIRECTED_REQUEST, ErrorCode::InvalidRequest, detail)
        };
        let mut values = headers.get_all(header::HOST).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Err(refused()) };
        let host = value.to_str().map_err(|_| refused())?.to_ascii_lowercase();
        // An absolute request target names a host too, and another reader may believe that one.
        let target = uri.authority().map(|authority| authority.as_str().to_ascii_lowercase());
        let same = target.is_none_or(|target| target == host);
        if same && self.hosts.contains(&host) { Ok(host) } else { Err(refused()) }
    }

    /// The origin must be the one this request was sent to, or one that was allowed by name; `null` is neither.
    fn check_origin(&self, host: &str, headers: &HeaderMap) -> Result<(), Problem> {
        let own = format!("{}://{host}", self.scheme);
        for origin in headers.get_all(header::ORIGIN) {
            let origin = origin.to_str().unwrap_or("null");
            if origin != own && !self.origins.iter().any(|allowed| allowed == origin) {
                return Err(Problem::new(ErrorCode::Forbidden, "requests of this origin are not allowed"));
            }
        }
        Ok(())
    }
}

/// The local socket has no name that could be another's; a page has no way to it, so whatever has an origin pretends.
///
/// # Errors
/// 403.
pub(crate) fn check_local(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(header::ORIGIN) {
        return Err(Problem::new(ErrorCode::Forbidden, "the local socket is for programs, not for pages"));
    }
    Ok(())
}

/// Whether a browser says that another site made it send this.
pub(crate) fn is_cross_site(headers: &HeaderMap) -> bool {
    headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site")
}

/// Browsers say where a request comes from even where they send no `Origin`. With one, [`Guard::check_origin`] has decided:
/// an origin that was allowed by name is another site.
fn check_fetch_site(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if is_cross_site(headers)
        && !headers.contains_key(header::ORIGIN)
        && method != Method::GET
        && method != Method::HEAD
    {
        return Err(Problem::new(ErrorCode::Forbidden, "other sites may not send this request"));
    }
    Ok(())
}
