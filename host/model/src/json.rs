//! JSON values of parameters, read strictly: with two refusals that `serde_json` does not know, of keys that are there twice,
//! and of nesting beyond the host's own bound. Two readers that disagree about a text are a way to smuggle one past the other,
//! so what clients send and what plugins send is read here alike.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::limits::JSON_DEPTH_MAX;

/// Whether arrays and objects nest deeper than `limit`. One pass over the bytes, no recursion; says nothing about syntax.
#[must_use]
pub fn deeper_than(text: &str, limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Parses a JSON value.
///
/// # Errors
/// A sentence: no JSON, a key that is there twice, or nesting beyond `JSON_DEPTH_MAX`.
pub fn parse_strictly(text: &str) -> Result<Value, String> {
    if deeper_than(text, JSON_DEPTH_MAX) {
        return Err(format!("JSON nests at most {JSON_DEPTH_MAX} levels"));
    }
    serde_json::from_str(text).map(|Strict(value)| value).map_err(|error| error.to_string())
}

/// A value none of whose objects has a key twice.
pub struct Strict(pub Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key {key:?} is there twice")));
            }
            let Strict(value) = map.next_value()?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_are_no_nesting() {
        assert!(!deeper_than(r#"["[[[[\"[[[", {}]"#, 2));
        assert!(deeper_than("[[[]]]", 2));
        assert!(!deeper_than("[][][]", 1));
    }

    #[test]
    fn values_come_through_as_they_are() {
        let json = r#"{"b":[1,-2,3.5,18446744073709551615,null,true,"x\n"],"a":{}}"#;
        let Strict(value) = serde_json::from_str(json).unwrap();
        assert_eq!(value.to_string(), json);
        assert!(parse_strictly(r#"[{"a":1,"a":1}]"#).unwrap_err().contains("\"a\" is there twice"));
        assert!(parse_strictly(&"[".repeat(JSON_DEPTH_MAX + 1)).unwrap_err().contains("levels"));
    }
}
