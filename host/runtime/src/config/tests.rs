use serde_json::json;

use super::*;

fn parse(text: &str) -> Result<Config, Wrong> {
    Config::parse(toml::from_str(text).unwrap())
}

const SCHEMA_TEXT: &str = r#"
[schema]
required = ["words"]
additionalProperties = false
[schema.properties.words]
type = "array"
items = { type = "string", minLength = 1, maxLength = 5, pattern = "^[a-z]+$" }
maxItems = 3
uniqueItems = true
description = "Words beyond the built-in ones."
[schema.properties.size]
type = "integer"
minimum = 1
exclusiveMaximum = 10
default = 4
[schema.properties.mode]
enum = ["fast", "safe"]
[schema.properties.server]
type = "object"
required = ["host"]
[schema.properties.server.properties]
host = { type = "string" }
token = { type = "string", writeOnly = true }
[schema.properties.until]
anyOf = [{ type = "boolean" }, { type = "string", pattern = "^[0-9]{4}-" }]
"#;

fn with_schema(values: &str) -> Result<Config, Wrong> {
    parse(&format!("{values}\n{SCHEMA_TEXT}"))
}

#[test]
fn a_value_that_does_not_fit_is_named_with_what_was_expected() {
    for (values, key, expected) in [
        ("", "config.words", "is missing; expected array of string"),
        ("words = \"a\"", "config.words", "\"a\" does not fit; expected array of string with 1 to 5 characters"),
        ("words = [\"a\", 7]", "config.words[1]", "7 does not fit; expected string with 1 to 5 characters"),
        ("words = [\"a\", \"toolong\"]", "config.words[1]", "\"toolong\" does not fit"),
        ("words = [\"A\"]", "config.words[0]", "matching ^[a-z]+$"),
        ("words = [\"a\", \"a\"]", "config.words", "all different"),
        ("words = [\"a\", \"b\", \"c\", \"d\"]", "config.words", "a list does not fit; expected array of string"),
        ("words = []\nsize = 0", "config.size", "0 does not fit; expected integer from 1 below 10"),
        ("words = []\nsize = 10", "config.size", "10 does not fit"),
        ("words = []\nsize = 1.5", "config.size", "1.5 does not fit"),
        ("words = []\nmode = \"slow\"", "config.mode", "expected \"fast\" or \"safe\""),
        ("words = []\nuntil = \"never\"", "config.until", "expected boolean or string matching ^[0-9]{4}-"),
        ("words = []\nserver = { token = \"t\" }", "config.server.host", "is missing; expected string"),
        ("words = []\nserver = 7", "config.server", "7 does not fit; expected object"),
        ("words = []\ncolour = 1", "config.colour", "is not known; known are mode, server, size, until, words"),
        ("words = []\nsize = nan", "config.size", "no number of JSON"),
    ] {
        let wrong = with_schema(values).expect_err(values);
        assert_eq!(wrong.key, key, "{wrong:?}");
        assert!(wrong.reason.contains(expected), "{wrong:?}");
    }
}

#[test]
fn what_fits_is_what_the_plugin_reads() {
    let values =
        "words = [\"a\", \"b\"]\nsize = 9.0\nmode = \"safe\"\nuntil = 2026-01-01T00:00:00Z\nserver = { host = \"h\" }";
    let config = with_schema(values).unwrap();
    let expected = json!({ "words": ["a", "b"], "size": 9.0, "mode": "safe", "until": "2026-01-01T00:00:00Z", "server": { "host": "h" } });
    assert_eq!(serde_json::from_str::<Value>(&config.text).unwrap(), expected);
    assert_eq!(config.shown(), expected);
    // Without a schema everything fits.
    assert_eq!(parse("a = { b = [1, \"x\", true] }").unwrap().text, r#"{"a":{"b":[1,"x",true]}}"#);
    assert_eq!(parse("").unwrap().text, "{}");
}

#[test]
fn secrets_are_read_by_the_plugin_and_shown_to_nobody() {
    let config = with_schema("words = []\nserver = { host = \"h\", token = \"s3cret\" }").unwrap();
    assert!(config.text.contains("s3cret"));
    assert_eq!(config.shown()["server"], json!({ "host": "h", "token": null }));
    let wrong = with_schema("words = []\nserver = { host = \"h\", token = 83617 }").unwrap_err();
    assert!(wrong.key == "config.server.token" && !wrong.reason.contains("83617"), "{wrong:?}");
}

#[test]
fn a_schema_that_this_host_would_not_enforce_is_refused_by_its_keyword() {
    for (schema, key, reason) in [
        ("schema = 7", "config.schema", "must be a table"),
        ("[schema]\n\"$ref\" = \"#\"", "config.schema.$ref", "does not check"),
        ("[schema.properties.a]\nminimun = 1", "config.schema.properties.a.minimun", "minimum"),
        ("[schema.properties.a]\ntype = \"text\"", "config.schema.properties.a.type", "\"text\" is no type"),
        ("[schema.properties.a]\ntype = []", "config.schema.properties.a.type", "something in it"),
        ("[schema.properties.a]\nminLength = -1", "config.schema.properties.a.minLength", "0 or more"),
        ("[schema.properties.a]\nminimum = \"1\"", "config.schema.properties.a.minimum", "must be a number"),
        ("[schema.properties.a]\npattern = \"(\"", "config.schema.properties.a.pattern", "is no pattern"),
        ("[schema.properties.a]\npattern = \"(\\\\w{99}){99}\"", "config.schema.properties.a.pattern", "size limit"),
        ("[schema]\nanyOf = [{ type = \"string\" }, 3]", "config.schema.anyOf[1]", "must be a table"),
        ("[schema]\nrequired = [1]", "config.schema.required[0]", "must be a string"),
    ] {
        let wrong = parse(schema).expect_err(schema);
        assert_eq!(wrong.key, key, "{wrong:?}");
        assert!(wrong.reason.contains(reason), "{wrong:?}");
    }
}

#[test]
fn settings_say_what_can_be_set_and_what_is() {
    let settings = serde_json::to_value(with_schema("words = [\"a\"]").unwrap().settings()).unwrap();
    let of = |key: &str| settings.as_array().unwrap().iter().find(|setting| setting["key"] == key).unwrap().clone();
    assert_eq!(
        of("size"),
        json!({ "key": "size", "expects": "integer from 1 below 10", "required": false, "docs": null, "default": 4 })
    );
    let words = of("words");
    assert_eq!((&words["required"], &words["value"]), (&json!(true), &json!(["a"])));
    assert_eq!(words["docs"], "Words beyond the built-in ones.");
    let free = serde_json::to_value(parse("a = 1").unwrap().settings()).unwrap();
    assert_eq!(free, json!([{ "key": "a", "expects": "anything", "required": false, "docs": null, "value": 1 }]));
}
