//! The doors to REST; see `crate::fuzzing`.

use std::sync::{Arc, OnceLock};

use axum::http::{HeaderMap, HeaderValue, Method, header};
use midplane_model::schema::Function;
use midplane_protocol::parse_value;
use midplane_router::Verb;

use crate::problem::Problem;

use super::{params::Given, segments, tus, tus::Tus};

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

/// What an upload is begun and gone on with, in one.
const UPLOADS: &str = "
    package test:uploads@0.1.0;
    interface uploads {
        enum create-mode { never, always, must-not-exist }
        begin: func(
            path: string, size: u64, offset: option<u64>, sha256: option<string>, if-version: option<string>,
            create: option<create-mode>, create-dirs: option<bool>,
        );
    }
";

/// A function of the interfaces above.
fn function(name: &str) -> Arc<Function> {
    static FUNCTIONS: OnceLock<Vec<Arc<Function>>> = OnceLock::new();
    let read = || {
        let interfaces =
            midplane_router::interfaces_of_packages(&[vec![("probe.wit", WIT)], vec![("uploads.wit", UPLOADS)]]);
        let interfaces = interfaces.unwrap_or_else(|error| panic!("{error}"));
        interfaces.into_iter().flat_map(|interface| interface.functions).collect()
    };
    let known = FUNCTIONS.get_or_init(read);
    known.iter().find(|function| &*function.name.json == name).unwrap_or_else(|| panic!("{name}")).clone()
}

/// Path, query, `If-Match` and body, with a line feed after each of the first three.
pub fn request(bytes: &[u8]) {
    let mut parts = bytes.splitn(4, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (path, query, tag, body) = (part(), part(), part(), part());
    let (function, mut given) = (function("run"), Given::default());
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
        .and_then(|()| given.if_match(&function, &headers))
        .map_err(Problem::from)
        .and_then(|()| given.body(&headers, body));
    match gathered {
        Ok(()) => {
            let params = given.into_params();
            assert_eq!(parse_value(&params.to_string()).as_ref(), Ok(&params), "what is gathered is JSON of the host");
        }
        Err(problem) => assert!(problem.code().http_status() < 500, "{problem:?}"),
    }
}

/// A request of tus, a line for each: verb, version, verb that is meant, offset, length, type of the body, and metadata. The time after
/// it is what a plugin's answer might say.
pub fn upload(bytes: &[u8]) {
    let mut parts = bytes.splitn(8, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let verb = String::from_utf8_lossy(part());
    let mut headers = HeaderMap::new();
    for name in
        ["tus-resumable", "x-http-method-override", "upload-offset", "upload-length", "content-type", "upload-metadata"]
    {
        let value = part();
        if !value.is_empty()
            && let Ok(value) = HeaderValue::from_bytes(value)
        {
            headers.insert(name, value);
        }
    }
    // Whatever it says, it has a form in a header or none.
    _ = tus::seconds(&String::from_utf8_lossy(part())).map(httpdate::fmt_http_date);
    let Ok(Some(asked)) = Tus::asked(&headers) else { return };
    let method = Tus::method(&headers, &Method::from_bytes(verb.as_bytes()).unwrap_or_default());
    let Some(verb) = Verb::parse(method.as_str()) else { return };
    let (function, mut given) = (function("begin"), Given::default());
    match asked.fill(&mut given, &function, verb, &headers) {
        Ok(()) => {
            let params = given.into_params();
            assert_eq!(parse_value(&params.to_string()).as_ref(), Ok(&params), "what is gathered is JSON of the host");
        }
        Err(problem) => assert!(problem.code().http_status() < 500, "{problem:?}"),
    }
}
