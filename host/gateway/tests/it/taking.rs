//! Who takes nothing of an answer holds what belongs to it for a while, and not for ever.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{BEARER, start_with};

#[tokio::test]
async fn a_download_that_nobody_takes_is_let_go_and_one_that_is_taken_slowly_is_not() {
    let host = start_with(|config| config.limits.taking_stall_max = Duration::from_millis(300)).await;
    let begun = || async {
        let mut stream = TcpStream::connect(host.addr).await.unwrap();
        let head = format!("GET /api/v1/film HTTP/1.1\r\nHost: {}\r\n{}: {}\r\n\r\n", host.addr, BEARER.0, BEARER.1);
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        stream
    };
    let unheld = Arc::strong_count(&host.effect.gate);
    let mut slow = begun().await;
    assert_eq!(Arc::strong_count(&host.effect.gate), unheld + 1);
    let _stalled = begun().await;
    assert_eq!(Arc::strong_count(&host.effect.gate), unheld + 2);
    // Some of it again and again, for longer than anybody may stall.
    let mut piece = vec![0; 1 << 20];
    while Arc::strong_count(&host.effect.gate) > unheld + 1 {
        slow.read_exact(&mut piece).await.expect("it is still sent");
        tokio::task::yield_now().await;
    }
    slow.read_exact(&mut piece).await.expect("only the other one was let go");
}
