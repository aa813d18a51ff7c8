//! Preferences: one JSON object, changed by merge patches (RFC 7396).

use midplane_sdk::Error;
use serde_json::{Map, Value};

use crate::document::{Happened, Workspace};

/// Deepest nesting of a patch; what a message may have.
const DEPTH_MAX: usize = 64;

impl Workspace {
    /// Members replace, null removes, objects are merged.
    ///
    /// # Errors
    /// `invalid_params` when the patch is no object: preferences always are one.
    pub fn update_preferences(&mut self, patch: Value) -> Result<Happened, Error> {
        let Value::Object(patch) = patch else {
            return Err(Error::invalid_params("params.patch", "params.patch: must be an object"));
        };
        let happened = Happened::new("preferences_updated").with("patch", Value::Object(patch.clone()));
        merge(&mut self.preferences, patch, DEPTH_MAX);
        Ok(happened)
    }
}

fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>, depth: usize) {
    for (key, value) in patch {
        match value {
            Value::Null => {
                target.shift_remove(&key);
            }
            Value::Object(patch) if depth > 0 => {
                let member = target.entry(key).or_insert(Value::Null);
                if !member.is_object() {
                    *member = Value::Object(Map::new());
                }
                if let Value::Object(member) = member {
                    merge(member, patch, depth - 1);
                }
            }
            value => {
                target.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::document::tests::workspace;

    /// The cases of RFC 7396, appendix A, whose target and patch are objects.
    #[test]
    fn patches_merge_as_the_rfc_says() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut workspace = workspace();
            workspace.preferences = target.as_object().unwrap().clone();
            workspace.update_preferences(patch.clone()).unwrap();
            assert_eq!(Value::Object(workspace.preferences), result, "{target} with {patch}");
        }
    }

    #[test]
    fn a_patch_that_is_no_object_is_refused_and_changes_nothing() {
        let mut workspace = workspace();
        for patch in [json!(null), json!([1]), json!("x")] {
            assert_eq!(workspace.update_preferences(patch).unwrap_err().code, "invalid_params");
        }
        assert!(workspace.preferences.is_empty());
    }
}
