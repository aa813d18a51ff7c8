//! What is kept of an issued token.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use midplane_model::{Principal, Scope, event::rfc3339};
use serde::{Deserialize, Serialize, de};
use serde_json::{Value, json};

/// An issued token without its secret. Unknown members are refused when it is read: a newer host may have kept what this
/// one would lose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRecord {
    pub id: Arc<str>,
    /// Name of the principal.
    pub name: Arc<str>,
    #[serde(with = "hex")]
    pub(crate) sha256: [u8; 32],
    #[serde(serialize_with = "write_scopes", deserialize_with = "read_scopes")]
    pub(crate) scopes: Vec<Scope>,
    /// Milliseconds since 1970-01-01 UTC.
    created_ms: u64,
    expires_ms: Option<u64>,
}

impl TokenRecord {
    pub(crate) fn new(
        id: Arc<str>,
        name: &str,
        sha256: [u8; 32],
        scopes: Vec<Scope>,
        expires_at: Option<SystemTime>,
    ) -> Self {
        let created_ms = millis(SystemTime::now());
        Self { id, name: name.into(), sha256, scopes, created_ms, expires_ms: expires_at.map(millis) }
    }

    pub(crate) fn principal(&self) -> Principal {
        Principal { name: self.name.clone(), scopes: self.scopes.iter().cloned().collect() }
    }

    pub(crate) fn expires_at(&self) -> Option<SystemTime> {
        self.expires_ms.map(time)
    }

    /// As `auth.list_tokens` shows it.
    pub(crate) fn describe(&self) -> Value {
        let scopes: Vec<String> = self.scopes.iter().map(ToString::to_string).collect();
        json!({
            "id": self.id, "name": self.name, "scopes": scopes, "created_at": rfc3339(time(self.created_ms)),
            "expires_at": self.expires_at().map(rfc3339),
        })
    }
}

fn millis(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// A time that no clock reaches is as good as none.
fn time(millis: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(UNIX_EPOCH)
}

fn write_scopes<S: serde::Serializer>(scopes: &[Scope], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(scopes.iter().map(ToString::to_string))
}

fn read_scopes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Scope>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| Scope::parse(text).map_err(|fault| de::Error::custom(fault.message))).collect()
}

mod hex {
    use std::fmt::Write as _;

    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(64);
        for byte in bytes {
            // Writing to a string cannot fail.
            _ = write!(text, "{byte:02x}");
        }
        serializer.serialize_str(&text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || de::Error::custom("a SHA-256 is 64 hexadecimal digits");
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| wrong())?;
        }
        Ok(bytes)
    }
}
