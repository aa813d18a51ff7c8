//! Values of every shape of WIT, as JSON and between plugins.

use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use midplane_tests::{Host, Options, copy_folder, guest};
use serde_json::{Value, json};

async fn echo_and_relay() -> Result<Host> {
    Host::start_with(Options::default(), |plugins| {
        for name in ["echo", "relay", "counter", "trap"] {
            copy_folder(&guest(name)?, &plugins.join(name))?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn every_shape_survives_the_way_in_and_out() -> Result<()> {
    let host = echo_and_relay().await?;
    let mut client = host.connect().await?;
    let point = json!({ "x": -1, "y": 2 });
    for (function, value) in [
        ("a_bool", json!(true)),
        ("a_char", json!("ß")),
        ("a_string", json!("quote \" backslash \\ newline \n nul \u{0} 𝄞")),
        ("a_string", json!("")),
        ("an_u8", json!(255)),
        ("an_s8", json!(-128)),
        ("an_u64", json!("18446744073709551615")),
        ("an_u64", json!(9_007_199_254_740_991u64)),
        ("an_s64", json!("-9223372036854775808")),
        ("an_f32", json!(0.5)),
        ("an_f64", json!(1e300)),
        ("bytes", json!(BASE64.encode([0, 1, 254, 255]))),
        ("bytes", json!("")),
        ("matrix", json!([[1, 2], [], [3]])),
        ("an_option", json!(null)),
        ("an_option", json!(7)),
        ("a_tuple", json!(["a", 1, false])),
        ("a_record", json!({ "name": "n", "corners": [point], "note": null, "big": "9007199254740993" })),
        ("a_variant", json!("empty")),
        ("a_variant", json!({ "circle": 1.5 })),
        ("a_variant", json!({ "polygon": [point] })),
        ("an_enum", json!("dark_green")),
        ("some_flags", json!(["read", "run_as_owner"])),
        ("some_flags", json!([])),
        ("a_json", json!({ "any": [1, "thing", null] })),
    ] {
        let method = format!("echo.{function}");
        assert_eq!(client.call(&method, json!({ "value": value })).await?, value, "{method}");
        assert_eq!(client.call(&method, json!([value])).await?, value, "{method} by position");
    }
    let result = client.call("echo.a_result", json!([{ "err": "no" }])).await?;
    assert_eq!(result, json!([{ "err": "no" }]));
    for (function, value, path) in [
        ("an_u8", json!(256), "params.value"),
        ("matrix", json!([[1], ["x"]]), "params.value[1][0]"),
        ("a_record", json!({ "name": "n", "corners": [{ "x": 1 }], "big": 1 }), "params.value.corners[0].y"),
        ("a_variant", json!({ "square": 1 }), "params.value"),
        ("bytes", json!("%%"), "params.value"),
    ] {
        let (code, error) = client.fault(&format!("echo.{function}"), json!({ "value": value })).await?;
        assert_eq!(
            (code.as_str(), error["data"]["details"]["path"].as_str()),
            ("invalid_params", Some(path)),
            "{error}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn typed_calls_between_plugins_carry_values_bytes_and_errors() -> Result<()> {
    let host = echo_and_relay().await?;
    let mut client = host.connect().await?;
    assert_eq!(client.call("relay.add", json!([40, 2])).await?, 42);
    assert_eq!(client.call("relay.shout", json!(["quiet"])).await?, "QUIET");
    let bytes: Vec<u8> = (0..200_000u32).map(|index| (index % 251) as u8).collect();
    let text = BASE64.encode(&bytes);
    assert_eq!(client.call("relay.bytes", json!([text])).await?, text);
    let (code, error) = client.fault("relay.fail_with", json!(["conflict"])).await?;
    assert_eq!(code, "conflict");
    assert_eq!(error["data"]["details"]["asked"], "conflict");
    Ok(())
}

#[tokio::test]
async fn calls_by_name_pass_on_errors_traps_and_refuse_cycles() -> Result<()> {
    let host = echo_and_relay().await?;
    let mut client = host.connect().await?;
    let call = |method: &str, params: Value| json!({ "method": method, "params": params });
    assert_eq!(client.call("relay.call", call("counter.increment", json!({}))).await?, 1);
    for (method, params, expected) in [
        ("trap.panic", json!({ "message": "x" }), "plugin_failed"),
        ("relay.methods", json!({}), "cycle"),
        ("files.read", json!({ "path": "x" }), "forbidden"),
        ("echo.nonsense", json!({}), "method_not_found"),
    ] {
        let (code, error) = client.fault("relay.call", call(method, params)).await?;
        assert_eq!(code, expected, "{method}: {error}");
    }
    // Whoever called before still can.
    assert_eq!(client.call("relay.call", call("counter.increment", json!({}))).await?, 2);
    Ok(())
}

#[tokio::test]
async fn async_functions_are_methods_like_others() -> Result<()> {
    let host = echo_and_relay().await?;
    let mut client = host.connect().await?;
    assert_eq!(client.call("echo.later", json!({ "text": "x", "delay_ms": 5 })).await?, "x");
    Ok(())
}
