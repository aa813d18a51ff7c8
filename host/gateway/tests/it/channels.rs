//! Bytes beside JSON, on the same socket.

use midplane_model::{ChannelKind, Frame, channel::op};
use midplane_protocol::{decode_frame, encode_frame};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Client, start};

fn frame(op: u8, offset: u64, payload: &'static [u8]) -> Frame {
    Frame { op, flags: 0, offset, payload: payload.into() }
}

async fn receive(client: &mut Client) -> (u32, Frame) {
    match client.message().await {
        Message::Binary(wire) => {
            let (kind, channel, frame) = decode_frame(wire).unwrap();
            assert_eq!(kind, ChannelKind::Terminal);
            (channel, frame)
        }
        other => panic!("a frame was expected, not {other:?}"),
    }
}

async fn send(client: &mut Client, kind: ChannelKind, channel: u32, frame: &Frame) {
    client.send_message(Message::binary(encode_frame(kind, channel, frame).unwrap())).await;
}

#[tokio::test]
async fn the_answer_that_opens_a_channel_precedes_its_first_frame() {
    let host = start().await;
    // Ready before anybody attaches.
    host.output.send(frame(op::OUTPUT, 0, b"one")).unwrap();
    host.output.send(frame(op::OUTPUT, 3, b"two")).unwrap();
    let mut client = host.socket().await;
    let answer = client.call("attach", json!([])).await;
    let channel = u32::try_from(answer["result"]["channel"].as_u64().unwrap()).unwrap();
    assert_eq!(receive(&mut client).await, (channel, frame(op::OUTPUT, 0, b"one")));
    assert_eq!(receive(&mut client).await, (channel, frame(op::OUTPUT, 3, b"two")));
}

#[tokio::test]
async fn frames_of_the_client_reach_the_channel_and_refusals_come_back_as_meta() {
    let mut host = start().await;
    let mut client = host.socket().await;
    let answer = client.call("attach", json!([])).await;
    let channel = u32::try_from(answer["result"]["channel"].as_u64().unwrap()).unwrap();
    let input = frame(op::INPUT, 7, b"ls\n");
    send(&mut client, ChannelKind::Terminal, channel, &input).await;
    assert_eq!(host.inputs.recv().await.unwrap(), input);
    send(&mut client, ChannelKind::Terminal, channel, &frame(op::RESIZE, 0, b"")).await;
    let (number, meta) = receive(&mut client).await;
    assert_eq!((number, meta.op), (channel, op::META));
    let error: Value = serde_json::from_slice(&meta.payload).unwrap();
    assert_eq!(error["error"]["code"], "invalid_params");
    send(&mut client, ChannelKind::Terminal, channel + 1, &input).await;
    let (number, meta) = receive(&mut client).await;
    assert_eq!(number, channel + 1);
    let error: Value = serde_json::from_slice(&meta.payload).unwrap();
    assert_eq!(error["error"]["code"], "not_found");
}

#[tokio::test]
async fn a_channel_ends_with_its_source() {
    let host = start().await;
    let mut client = host.socket().await;
    client.call("attach", json!([])).await;
    assert_eq!(client.call("session.info", Value::Null).await["result"]["channels"], 1);
    drop(host.output);
    while client.call("session.info", Value::Null).await["result"]["channels"] != 0 {}
}

#[tokio::test]
async fn a_channel_of_a_call_that_failed_is_closed_unheard() {
    let host = start().await;
    host.output.send(frame(op::OUTPUT, 0, b"nobody knows my number")).unwrap();
    let mut client = host.socket().await;
    let answer = client.call("fail", json!([])).await;
    assert_eq!(answer["error"]["data"]["code"], "not_found");
    while client.call("session.info", Value::Null).await["result"]["channels"] != 0 {}
}

#[tokio::test]
async fn channels_end_with_their_connection() {
    let host = start().await;
    let mut client = host.socket().await;
    client.call("attach", json!([])).await;
    drop(client);
    // The pump owned the source; once it is joined, the source is gone.
    host.output.closed().await;
}
