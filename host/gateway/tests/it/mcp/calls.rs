use serde_json::{Value, json};

use super::agent::{Session, ask_alone, begin_alone, initialize, post_text, request};
use crate::support::{BEARER, start};

fn tools(messages: &[Value]) -> Vec<String> {
    let tools = messages.last().unwrap()["result"]["tools"].as_array().unwrap();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn both_eras_list_and_call_the_same_tools() {
    let host = start().await;
    let session = Session::open(&host, BEARER).await;
    let listed = [session.ask("tools/list", json!({})).await, ask_alone(&host, "tools/list", json!({})).await];
    let [old, new] = listed.map(|messages| tools(&messages));
    assert_eq!(old, new);
    assert!(new.is_sorted() && new.contains(&"subtract".into()) && new.contains(&"system_status".into()), "{new:?}");
    assert!(!new.contains(&"sum".into()), "what is not marked is no tool");

    let whoami = json!({"name": "auth_whoami"});
    let answers = [session.ask("tools/call", whoami.clone()).await, ask_alone(&host, "tools/call", whoami).await];
    for messages in answers {
        let result = &messages.last().unwrap()["result"];
        assert_eq!((&result["structuredContent"]["principal"], &result["isError"]), (&json!("owner"), &json!(false)));
        let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, result["structuredContent"]);
    }
}

#[tokio::test]
async fn arguments_go_by_name_and_what_fails_says_what_to_do() {
    let host = start().await;
    let session = Session::open(&host, BEARER).await;
    let call = json!({"name": "subtract", "arguments": {"minuend": 42, "subtrahend": 23}});
    let result = session.ask("tools/call", call).await.pop().unwrap()["result"].clone();
    assert_eq!(result["content"][0]["text"], "19");
    let panics = json!({"name": "boom"});
    for messages in [session.ask("tools/call", panics.clone()).await, ask_alone(&host, "tools/call", panics).await] {
        let result = &messages.last().unwrap()["result"];
        assert_eq!((&result["isError"], &result["structuredContent"]["code"]), (&json!(true), &json!("internal")));
        assert!(result["structuredContent"]["remedy"].as_str().unwrap().contains("log"), "{result}");
        assert!(result["content"][0]["text"].as_str().unwrap().starts_with("internal: "), "{result}");
    }
    for (name, hint) in [("auth.whoami", "\"auth_whoami\""), ("sum", "not offered"), ("none", "tools/list")] {
        let unknown = session.ask("tools/call", json!({"name": name})).await.pop().unwrap();
        assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
        assert!(unknown["error"]["message"].as_str().unwrap().contains(hint), "{unknown}");
    }
}

#[tokio::test]
async fn a_message_is_read_as_strictly_as_on_every_transport() {
    let host = start().await;
    let twice = initialize().to_string().replacen('{', r#"{"method":"ping","#, 1);
    for (text, code) in [("{", -32700), (twice.as_str(), -32700), ("[]", -32600), ("1", -32600)] {
        let answer = post_text(&host, &[BEARER], text).await;
        let message: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, &message["error"]["code"]), (400, &json!(code)), "{text}");
    }
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    assert_eq!(post_text(&host, &[BEARER], &large).await.status, 413);
}

#[tokio::test]
async fn a_key_makes_a_repeated_call_have_its_effect_once() {
    let mut host = start().await;
    host.effect.gate.add_permits(8);
    let call = json!({"name": "effect", "_meta": {"midplane/call": {"idempotency_key": "k"}}});
    let session = Session::open(&host, BEARER).await;
    for messages in [session.ask("tools/call", call.clone()).await, ask_alone(&host, "tools/call", call).await] {
        assert_eq!(messages.last().unwrap()["result"]["structuredContent"].as_u64().unwrap_or(1), 1, "{messages:?}");
        assert_eq!(messages.last().unwrap()["result"]["content"][0]["text"], "1");
    }
    assert_eq!(host.effect.count.load(std::sync::atomic::Ordering::SeqCst), 1);
    host.inputs.close();
}

#[tokio::test]
async fn progress_is_told_before_the_answer_and_grows() {
    let host = start().await;
    let session = Session::open(&host, BEARER).await;
    // Parts of a result stay in the result.
    for (tool, listens) in [("parts", "false"), ("count", "true")] {
        let call = json!({"name": tool, "arguments": {"up_to": 5}, "_meta": {"progressToken": "p"}});
        for mut messages in [session.ask("tools/call", call.clone()).await, ask_alone(&host, "tools/call", call).await]
        {
            let answer = messages.pop().unwrap();
            assert_eq!(answer["result"]["content"][0]["text"], listens, "{answer}");
            let numbers: Vec<f64> =
                messages.iter().filter_map(|message| message["params"]["progress"].as_f64()).collect();
            assert!(numbers.is_sorted() && numbers.len() == messages.len(), "{messages:?}");
            assert_eq!(numbers.last(), (listens == "true").then_some(&5.0), "{messages:?}");
            assert!(messages.iter().all(|message| message["params"]["progressToken"] == "p"), "{messages:?}");
        }
    }
}

#[tokio::test]
async fn a_cancelled_call_is_not_answered_and_the_session_goes_on() {
    let host = start().await;
    let session = Session::open(&host, BEARER).await;
    let mut waiting = session.begin(7, "tools/call", json!({"name": "wait"})).await;
    waiting.begun().await;
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}});
    assert_eq!(session.post(&cancel).await.status, 202);
    assert_eq!(waiting.next().await, None);
    assert!(session.post(&request(8, "ping", json!({}))).await.body.contains("\"id\":8"));
}

#[tokio::test]
async fn what_the_older_era_asks_for_is_no_method_of_the_newer() {
    let host = start().await;
    let discovered = ask_alone(&host, "server/discover", json!({})).await.pop().unwrap();
    assert_eq!(discovered["result"]["capabilities"]["tools"]["listChanged"], true, "{discovered}");
    let pinged = ask_alone(&host, "ping", json!({})).await.pop().unwrap();
    assert_eq!(pinged["error"]["code"], -32601, "{pinged}");
    let mut news =
        begin_alone(&host, "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})).await;
    let acknowledged = news.next().await.unwrap();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged", "{acknowledged}");
    host.shutdown.cancel();
    while news.next().await.is_some() {}
    host.served.await.unwrap().unwrap();
}
