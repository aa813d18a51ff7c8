//! Requests of strangers, for the fuzz target in `fuzz/` and for what it has found. Part of the crate only under
//! `cfg(fuzzing)` and in tests.

use std::sync::{Arc, OnceLock};

use axum::http::{HeaderMap, HeaderValue, header};
use midplane_model::schema::Function;
use midplane_protocol::parse_value;

use super::{params::Given, segments};

/// A function with every kind of parameter.
const WIT: &str = "
    package test:rest@0.1.0;
    interface types { type json = string; }
    interface probe {
        use types.{json};
        enum mode { read-only, all }
        flags marks { red, dark-blue }
        variant choice { none, some(u32), text(string) }
        record range { start: u32, end: option<u32> }
        run: func(
            id: string, yes: bool, small: u8, wide: s64, half: f32, sign: char, mode: mode, marks: marks, choice: choice,
            range: option<range>, names: list<string>, bytes: list<u8>, pairs: list<tuple<u32, string>>, any: json,
            outcome: result<u32, string>, if-version: option<string>,
        );
    }
";

fn function() -> Arc<Function> {
    static FUNCTION: OnceLock<Arc<Function>> = OnceLock::new();
    let read = || {
        let interfaces = midplane_router::interfaces_of_packages(&[vec![("probe.wit", WIT)]]);
        let interfaces = interfaces.unwrap_or_else(|error| panic!("{error}"));
        let probe = interfaces.iter().find(|interface| &*interface.name == "probe");
        probe.and_then(|probe| probe.functions.first()).unwrap_or_else(|| panic!("run")).clone()
    };
    FUNCTION.get_or_init(read).clone()
}

/// Path, query, `If-Match` and body, with a line feed after each of the first three.
pub fn request(bytes: &[u8]) {
    let mut parts = bytes.splitn(4, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (path, query, tag, body) = (part(), part(), part(), part());
    let (function, mut given) = (function(), Given::default());
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    if let Ok(tag) = HeaderValue::from_bytes(tag)
        && !tag.is_empty()
    {
        headers.insert(header::IF_MATCH, tag);
    }
    let path = String::from_utf8_lossy(path);
    let Ok(segments) = segments(&format!("{}/{path}", super::REST_PREFIX)) else { return };
    assert_eq!(segments.len(), path.split('/').count() + 1, "an encoded slash is part of a segment");
    let found = segments.last().map(|last| ("id".into(), last.clone()));
    let gathered = given
        .path(&function, found.as_slice())
        .and_then(|()| given.query(&function, &String::from_utf8_lossy(query)))
        .and_then(|()| given.body(&headers, body))
        .and_then(|()| given.if_match(&function, &headers));
    match gathered {
        Ok(()) => {
            let params = given.into_params();
            assert_eq!(parse_value(&params.to_string()).as_ref(), Ok(&params), "what is gathered is JSON of the host");
        }
        Err(fault) => assert!(fault.code.http_status() < 500, "{fault:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    include!("../../../../fuzz/run_again.rs");

    #[test]
    fn requests_that_were_found_do_no_harm() {
        run_again("rest", request);
    }
}
