//! What a call asks for, as a number: equal for calls that ask for the same.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub(super) type Content = [u8; 32];

/// Of a method and its parameters. The order of members means nothing, every other difference does.
pub(super) fn of(method: &str, params: &Value) -> Content {
    let mut hasher = Sha256::new();
    text(&mut hasher, method);
    value(&mut hasher, params);
    hasher.finalize().into()
}

/// Every value is told apart from every other by its kind and its length, so that no two lists of values look alike.
fn value(hasher: &mut Sha256, any: &Value) {
    match any {
        Value::Null => hasher.update(b"0"),
        Value::Bool(false) => hasher.update(b"f"),
        Value::Bool(true) => hasher.update(b"t"),
        Value::Number(number) => {
            hasher.update(b"n");
            text(hasher, &number.to_string());
        }
        Value::String(string) => {
            hasher.update(b"s");
            text(hasher, string);
        }
        Value::Array(items) => {
            hasher.update(b"a");
            hasher.update((items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| value(hasher, item));
        }
        Value::Object(members) => {
            hasher.update(b"o");
            hasher.update((members.len() as u64).to_le_bytes());
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            for (name, member) in sorted {
                text(hasher, name);
                value(hasher, member);
            }
        }
    }
}

fn text(hasher: &mut Sha256, text: &str) {
    hasher.update((text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_order_of_members_means_nothing() {
        let same = of("m", &json!({"a": 1, "b": {"c": [1, "x"], "d": null}}));
        assert_eq!(same, of("m", &json!({"b": {"d": null, "c": [1, "x"]}, "a": 1})));
        for other in [
            of("n", &json!({"a": 1, "b": {"c": [1, "x"], "d": null}})),
            of("m", &json!({"a": 1, "b": {"c": ["x", 1], "d": null}})),
            of("m", &json!({"a": "1", "b": {"c": [1, "x"], "d": null}})),
            of("m", &json!({"a": 1, "b": {"c": [1, "x"], "d": false}})),
            of("m", &json!({"a": 1, "b": {"c": [1, "x"]}, "d": null})),
            of("m", &json!([{"a": 1}])),
        ] {
            assert_ne!(same, other);
        }
    }
}
