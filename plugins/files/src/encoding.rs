//! Between the bytes of a file and the strings of JSON, and between a client's range and an offset with a length.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use midplane_sdk::Error;

/// What to read.
#[derive(Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub offset: u64,
    /// Bytes; none reads to the end.
    pub length: Option<u64>,
}

impl Span {
    /// The bytes from `start` up to, not including, `end`; none is the whole file.
    ///
    /// # Errors
    /// `invalid_params` when `end` is before `start`.
    pub fn of(range: Option<(u64, Option<u64>)>) -> Result<Self, Error> {
        let Some((start, end)) = range else { return Ok(Self { offset: 0, length: None }) };
        let length = match end {
            None => None,
            Some(end) => Some(end.checked_sub(start).ok_or_else(|| {
                let message = format!("params.range.end: must not be before start {start}, got {end}");
                Error::invalid_params("params.range.end", message)
            })?),
        };
        Ok(Self { offset: start, length })
    }
}

/// Bytes as text.
///
/// # Errors
/// `invalid_params` with the remedy when they are no UTF-8.
pub fn text(path: &str, bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let message = format!("{path} is no UTF-8 text (byte {at} of what was read); read it with encoding \"base64\"");
        Error::invalid_params("params.encoding", message).with("offset", at)
    })
}

pub fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// The bytes to write, from exactly one of the two parameters.
///
/// # Errors
/// `invalid_params` when there is none, or both, or no base64.
pub fn content(content: Option<String>, content_base64: Option<String>) -> Result<Vec<u8>, Error> {
    match (content, content_base64) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(text)) => BASE64.decode(text).map_err(|error| {
            Error::invalid_params("params.content_base64", format!("params.content_base64: no base64: {error}"))
        }),
        (None, None) => Err(Error::invalid_params(
            "params.content",
            "params.content: give content or content_base64; there is neither",
        )),
        (Some(_), Some(_)) => {
            Err(Error::invalid_params("params.content", "params.content: give content or content_base64, not both"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_half_open_and_may_be_empty_but_not_backwards() {
        assert_eq!(Span::of(Some((2, Some(5)))).unwrap(), Span { offset: 2, length: Some(3) });
        assert_eq!(Span::of(Some((2, Some(2)))).unwrap(), Span { offset: 2, length: Some(0) });
        assert_eq!(Span::of(Some((2, None))).unwrap(), Span { offset: 2, length: None });
        let error = Span::of(Some((2, Some(1)))).unwrap_err();
        assert_eq!(error.details_object()["path"], "params.range.end");
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_with_the_remedy() {
        assert_eq!(text("a", "gr\u{fc}n".into()).unwrap(), "gr\u{fc}n");
        let error = text("a.bin", vec![b'a', 0xff]).unwrap_err();
        assert!(error.message.contains("base64"), "{}", error.message);
        assert_eq!(error.details_object()["offset"], 1);
    }

    #[test]
    fn exactly_one_content_is_taken() {
        assert_eq!(content(Some("a".into()), None).unwrap(), b"a");
        assert_eq!(content(None, Some("AP8=".into())).unwrap(), [0, 255]);
        assert_eq!(content(None, Some("?".into())).unwrap_err().details_object()["path"], "params.content_base64");
        for (a, b) in [(None, None), (Some(String::new()), Some(String::new()))] {
            assert_eq!(content(a, b).unwrap_err().code, "invalid_params");
        }
    }
}
