//! A gateway on a port of its own, and clients of it.

use std::{io, net::SocketAddr, sync::Arc};

use futures_util::{SinkExt as _, StreamExt as _};
use midplane_broker::{Broker, StreamDefinition};
use midplane_gateway::{Credentials, Gateway, GatewayConfig, Listeners, TokenPolicy};
use midplane_model::Frame;
use midplane_router::Router;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest as _,
        http::{HeaderName, HeaderValue},
    },
};
use tokio_util::sync::CancellationToken;

use crate::{http_client, probe};

pub const TOKEN: &str = "a-token-of-the-test";
pub const BEARER: (&str, &str) = ("authorization", "Bearer a-token-of-the-test");

pub struct Host {
    pub addr: SocketAddr,
    pub broker: Arc<Broker>,
    pub inputs: mpsc::UnboundedReceiver<Frame>,
    pub output: mpsc::UnboundedSender<Frame>,
    pub effect: probe::Effect,
    /// The folder of the local socket.
    local: tempfile::TempDir,
    pub shutdown: CancellationToken,
    pub served: JoinHandle<io::Result<()>>,
}

pub async fn start() -> Host {
    start_with(|_| {}).await
}

pub async fn start_with(adjust: impl FnOnce(&mut GatewayConfig)) -> Host {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut config = GatewayConfig::new(addr, TokenPolicy::Required(Credentials::of_token(TOKEN)), "0.1.0", "i-1");
    adjust(&mut config);
    let router = Arc::new(Router::default());
    let broker = Arc::new(Broker::new(&StreamDefinition::defaults()).unwrap());
    let probe::Handles { inputs, output, effect } = probe::register(&router);
    let gateway = Gateway::new(config, router, &broker).unwrap();
    let shutdown = CancellationToken::new();
    let local = tempfile::tempdir().unwrap();
    let socket = UnixListener::bind(local.path().join("s")).unwrap();
    let listeners = Listeners { port: listener, tls: None, local: Some(socket) };
    let served = tokio::spawn(gateway.serve(listeners, shutdown.clone()));
    Host { local, addr, broker, inputs, output, effect, shutdown, served }
}

impl Host {
    /// `POST /rpc` with the token.
    pub async fn rpc(&self, body: &str) -> http_client::Answer {
        http_client::send(self.addr, "POST", "/rpc", &[BEARER], body).await
    }

    pub async fn local(&self) -> UnixStream {
        UnixStream::connect(self.local.path().join("s")).await.unwrap()
    }

    /// A WebSocket over the local socket.
    pub async fn local_socket(&self) -> Client<UnixStream> {
        let mut request = "ws://localhost/ws".into_client_request().unwrap();
        request.headers_mut().insert(BEARER.0, HeaderValue::from_static(BEARER.1));
        Client { socket: client_async(request, self.local().await).await.unwrap().0 }
    }

    pub async fn get(&self, path: &str) -> http_client::Answer {
        http_client::send(self.addr, "GET", path, &[BEARER], "").await
    }

    pub async fn socket(&self) -> Client {
        self.try_socket("/ws", &[BEARER]).await.expect("the token opens a socket")
    }

    /// The status that refused the upgrade, if it was refused.
    pub async fn try_socket(&self, path: &str, headers: &[(&str, &str)]) -> Result<Client, u16> {
        let mut request = format!("ws://{}{path}", self.addr).into_client_request().unwrap();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        let stream = TcpStream::connect(self.addr).await.unwrap();
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Client { socket }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }
}

pub struct Client<S = TcpStream> {
    pub socket: WebSocketStream<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub async fn send_message(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// The next text or binary message, whichever comes; pings are answered on the way.
    pub async fn message(&mut self) -> Message {
        loop {
            let message = self.socket.next().await.expect("the socket is open").unwrap();
            if !message.is_ping() && !message.is_pong() {
                return message;
            }
        }
    }

    /// Reads up to a ping that asks for a confirmation; no event may come before it.
    pub async fn ping_behind_events(&mut self) {
        loop {
            match self.socket.next().await.expect("the socket is open").unwrap() {
                Message::Ping(payload) if !payload.is_empty() => return,
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("a ping was expected, not {other:?}"),
            }
        }
    }

    pub async fn text(&mut self) -> String {
        match self.message().await {
            Message::Text(text) => text.to_string(),
            other => panic!("text was expected, not {other:?}"),
        }
    }

    pub async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// Sends a request with the id 0, without params when they are null, and returns its answer, which must be the next
    /// message.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        let mut request = serde_json::json!({"jsonrpc": "2.0", "id": 0, "method": method});
        if !params.is_null() {
            request["params"] = params;
        }
        self.send(&request.to_string()).await;
        let answer = self.json().await;
        assert_eq!(answer["id"], 0, "{answer}");
        answer
    }

    /// The close code and reason; anything before it is skipped.
    pub async fn closed(&mut self) -> Option<(u16, String)> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|f| (u16::from(f.code), f.reason.to_string())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }
}
