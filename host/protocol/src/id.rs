//! Request ids, kept as they were written.

use std::{borrow::Cow, fmt};

use midplane_model::{Fault, limits::ID_BYTES_MAX};
use serde_json::value::RawValue;

use crate::envelope::invalid;

/// The id of a request: the lexeme the client sent, echoed untouched. A number never passes through a float, so
/// `1.0`, `1e3` and integers beyond 64 bits come back as they were.
#[derive(Clone)]
pub struct Id(Box<RawValue>);

impl Id {
    /// The id of answers to what had no usable id.
    #[must_use]
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    /// Takes a JSON value as an id.
    ///
    /// # Errors
    /// `invalid_request` for anything but null, a number, or a string of at most `ID_BYTES_MAX` bytes.
    pub(crate) fn from_raw(raw: &RawValue) -> Result<Self, Fault> {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'n' | b'-' | b'0'..=b'9') if text.len() <= ID_BYTES_MAX => Ok(Self(raw.to_owned())),
            Some(b'"') => {
                let decoded: Cow<'_, str> =
                    serde_json::from_str(text).map_err(|_| invalid("id is a string with a broken escape"))?;
                if decoded.len() > ID_BYTES_MAX {
                    return Err(invalid(format!("a string id has at most {ID_BYTES_MAX} bytes")));
                }
                Ok(Self(raw.to_owned()))
            }
            Some(b'n' | b'-' | b'0'..=b'9') => Err(invalid(format!("an id has at most {ID_BYTES_MAX} bytes"))),
            _ => Err(invalid("id must be a string, a number or null")),
        }
    }

    /// The lexeme, ready to be put into an answer.
    #[must_use]
    pub fn as_json(&self) -> &str {
        self.0.get()
    }
}

/// Ids are the same when a client would call them so: strings by their decoded text, numbers by their lexeme.
impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.as_json() == other.as_json()
            || match (serde_json::from_str::<String>(self.as_json()), serde_json::from_str::<String>(other.as_json())) {
                (Ok(mine), Ok(theirs)) => mine == theirs,
                _ => false,
            }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(json: &str) -> Id {
        Id::from_raw(serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn the_same_string_is_the_same_id_however_it_is_escaped() {
        assert_eq!(id(r#""a""#), id(r#""\u0061""#));
        assert_ne!(id(r#""1""#), id("1"));
        assert_ne!(id("1.0"), id("1"));
    }
}
