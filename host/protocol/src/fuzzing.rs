//! Messages of strangers, for the fuzz targets in `fuzz/` and for what they have found. Part of the crate only under
//! `cfg(fuzzing)` and in tests.

use bytes::Bytes;
use midplane_model::{ErrorCode, Fault, Positions};
use serde_json::{json, value::RawValue};

use crate::{Incoming, Item, decode_frame, encode_frame, failure, parse, success};

/// A text frame.
pub fn envelope(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parse(text) {
        Err(fault) => assert!([ErrorCode::ParseError, ErrorCode::InvalidRequest].contains(&fault.code), "{fault:?}"),
        Ok(Incoming::Single(item)) => check(&item),
        Ok(Incoming::Batch(items)) => items.iter().for_each(check),
    }
}

fn check(item: &Item) {
    let id = match item {
        Item::Request(id, invocation) => {
            let again = json!({ "jsonrpc": "2.0", "method": invocation.method, "params": invocation.params });
            let id_text = id.as_json();
            let mut text = again.to_string();
            text.insert_str(1, &format!("\"id\":{id_text},"));
            if invocation.params.is_null() {
                text = text.replace(",\"params\":null", "");
            }
            let Ok(Incoming::Single(Item::Request(same, same_invocation))) = parse(&text) else {
                panic!("{text} is the same request in other words");
            };
            assert!(same == *id && same_invocation.method == invocation.method, "{text}");
            assert_eq!(same_invocation.params, invocation.params);
            id
        }
        Item::Cancel(id) | Item::Invalid(id, _) => id,
        Item::Notification(_) | Item::Ignored => return,
    };
    // Whoever is answered can read the answer, and who receives one has nothing to do.
    for answer in [success(id, RawValue::NULL, &Positions::new()), failure(id, "r-1", &Fault::internal())] {
        // Raw, because an id is echoed as it was written: a number may be beyond what a value holds.
        assert!(serde_json::from_str::<&RawValue>(&answer).is_ok(), "{answer}");
        assert!(matches!(parse(&answer), Ok(Incoming::Single(Item::Ignored))), "{answer}");
    }
}

/// A binary frame.
pub fn frame(bytes: &[u8]) {
    let wire = Bytes::copy_from_slice(bytes);
    if let Ok((kind, channel, frame)) = decode_frame(wire.clone()) {
        assert_eq!(encode_frame(kind, channel, &frame), Ok(wire), "a frame has one form");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    include!("../../../fuzz/run_again.rs");

    #[test]
    fn messages_that_were_found_do_no_harm() {
        run_again("envelope", envelope);
    }

    #[test]
    fn frames_that_were_found_do_no_harm() {
        run_again("frame", frame);
    }
}
