//! Who says nothing, or half of what it wants, holds nothing for ever, and not everything.

use std::{
    io::{ErrorKind, Read as _},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Host, start_with};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n";

async fn says(host: &Host, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(host.addr).await.unwrap();
    stream.write_all(text.replace("HOST", &host.addr.to_string()).as_bytes()).await.unwrap();
    stream
}

/// Everything up to the end of the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("ended, not broken");
    text
}

#[tokio::test]
async fn a_client_that_does_not_say_what_it_wants_is_let_go() {
    let host = start_with(|config| config.limits.head_max = Duration::from_millis(300)).await;
    let half = rest(says(&host, &HEALTH[..20]).await);
    let silent = rest(says(&host, "").await);
    // One that was answered is kept for the next request, as long as for the first.
    let answered = rest(says(&host, HEALTH).await);
    let (half, silent, answered) = tokio::join!(half, silent, answered);
    assert_eq!((half.as_str(), silent.as_str()), ("", ""));
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
}

#[tokio::test]
async fn silent_clients_take_no_more_places_than_there_are_and_leave_the_local_socket_its_own() {
    let limits = |config: &mut midplane_gateway::GatewayConfig| {
        (config.limits.http_clients, config.limits.head_max) = (1, Duration::from_millis(500));
    };
    let host = start_with(limits).await;
    let silent = says(&host, "").await;
    let mut by_socket = host.local().await;
    by_socket.write_all(HEALTH.replace("HOST", "localhost").as_bytes()).await.unwrap();
    let mut head = [0; 12];
    by_socket.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let mut next = says(&host, HEALTH).await;
    next.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    // It was served when the place was free, so the other one has been let go.
    let mut silent = silent.into_std().unwrap();
    assert_eq!(silent.read(&mut head).map_err(|error| error.kind()), Ok::<_, ErrorKind>(0));
}
