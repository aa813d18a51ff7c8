//! `GET /events`: the same events and positions for clients that only listen.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::{
    events::publish,
    support::{BEARER, Host, start, start_with},
};

/// One message of a stream.
#[derive(Debug, Default)]
struct Message {
    event: String,
    id: String,
    data: Value,
}

struct Listener {
    lines: tokio::io::Lines<BufReader<TcpStream>>,
    head: String,
}

impl Listener {
    async fn open(host: &Host, query: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = TcpStream::connect(host.addr).await.unwrap();
        let mut request = format!("GET /events?{query} HTTP/1.1\r\nHost: {}\r\n", host.addr);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        let mut head = String::new();
        while let Some(line) = lines.next_line().await.unwrap().filter(|line| !line.is_empty()) {
            head.push_str(&line);
            head.push('\n');
        }
        Self { lines, head }
    }

    /// The next message; comments and the sizes of chunks are skipped. None at the end.
    async fn next(&mut self) -> Option<Message> {
        let mut message = Message::default();
        loop {
            let line = self.lines.next_line().await.ok()??;
            match line.split_once(": ") {
                Some(("event", event)) => message.event = event.to_owned(),
                Some(("id", id)) => message.id = id.to_owned(),
                Some(("data", data)) => message.data = serde_json::from_str(data).unwrap(),
                _ if line.is_empty() && !message.data.is_null() => return Some(message),
                // The chunk without bytes is the last one.
                _ if line == "0" => return None,
                _ => {}
            }
        }
    }

    async fn event(&mut self) -> (Value, String) {
        loop {
            let message = self.next().await.expect("the stream goes on");
            match &*message.event {
                "" => return (message.data["payload"].clone(), message.id),
                "subscribed" => {}
                other => panic!("an event was expected, not {other}: {}", message.data),
            }
        }
    }
}

#[tokio::test]
async fn a_reader_that_comes_back_with_its_last_id_gets_exactly_what_it_missed() {
    let host = start().await;
    let mut reader = Listener::open(&host, "patterns=a,b.*", &[BEARER]).await;
    assert!(reader.head.contains("200") && reader.head.to_lowercase().contains("text/event-stream"), "{}", reader.head);
    publish(&host, "a", &json!(1));
    publish(&host, "c", &json!("not asked for"));
    publish(&host, "b.x", &json!(2));
    assert_eq!(reader.event().await.0, 1);
    let (payload, id) = reader.event().await;
    let epoch = host.broker.heads()["main"].epoch.clone();
    assert_eq!((payload, &id), (json!(2), &format!("main:{epoch}:3")));
    drop(reader);
    publish(&host, "a", &json!(3));
    // The header wins over the address, which a browser repeats as it was.
    let headers = [BEARER, ("Last-Event-ID", id.as_str())];
    let mut again = Listener::open(&host, "patterns=a,b.*&since=earliest", &headers).await;
    publish(&host, "a", &json!(4));
    assert_eq!((again.event().await.0, again.event().await.0), (json!(3), json!(4)));
    let mut all = Listener::open(&host, "patterns=a&patterns=b.*&since=earliest", &[BEARER]).await;
    for payload in 1..=4 {
        assert_eq!(all.event().await.0, payload);
    }
}

#[tokio::test]
async fn what_cannot_be_had_any_more_is_a_gap() {
    let host = start().await;
    publish(&host, "a", &json!(1));
    let mut reader = Listener::open(&host, "patterns=a&since=main:another:7", &[BEARER]).await;
    let subscribed = reader.next().await.unwrap();
    assert_eq!((&*subscribed.event, &subscribed.data["streams"]["main"]["reason"]), ("subscribed", &json!("epoch")));
    let gap = reader.next().await.unwrap();
    assert_eq!((&*gap.event, &gap.data["reason"]), ("gap", &json!("epoch")), "{gap:?}");
    assert_eq!(reader.event().await.0, 1, "and then what is left");
}

#[tokio::test]
async fn an_id_names_every_stream_that_the_patterns_reach() {
    let host = start().await;
    let mut reader = Listener::open(&host, "patterns=**", &[BEARER]).await;
    publish(&host, "a", &json!(1));
    let (_, id) = reader.event().await;
    let streams: Vec<&str> = id.split(',').filter_map(|position| position.split(':').next()).collect();
    assert_eq!(streams, ["latest", "live", "main"]);
    publish(&host, "latest.x", &json!(2));
    let mut again = Listener::open(&host, "patterns=**", &[BEARER, ("Last-Event-ID", &id)]).await;
    assert_eq!(again.event().await.0, 2);
}

#[tokio::test]
async fn what_is_wrong_is_named_and_strangers_are_refused() {
    let host = start().await;
    for (query, path) in [
        ("", "params.patterns"),
        ("patterns=A", "params.patterns"),
        ("patterns=a&since=7", "params.since"),
        ("patterns=a&on_gap=never", "params.on_gap"),
        ("patterns=a&colour=red", "params.colour"),
    ] {
        let refused = host.get(&format!("/events?{query}")).await;
        assert_eq!(refused.status, 422, "{query}: {}", refused.body);
        let problem: Value = serde_json::from_str(&refused.body).unwrap();
        assert_eq!(problem["details"]["path"], path, "{problem}");
    }
    let refused = async |headers: &[(&str, &str)]| Listener::open(&host, "patterns=a", headers).await.head;
    assert!(refused(&[]).await.contains(" 401 "));
    assert!(refused(&[BEARER, ("Origin", "https://evil.example")]).await.contains(" 403 "));
    assert!(refused(&[BEARER, ("Last-Event-ID", "7")]).await.contains(" 422 "));
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_with_the_host() {
    let host = start().await;
    let mut owner = host.socket().await;
    let made = owner.call("auth.create_token", json!({"name": "ci", "scopes": ["read"]})).await;
    let bearer = format!("Bearer {}", made["result"]["token"].as_str().unwrap());
    let mut revoked = Listener::open(&host, "patterns=a", &[("Authorization", &bearer)]).await;
    let mut other = Listener::open(&host, "patterns=a", &[BEARER]).await;
    assert_eq!(revoked.next().await.unwrap().event, "subscribed");
    assert_eq!(other.next().await.unwrap().event, "subscribed");
    owner.call("auth.revoke_token", json!({"id": made["result"]["id"]})).await;
    assert!(revoked.next().await.is_none());
    host.shutdown.cancel();
    assert!(other.next().await.is_none());
    drop(owner);
    host.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_off_and_loses_nothing() {
    let host = start_with(|config| config.limits.write_stall_max = Duration::from_millis(50)).await;
    let mut slow = Listener::open(&host, "patterns=a", &[BEARER]).await;
    slow.next().await.unwrap();
    let filler = "x".repeat(1 << 19);
    let subscriptions = || host.broker.stats().streams[0].subscriptions;
    let mut sent = 0;
    while subscriptions() > 0 {
        publish(&host, "a", &json!(filler));
        sent += 1;
        tokio::task::yield_now().await;
    }
    let (mut seen, mut id) = (0, String::new());
    while let Some(message) = slow.next().await {
        (seen, id) = (seen + 1, message.id);
    }
    assert!(seen < sent, "it was cut off");
    let mut again = Listener::open(&host, "patterns=a", &[BEARER, ("Last-Event-ID", &id)]).await;
    while seen < sent {
        again.event().await;
        seen += 1;
    }
}
