//! JSON at the edge of a plugin: `midplane:host/types.json` is text inside the component and the value itself outside.

use serde::{Serialize, de::DeserializeOwned};

use crate::Error;

/// The value of a JSON parameter.
///
/// # Errors
/// `invalid_params` that names `path` (`params.layout`) when the text does not fit `T`.
pub fn parse<T: DeserializeOwned>(path: &str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::invalid_params(path, format!("{path}: {error}")))
}

/// A value as JSON text.
///
/// # Errors
/// `internal` when the value has no JSON form (a map whose keys are no strings).
pub fn text<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::internal(format!("no JSON form: {error}")))
}

/// A value as the bytes that [`storage`](crate::host::storage) keeps.
///
/// # Errors
/// `internal` when the value has no JSON form.
pub fn bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::internal(format!("no JSON form: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_does_not_fit_names_its_place() {
        let error = parse::<u32>("params.size", r#""x""#).unwrap_err();
        assert_eq!(error.code, "invalid_params");
        assert_eq!(error.details_object()["path"], "params.size");
    }
}
