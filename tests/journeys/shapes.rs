//! Generated values of every shape of WIT: as JSON into one plugin, by typed import to another, and back.

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use midplane_tests::{Client, Host, Options, copy_folder, guest};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::subsequence,
    strategy::{BoxedStrategy, Strategy, ValueTree},
    test_runner::TestRunner,
};
use serde_json::{Value, json};

/// Values of each function; all of them are in flight together.
const VALUES: usize = 40;

/// As the contract writes 64-bit integers.
fn wide(number: i128) -> Value {
    if number.unsigned_abs() < 1 << 53 { json!(number as i64) } else { json!(number.to_string()) }
}

fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..40).prop_map(String::from_iter)
}

fn points() -> impl Strategy<Value = Value> {
    vec((any::<i32>(), any::<i32>()).prop_map(|(x, y)| json!({ "x": x, "y": y })), 0..8).prop_map(Value::from)
}

/// Floats of few digits: JSON of seventeen may come out of a quick reader one bit off.
fn float() -> impl Strategy<Value = f64> {
    (-16_000_000..16_000_000_i32).prop_map(|number| f64::from(number) / 16.0)
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i32>().prop_map(Value::from)];
    leaf.prop_recursive(4, 24, 4, |inner| vec(inner.clone(), 0..4).prop_map(|items| json!({ "of": items })))
}

/// The functions of `mirror`, which are those of `echo`, and what they may get.
fn functions() -> Vec<(&'static str, BoxedStrategy<Value>)> {
    macro_rules! plain {
        ($type:ty) => {
            any::<$type>().prop_map(|value| json!(value)).boxed()
        };
    }
    vec![
        ("a_bool", plain!(bool)),
        ("a_char", any::<char>().prop_map(|c| json!(c.to_string())).boxed()),
        ("a_string", text().prop_map(Value::from).boxed()),
        ("an_u8", plain!(u8)),
        ("an_s8", plain!(i8)),
        ("an_u16", plain!(u16)),
        ("an_s16", plain!(i16)),
        ("an_u32", plain!(u32)),
        ("an_s32", plain!(i32)),
        ("an_u64", any::<u64>().prop_map(|number| wide(number.into())).boxed()),
        ("an_s64", any::<i64>().prop_map(|number| wide(number.into())).boxed()),
        ("an_f32", float().prop_map(Value::from).boxed()),
        ("an_f64", float().prop_map(Value::from).boxed()),
        ("bytes", vec(any::<u8>(), 0..300).prop_map(|bytes| json!(BASE64.encode(bytes))).boxed()),
        ("matrix", vec(vec(any::<i32>(), 0..6), 0..6).prop_map(|rows| json!(rows)).boxed()),
        ("an_option", option::of(any::<u32>()).prop_map(|value| json!(value)).boxed()),
        ("nested_option", option::of(any::<u32>()).prop_map(|value| json!(value)).boxed()),
        ("a_tuple", (text(), any::<u32>(), any::<bool>()).prop_map(|value| json!(value)).boxed()),
        (
            "a_record",
            (text(), points(), option::of(text()), any::<u64>())
                .prop_map(|(name, corners, note, big)| {
                    json!({ "name": name, "corners": corners, "note": note, "big": wide(big.into()) })
                })
                .boxed(),
        ),
        (
            "a_variant",
            prop_oneof![
                Just(json!("empty")),
                float().prop_map(|radius| json!({ "circle": radius })),
                points().prop_map(|points| json!({ "polygon": points })),
            ]
            .boxed(),
        ),
        ("an_enum", prop_oneof![Just(json!("red")), Just(json!("dark_green")), Just(json!("blue"))].boxed()),
        ("some_flags", subsequence(vec!["read", "write", "run_as_owner"], 0..=3).prop_map(|flags| json!(flags)).boxed()),
        ("a_json", any_json().boxed()),
    ]
}

async fn host() -> Result<Host> {
    Host::start_with(Options::default(), |plugins| {
        ["echo", "mirror"].iter().try_for_each(|name| copy_folder(&guest(name)?, &plugins.join(name)))
    })
    .await
}

async fn comes_back(client: &mut Client, method: &str, values: Vec<Value>) -> Result<()> {
    let mut sent = Vec::new();
    for value in values {
        sent.push((client.send(method, json!([value])).await?, value));
    }
    for (id, value) in sent {
        let answer = client.wait_for(|message| message["id"] == id).await?;
        let result = answer.get("result").with_context(|| format!("{method} of {value}: {answer}"))?;
        assert_eq!(*result, value, "{method}");
    }
    Ok(())
}

#[tokio::test]
async fn generated_values_of_every_shape_survive_the_way_between_plugins() -> Result<()> {
    let host = host().await?;
    let mut client = host.connect().await?;
    let mut runner = TestRunner::deterministic();
    for (function, strategy) in functions() {
        let values = (0..VALUES).map(|_| strategy.new_tree(&mut runner).map(|tree| tree.current()));
        let values = values.collect::<Result<Vec<_>, _>>().map_err(|reason| anyhow::anyhow!("{function}: {reason}"))?;
        comes_back(&mut client, &format!("mirror.{function}"), values).await?;
    }
    let results = vec![json!([{ "ok": 7 }]), json!([{ "err": "no" }])];
    for result in results {
        assert_eq!(client.call("mirror.a_result", result.clone()).await?, result);
    }
    Ok(())
}

#[tokio::test]
async fn huge_values_survive_it_too() -> Result<()> {
    let host = host().await?;
    let mut client = host.connect().await?;
    let corners: Vec<Value> = (0..10_000).map(|index| json!({ "x": index, "y": -index })).collect();
    for (function, value) in [
        ("a_string", json!("\u{1F980}".repeat(100_000))),
        ("bytes", json!(BASE64.encode(vec![0xA5; 700_000]))),
        ("matrix", json!(vec![vec![-1; 100]; 1000])),
        ("a_record", json!({ "name": "n", "corners": corners, "note": null, "big": 0 })),
    ] {
        comes_back(&mut client, &format!("mirror.{function}"), vec![value]).await?;
    }
    Ok(())
}
