//! HTTP/1.1 as bare as it can be: a connection that is kept, and a server of files that decides nothing.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use midplane_tests::Host;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A connection that is kept.
pub struct Connection {
    stream: BufStream<TcpStream>,
    /// The header lines of every request.
    fields: String,
}

impl Connection {
    pub async fn to(host: &Host) -> Result<Self> {
        let authority = host.url.trim_start_matches("http://");
        let fields =
            format!("host: {authority}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n", host.token);
        Self::open(authority.parse()?, fields).await
    }

    pub async fn open(address: SocketAddr, fields: String) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufStream::with_capacity(256 * 1024, 256 * 1024, stream), fields })
    }

    /// One request, and the body of its answer, which says its length.
    pub async fn exchange(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>> {
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\n{}content-length: {length}\r\n\r\n", self.fields);
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.write_all(body).await?;
        self.stream.flush().await?;
        let (status, length) = head_of(&mut self.stream).await?.context("the server closed the connection")?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        ensure!(status.starts_with("HTTP/1.1 2"), "{status}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    }
}

/// The first line and the length of the body; none where the other side has ended.
pub async fn head_of(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<(String, usize)>> {
    let (mut first, mut length) = (String::new(), 0);
    if stream.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    let mut field = String::new();
    while stream.read_line(&mut field).await? > 0 && !field.trim().is_empty() {
        if let Some((name, value)) = field.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
        field.clear();
    }
    Ok(Some((first, length)))
}

/// A static file server without rules: `GET` answers with a file, `PUT` replaces it in one step.
pub struct StaticServer {
    pub address: SocketAddr,
    task: JoinHandle<Result<()>>,
}

impl StaticServer {
    pub async fn start(directory: &Path) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        Ok(Self { address, task: tokio::spawn(serve(listener, directory.to_owned())) })
    }

    /// Serves one connection, so its client is gone by then.
    pub async fn end(self) -> Result<()> {
        self.task.await?
    }
}

async fn serve(listener: TcpListener, directory: PathBuf) -> Result<()> {
    let stream = listener.accept().await?.0;
    stream.set_nodelay(true)?;
    let mut stream = BufStream::with_capacity(256 * 1024, 256 * 1024, stream);
    while let Some((first, length)) = head_of(&mut stream).await? {
        let mut words = first.split(' ');
        let (method, path) = (words.next().context("method")?, words.next().context("path")?);
        let file = directory.join(path.trim_start_matches('/'));
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let answer = match method {
            "GET" => tokio::fs::read(&file).await?,
            _ => tokio::task::spawn_blocking(move || replace(&file, &body).map(|()| Vec::new())).await??,
        };
        stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len()).as_bytes()).await?;
        stream.write_all(&answer).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// Writes a file under another name and gives it its own in one step.
pub fn replace(file: &Path, content: &[u8]) -> std::io::Result<()> {
    let other = file.with_extension("new");
    std::fs::write(&other, content)?;
    std::fs::rename(&other, file)
}
