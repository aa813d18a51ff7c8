//! A server of somebody else's pages: a few files at an origin of its own.

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use crate::read_head;

/// Ends when dropped.
pub struct Site {
    /// Scheme and authority.
    pub origin: String,
    task: JoinHandle<()>,
}

impl Site {
    /// Serves these files, each a path and its content; what ends in none of the known ways is a page.
    pub async fn start(files: Vec<(&'static str, Vec<u8>)>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let files = std::sync::Arc::new(files);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let files = files.clone();
                connections.spawn(async move { answer(stream, &files).await });
            }
        });
        Ok(Self { origin, task })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(stream: TcpStream, files: &[(&'static str, Vec<u8>)]) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let head = read_head(&mut stream).await?;
    let target = head.first().and_then(|line| line.split(' ').nth(1)).context("a request")?;
    let path = target.split('?').next().unwrap_or_default();
    let found = files.iter().find(|(name, _)| *name == path);
    let (status, content) = found.map_or(("404 Not Found", &[][..]), |(_, content)| ("200 OK", &content[..]));
    let kind = match path.rsplit('.').next() {
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        _ => "text/html; charset=utf-8",
    };
    let length = content.len();
    let head =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
    stream.get_mut().write_all(head.as_bytes()).await?;
    Ok(stream.get_mut().write_all(content).await?)
}
