use anyhow::{Context, Result};
use midplane_tests::{Frame, Host};
use serde_json::{Value, json};

const INPUT: u8 = 0x10;
const ACK: u8 = 0x11;
const RESIZE: u8 = 0x12;
const EXIT: u8 = 0x04;

fn frame(channel: u32, op: u8, offset: u64, payload: &[u8]) -> Frame {
    Frame { kind: 1, op, channel, offset, payload: payload.to_vec() }
}

fn channel(attached: &Value) -> Result<u32> {
    Ok(u32::try_from(attached["channel"].as_u64().context("channel")?)?)
}

#[tokio::test]
async fn a_shell_in_a_pty_takes_bytes_resizes_and_exits_with_its_code() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.subscribe(&["terminals.*"]).await?;
    let terminal = client.call("terminals.open", json!({ "shell": "/bin/sh", "cols": 90, "rows": 20 })).await?;
    let attached = client.call("terminals.attach", json!({ "id": terminal["id"], "role": "drive" })).await?;
    let channel = channel(&attached)?;
    let mut sent = 0;
    for (input, expected) in [("echo $((40+2))\n", "42"), ("stty size\n", "20 90")] {
        client.send_frame(&frame(channel, INPUT, sent, input.as_bytes())).await?;
        sent += input.len() as u64;
        client.output_until(channel, expected).await?;
    }
    client.send_frame(&frame(channel, RESIZE, 0, &[0, 100, 0, 30, 1])).await?;
    client.send_frame(&frame(channel, INPUT, sent, b"stty size\n")).await?;
    sent += 10;
    let frames = client.output_until(channel, "30 100").await?;
    let last = frames.iter().rfind(|frame| frame.op == 1).context("output")?;
    client.send_frame(&frame(channel, ACK, last.offset + last.payload.len() as u64, &[])).await?;
    client.send_frame(&frame(channel, INPUT, sent, b"exit 7\n")).await?;
    let exit = loop {
        let frame = client.frame(channel).await?;
        if frame.op == EXIT {
            break frame;
        }
    };
    assert_eq!(exit.payload[..4], 7i32.to_be_bytes());
    let event = client.event_on("terminals.exited").await?;
    assert_eq!(event["payload"]["id"], terminal["id"]);
    let info = client.call("terminals.get", json!({ "id": terminal["id"] })).await?;
    assert_eq!(info["exited"]["code"], 7);
    client.call("terminals.close", json!({ "id": terminal["id"] })).await?;
    let (code, _) = client.fault("terminals.get", json!({ "id": terminal["id"] })).await?;
    assert_eq!(code, "not_found");
    Ok(())
}

#[tokio::test]
async fn a_terminal_outlives_its_client_and_a_new_one_sees_the_screen() -> Result<()> {
    let host = Host::start().await?;
    let mut first = host.connect().await?;
    let terminal = first.call("terminals.open", json!({ "shell": "/bin/sh" })).await?;
    first.call("terminals.write", json!({ "id": terminal["id"], "content": "echo still-$((1+1))-here\n" })).await?;
    first
        .call(
            "terminals.wait",
            json!({ "id": terminal["id"], "until": { "text": "still-2-here" }, "timeout_ms": 20000 }),
        )
        .await?;
    drop(first);
    let mut second = host.connect().await?;
    let attached = second.call("terminals.attach", json!({ "id": terminal["id"], "role": "view" })).await?;
    second.output_until(channel(&attached)?, "still-2-here").await?;
    Ok(())
}

#[tokio::test]
async fn attaching_needs_a_connection_to_carry_the_bytes() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let terminal = client.call("terminals.open", json!({ "shell": "/bin/sh" })).await?;
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "terminals.attach", "params": { "id": terminal["id"] } });
    let response: Value = serde_json::from_str(&host.rpc(&body.to_string()).await?.body)?;
    assert_eq!(response["error"]["data"]["code"], "not_supported");
    Ok(())
}

#[tokio::test]
async fn waiting_for_a_terminal_keeps_no_other_call_waiting() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let terminal = client.call("terminals.open", json!({ "shell": "/bin/sh" })).await?;
    let id = &terminal["id"];
    let until = |text: &str| json!({ "id": id, "until": { "text": text }, "timeout_ms": 20000 });
    let (first, second) = (
        client.send("terminals.wait", until("one-2-three")).await?,
        client.send("terminals.wait", until("four-5-six")).await?,
    );
    // While both wait on this connection: the screen, a channel, and the input that ends the waiting.
    client.call("terminals.screen", json!({ "id": id })).await?;
    let attached = client.call("terminals.attach", json!({ "id": id, "role": "view" })).await?;
    client.call("terminals.write", json!({ "id": id, "content": "echo one-$((1+1))-three\n" })).await?;
    client.output_until(channel(&attached)?, "one-2-three").await?;
    let done = client.wait_for(|message| message["id"] == first).await?;
    assert_eq!(done["result"]["id"], *id, "{done}");
    client.call("terminals.write", json!({ "id": id, "content": "echo four-$((2+3))-six\n" })).await?;
    let done = client.wait_for(|message| message["id"] == second).await?;
    assert_eq!(done["result"]["id"], *id, "{done}");
    Ok(())
}
