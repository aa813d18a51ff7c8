//! The manifest's table `[http]`.

use std::time::Duration;

use midplane_model::{
    PageAccess, Scope,
    limits::{PAGE_IDLE_DEFAULT, PAGE_IDLE_MAX, PAGES_IN_FLIGHT_DEFAULT, PAGES_IN_FLIGHT_MAX},
};
use serde::Deserialize;

/// Who may see the plugin's pages, and how many at a time.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    pub access: PageAccess,
    /// Requests that are served at the same time; one more is `unavailable`.
    pub in_flight: usize,
    /// Time in which no body moves, after which an answer is cut off.
    pub idle: Duration,
}

/// The table as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct RawHttp {
    scope: Option<String>,
    public: bool,
    max_concurrency: Option<usize>,
    idle_ms: Option<u64>,
}

impl RawHttp {
    /// # Errors
    /// The key below `http` and what is wrong with its value.
    pub fn check(self) -> Result<HttpSettings, (&'static str, String)> {
        let access = match (self.scope.as_deref(), self.public) {
            (None, false) => PageAccess::ByMethod,
            (None, true) => PageAccess::Public,
            (Some(_), true) => return Err(("scope", "public pages need no scope; leave one of the two out".into())),
            (Some(text), false) => PageAccess::Scope(Scope::parse(text).map_err(|fault| ("scope", fault.message))?),
        };
        let in_flight = self.max_concurrency.unwrap_or(PAGES_IN_FLIGHT_DEFAULT);
        if !(1..=PAGES_IN_FLIGHT_MAX).contains(&in_flight) {
            return Err(("max_concurrency", format!("must be between 1 and {PAGES_IN_FLIGHT_MAX}")));
        }
        let idle = self.idle_ms.map_or(PAGE_IDLE_DEFAULT, Duration::from_millis);
        if idle.is_zero() || idle > PAGE_IDLE_MAX {
            return Err(("idle_ms", format!("must be between 1 and {}", PAGE_IDLE_MAX.as_millis())));
        }
        Ok(HttpSettings { access, in_flight, idle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<HttpSettings, (&'static str, String)> {
        toml::from_str::<RawHttp>(text).unwrap().check()
    }

    #[test]
    fn pages_are_for_credentials_unless_the_manifest_says_otherwise() {
        assert_eq!(check("").unwrap().access, PageAccess::ByMethod);
        assert_eq!(check("scope = \"read\"").unwrap().access, PageAccess::Scope(Scope::Read));
        assert_eq!(check("public = true").unwrap().access, PageAccess::Public);
        assert!(toml::from_str::<RawHttp>("publik = true").is_err());
    }

    #[test]
    fn a_value_that_means_nothing_is_named() {
        for (text, key) in [
            ("scope = \"root\"", "scope"),
            ("scope = \"read\"\npublic = true", "scope"),
            ("max_concurrency = 0", "max_concurrency"),
            ("max_concurrency = 100000", "max_concurrency"),
            ("idle_ms = 0", "idle_ms"),
            ("idle_ms = 36000000", "idle_ms"),
        ] {
            assert_eq!(check(text).unwrap_err().0, key, "{text}");
        }
    }
}
