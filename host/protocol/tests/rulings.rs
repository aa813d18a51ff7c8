//! What each message means, as a table: the examples of the JSON-RPC 2.0 specification, section 7, and the rulings where it
//! is silent. One line per message: the input, then the items it becomes.

use midplane_protocol::{Incoming, Item, parse};

/// A compact description: `request 1 m [1]`, `notification m null`, `invalid null invalid_request`; a batch in brackets.
fn describe(text: &str) -> String {
    match parse(text) {
        Err(fault) => format!("document {}", fault.code.as_str()),
        Ok(Incoming::Single(item)) => describe_item(&item),
        Ok(Incoming::Batch(items)) => format!("[{}]", items.iter().map(describe_item).collect::<Vec<_>>().join("; ")),
    }
}

fn describe_item(item: &Item) -> String {
    match item {
        Item::Request(id, call) => format!("request {id:?} {} {}", call.method, call.params),
        Item::Notification(call) => format!("notification {} {}", call.method, call.params),
        Item::Cancel(id) => format!("cancel {id:?}"),
        Item::Ignored => "ignored".into(),
        Item::Invalid(id, fault) => format!("invalid {id:?} {}", fault.code.as_str()),
    }
}

fn check(table: &[(&str, &str)]) {
    for (text, meaning) in table {
        assert_eq!(&describe(text), meaning, "{text}");
    }
}

#[test]
fn the_examples_of_the_specification() {
    check(&[
        (r#"{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}"#, "request 1 subtract [42,23]"),
        (
            r#"{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}"#,
            r#"request 3 subtract {"subtrahend":23,"minuend":42}"#,
        ),
        (r#"{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}"#, "notification update [1,2,3,4,5]"),
        (r#"{"jsonrpc": "2.0", "method": "foobar"}"#, "notification foobar null"),
        (r#"{"jsonrpc": "2.0", "method": "foobar", "id": "1"}"#, r#"request "1" foobar null"#),
        (r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#, "document parse_error"),
        (r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#, "invalid null invalid_request"),
        (
            r#"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"]"#,
            "document parse_error",
        ),
        ("[]", "document invalid_request"),
        ("[1]", "[invalid null invalid_request]"),
        ("[1,2,3]", "[invalid null invalid_request; invalid null invalid_request; invalid null invalid_request]"),
        (
            r#"[{"jsonrpc":"2.0","method":"sum","params":[1],"id":"1"},{"jsonrpc":"2.0","method":"hi","params":[7]},{"foo":"boo"}]"#,
            r#"[request "1" sum [1]; notification hi [7]; invalid null invalid_request]"#,
        ),
    ]);
}

#[test]
fn documents_that_are_no_messages() {
    check(&[
        ("", "document parse_error"),
        ("{", "document parse_error"),
        ("{} {}", "document parse_error"),
        ("null", "document invalid_request"),
        ("7", "document invalid_request"),
        (r#""text""#, "document invalid_request"),
        ("[[]]", "[invalid null invalid_request]"),
        ("{}", "invalid null invalid_request"),
    ]);
}

#[test]
fn ids_are_echoed_as_they_were_written() {
    let cases = ["null", "0", "-1", "1.0", "1.5e300", "123456789012345678901234567890", r#""""#, r#""a\u0062""#];
    for id in cases {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m"}}"#);
        assert_eq!(describe(&text), format!("request {id} m null"));
    }
    for id in ["true", "[1]", "{}", r#""\ud800""#] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m"}}"#);
        assert_eq!(describe(&text), "invalid null invalid_request", "{id}");
    }
    let long = |bytes: usize| format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"m"}}"#, "x".repeat(bytes));
    assert!(describe(&long(256)).starts_with("request"));
    assert_eq!(describe(&long(257)), "invalid null invalid_request");
}

#[test]
fn envelopes_are_read_strictly() {
    check(&[
        (r#"{"jsonrpc":"1.0","id":5,"method":"m"}"#, "invalid 5 invalid_request"),
        (r#"{"id":5,"method":"m"}"#, "invalid 5 invalid_request"),
        (r#"{"jsonrpc":2.0,"id":5,"method":"m"}"#, "invalid 5 invalid_request"),
        (r#"{"jsonrpc":"2.0","id":5}"#, "invalid 5 invalid_request"),
        (r#"{"jsonrpc":"2.0","id":5,"method":["m"]}"#, "invalid 5 invalid_request"),
        (r#"{"jsonrpc":"2.0","id":5,"method":"m","params":1}"#, "invalid 5 invalid_request"),
        (r#"{"jsonrpc":"2.0","id":5,"method":"m","params":null}"#, "invalid 5 invalid_request"),
        (r#"{"jsonrpc":"2.0","id":5,"id":5,"method":"m"}"#, "invalid null invalid_request"),
        (r#"{"jsonrpc":"2.0","id":5,"method":"m","m\u0065thod":"n"}"#, "invalid null invalid_request"),
        (r#"{"jsonrpc":"2.0","id":5,"method":"m","params":[{"a":1,"a":2}]}"#, "invalid 5 invalid_request"),
        (r#"{"jsonrpc":"2.0","id":5,"method":"m","client_id":1,"client_id":2}"#, "request 5 m null"),
        (r#"{"jsonrpc":"2.0","id":5,"method":"m","meta":{"timeout_ms":"1"}}"#, "invalid 5 invalid_request"),
        (r#"{"jsonrpc":"2.0","id":5,"method":"m","meta":[]}"#, "invalid 5 invalid_request"),
        (r#"{"jsonrpc":"2.0","id":5,"method":"m","meta":{"after":{"main":7}}}"#, "invalid 5 invalid_request"),
        (
            r#"{"jsonrpc":"2.0","id":5,"method":"m","meta":{"after":{"main":{"epoch":"e","seq":7}}}}"#,
            "request 5 m null",
        ),
        (r#"{"jsonrpc":"2.0","id":5,"method":"m","meta":{"traceparent":"x"}}"#, "request 5 m null"),
    ]);
}

#[test]
fn responses_and_useless_cancels_are_never_answered() {
    check(&[
        (r#"{"jsonrpc":"2.0","id":5,"result":1}"#, "ignored"),
        (r#"{"jsonrpc":"2.0","id":5,"error":{}}"#, "ignored"),
        (r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":"a"}}"#, r#"cancel "a""#),
        (r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{}}"#, "ignored"),
        (r#"{"jsonrpc":"2.0","method":"$/cancelRequest"}"#, "ignored"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"$/cancelRequest","params":{"id":2}}"#,
            r#"request 1 $/cancelRequest {"id":2}"#,
        ),
    ]);
}

#[test]
fn depth_and_length_have_bounds() {
    let nested = |depth: usize| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{}{}}}"#, "[".repeat(depth), "]".repeat(depth))
    };
    assert!(describe(&nested(63)).starts_with("request"));
    assert_eq!(describe(&nested(64)), "document invalid_request");
    assert_eq!(describe(&"[".repeat(100_000)), "document invalid_request");
    let batch = |items: usize| format!("[{}]", vec!["1"; items].join(","));
    assert!(describe(&batch(100)).starts_with("[invalid"));
    assert_eq!(describe(&batch(101)), "document invalid_request");
}

#[test]
fn meta_is_read_beside_params() {
    let text =
        r#"{"jsonrpc":"2.0","id":1,"method":"m","meta":{"timeout_ms":5,"idempotency_key":"k","progress_token":7}}"#;
    let Ok(Incoming::Single(Item::Request(_, call))) = parse(text) else { panic!("no request") };
    assert_eq!(call.meta.timeout_ms, Some(5));
    assert_eq!(call.meta.idempotency_key.as_deref(), Some("k"));
    assert_eq!(call.meta.progress_token, Some(7.into()));
}
